"""From raw pixels to network input, and back to the size of the raw image.

The only place where this happens: training, evaluation, prediction and serving all come here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve
from skimage.transform import resize

from sgseg.errors import InputError, Problem

FloatImage = NDArray[np.float32]
MAX_INPUT_PX = 2**29  # 2 GB as float32


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an image before the network sees it; travels with the weights.

    Parameters
    ----------
    normalise
        Name in `NORMALISATIONS`.
    target_pixel_size_um
        Images of known pixel size are rescaled to this; None leaves them as they are.
    resize
        (height, width) that every image is shrunk or enlarged to; None for native resolution.
    """

    normalise: str
    target_pixel_size_um: float | None = None
    resize: tuple[int, int] | None = None

    def network_shape(self, shape: tuple[int, int], pixel_size_um: float | None) -> tuple[int, int]:
        """Height and width at which the network sees an image of `shape`.

        Raises
        ------
        InputError
            At the target pixel size the image would be too large; its own must be wrong.
        """
        if self.resize is not None:
            return self.resize
        if self.target_pixel_size_um is None or pixel_size_um is None:
            return shape
        scale = pixel_size_um / self.target_pixel_size_um
        height, width = max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
        if height * width > MAX_INPUT_PX:
            raise InputError(
                Problem(
                    f"pixel size {pixel_size_um:g} um",
                    f"at {self.target_pixel_size_um:g} um the image would be {height} x {width} px",
                    f"at most {MAX_INPUT_PX} px",
                    "Correct the pixel size (--pixel-size-um).",
                )
            )
        return height, width

    def prepare(
        self, pixels: NDArray[np.generic], pixel_size_um: float | None = None
    ) -> FloatImage:
        """Raw pixels (H, W) in camera counts -> network input (h, w), float32."""
        image = NORMALISATIONS[self.normalise](pixels.astype(np.float32))
        return resample(image, self.network_shape(image.shape, pixel_size_um))

    def prepare_labels(
        self, labels: NDArray[np.int32], pixel_size_um: float | None = None
    ) -> NDArray[np.int32]:
        """Label image (H, W) -> (h, w) by nearest neighbour: no label is mixed with another."""
        shape = self.network_shape(labels.shape, pixel_size_um)
        if shape == labels.shape:
            return labels
        nearest = resize(labels, shape, order=0, preserve_range=True, anti_aliasing=False)
        return np.asarray(nearest, dtype=np.int32)


def resample(image: FloatImage, shape: tuple[int, int]) -> FloatImage:
    """Linear interpolation to `shape`, smoothed before shrinking.

    The same array where nothing changes.
    """
    if image.shape == tuple(shape):
        return image
    return np.asarray(
        resize(image, shape, order=1, preserve_range=True, anti_aliasing=True), dtype=np.float32
    )


def noise_level(image: FloatImage) -> float:
    """Standard deviation of the pixel noise, from the mean response to a difference of Laplacians.

    Immerkaer 1996, doi:10.1006/cviu.1996.0060. Blind to anything smooth over three pixels.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    return float(np.sqrt(np.pi / 2) / 6 * np.mean(np.abs(convolve(image, mask, mode="mirror"))))


def _scaled(image: FloatImage, zero: float, span: float, noise_span: float) -> FloatImage:
    """(image - zero) / span, where span is at least `noise_span` noise standard deviations.

    Without that floor a field that holds nothing but noise would be stretched until noise looks
    like granules.
    """
    span = max(span, noise_span * noise_level(image))
    return (image - np.float32(zero)) / np.float32(span if span > 0 else 1.0)


def minmax(image: FloatImage) -> FloatImage:
    """Darkest pixel 0, brightest 1, as in the original project."""
    low, high = float(image.min()), float(image.max())
    return _scaled(image, low, high - low, noise_span=20)


def percentile(image: FloatImage) -> FloatImage:
    """1st percentile 0, 99.8th percentile 1; not clipped."""
    low, high = np.percentile(image, [1, 99.8])
    return _scaled(image, float(low), float(high - low), noise_span=20)


def zscore(image: FloatImage) -> FloatImage:
    """Mean 0, standard deviation 1."""
    return _scaled(image, float(image.mean()), float(image.std()), noise_span=5)


def background(image: FloatImage) -> FloatImage:
    """Background 0, diffuse signal 1.

    The background is the 1st percentile, the diffuse signal the median of what is brighter than the
    image's mean. Granules are a small part of that, so their brightness hardly moves the scale: a
    field full of granules and its empty control come out with the same cytoplasm.
    """
    zero = float(np.percentile(image, 1))
    bright = image[image > image.mean()]
    level = float(np.median(bright)) if bright.size else zero
    return _scaled(image, zero, level - zero, noise_span=5)


NORMALISATIONS: dict[str, Callable[[FloatImage], FloatImage]] = {
    "minmax": minmax,
    "percentile": percentile,
    "zscore": zscore,
    "background": background,
}
