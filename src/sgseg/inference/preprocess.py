"""From raw pixels to network input, and back to the size of the raw image.

The only place where this happens: training, evaluation, prediction and serving all come here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from sgseg.errors import InputError, Problem
from sgseg.inference.measure import Brightness, brightness_of

FloatImage = NDArray[np.float32]
MAX_INPUT_PX = 2**29  # 2 GB as float32


@dataclass(frozen=True)
class Scale:
    """A normalisation of one image: (pixel - zero) / span."""

    zero: float
    span: float

    def apply(self, pixels: NDArray[np.generic]) -> FloatImage:
        """Normalise an image, or any part of it."""
        image: FloatImage = pixels.astype(np.float32)
        image -= np.float32(self.zero)
        image /= np.float32(self.span if self.span > 0 else 1.0)
        return image


@dataclass(frozen=True)
class Windows:
    """A normalised image (H, W) of which only the windows exist that are looked at."""

    pixels: NDArray[np.generic]
    scale: Scale

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W)."""
        return self.pixels.shape

    def __getitem__(self, window: tuple[slice, slice]) -> FloatImage:
        return self.scale.apply(self.pixels[window])


@dataclass(frozen=True)
class Channels:
    """Several channels (H, W) as one image (H, W, C) of which windows are looked at."""

    parts: Sequence[FloatImage | Windows]

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W)."""
        return self.parts[0].shape

    def __getitem__(self, window: tuple[slice, slice]) -> FloatImage:
        return np.stack([part[window] for part in self.parts], axis=-1)


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

    def scale(self, pixels: NDArray[np.generic]) -> Scale:
        """The normalisation of an image (H, W) in camera counts."""
        measure, noise_span = NORMALISATIONS[self.normalise]
        brightness = brightness_of(pixels)
        found = measure(brightness)
        return Scale(found.zero, max(found.span, noise_span * brightness.noise()))

    def prepare(
        self, pixels: NDArray[np.generic], pixel_size_um: float | None = None
    ) -> FloatImage:
        """Raw pixels in camera counts -> network input, float32: (H, W) -> (h, w).

        Each channel on its own: (H, W, C) -> (h, w, C).
        """
        if pixels.ndim == 3:
            return np.stack([self.prepare(one, pixel_size_um) for one in _each(pixels)], axis=-1)
        image = self.scale(pixels).apply(pixels)
        return resample(image, self.network_shape(image.shape, pixel_size_um))

    def windows(
        self, pixels: NDArray[np.generic], pixel_size_um: float | None = None
    ) -> FloatImage | Windows | Channels:
        """`prepare`, of a window when it is asked for; of all at once where it is resampled."""
        if pixels.ndim == 3:
            return Channels([self._windows(one, pixel_size_um) for one in _each(pixels)])
        return self._windows(pixels, pixel_size_um)

    def _windows(
        self, pixels: NDArray[np.generic], pixel_size_um: float | None
    ) -> FloatImage | Windows:
        if self.network_shape(pixels.shape, pixel_size_um) == pixels.shape:
            return Windows(pixels, self.scale(pixels))
        return self.prepare(pixels, pixel_size_um)

    def prepare_labels(
        self, labels: NDArray[np.int32], pixel_size_um: float | None = None
    ) -> NDArray[np.int32]:
        """Label image (H, W) -> (h, w) by nearest neighbour: no label is mixed with another."""
        shape = self.network_shape(labels.shape, pixel_size_um)
        if shape == labels.shape:
            return labels
        nearest = resize(labels, shape, order=0, preserve_range=True, anti_aliasing=False)
        return np.asarray(nearest, dtype=np.int32)


def _each(pixels: NDArray[np.generic]) -> Iterator[NDArray[np.generic]]:
    """The channels (H, W) of an image (H, W, C)."""
    return (pixels[..., channel] for channel in range(pixels.shape[-1]))


def resample(image: FloatImage, shape: tuple[int, int]) -> FloatImage:
    """Linear interpolation to `shape`, smoothed before shrinking.

    The same array where nothing changes.
    """
    if image.shape == tuple(shape):
        return image
    return np.asarray(
        resize(image, shape, order=1, preserve_range=True, anti_aliasing=True), dtype=np.float32
    )


def _minmax(image: Brightness) -> Scale:
    """Darkest pixel 0, brightest 1, as in the original project."""
    low, high = image.extremes()
    return Scale(low, high - low)


def _percentile(image: Brightness) -> Scale:
    """1st percentile 0, 99.8th percentile 1; not clipped."""
    return Scale(*image.spread(1, 99.8))


def _zscore(image: Brightness) -> Scale:
    """Mean 0, standard deviation 1."""
    return Scale(*image.mean_and_deviation())


def _background(image: Brightness) -> Scale:
    """Background 0, diffuse signal 1.

    The background is the 1st percentile, the diffuse signal the median of what is brighter than the
    image's mean. Granules are a small part of that, so their brightness hardly moves the scale: a
    field full of granules and its empty control come out with the same cytoplasm.
    """
    zero = image.percentile(1)
    level = image.bright_median()
    return Scale(zero, 0.0 if level is None else level - zero)


NORMALISATIONS: dict[str, tuple[Callable[[Brightness], Scale], float]] = {
    "minmax": (_minmax, 20),
    "percentile": (_percentile, 20),
    "zscore": (_zscore, 5),
    "background": (_background, 5),
}
"""How each is measured, and how many noise standard deviations its span has at least.

Without that floor a field that holds nothing but noise would be stretched until noise looks like
granules.
"""
