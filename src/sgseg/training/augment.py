"""Random changes of an image and its mask that leave the biology as it is.

Geometry is one resampling of the source image straight into the patch: turning, zooming and bending
one after the other would interpolate three times and wash out granules of three pixels
(docs/decisions/0002-augmentation.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter

FloatImage = NDArray[np.float32]
Mask = NDArray[Any]

SPLINE_REACH_PX = 2  # of a coefficient of a cubic spline
RELATIVE = ("zoom", "contrast", "gamma")
ABSOLUTE = ("rotation", "elastic", "brightness", "blur", "noise")


@dataclass(frozen=True)
class Augmentation:
    """How strongly patches are changed; 0 or False switches a change off.

    Parameters
    ----------
    flip, rotate90
        Mirror left-right, turn by multiples of 90 degrees; without interpolation.
    rotation
        Largest turn in radians.
    zoom
        Largest relative change of scale.
    elastic
        Standard deviation in px of a smooth random displacement (Simard, Steinkraus & Platt 2003,
        doi:10.1109/ICDAR.2003.1227801).
    brightness
        Largest offset, in units of the patch's standard deviation.
    contrast, gamma
        Largest relative change of the factor and of the exponent.
    blur
        Largest standard deviation in px of a Gaussian blur.
    noise
        Largest standard deviation of added Gaussian noise, in units of the patch's standard
        deviation.
    """

    flip: bool = False
    rotate90: bool = False
    rotation: float = 0.0
    zoom: float = 0.0
    elastic: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    def stronger(self, factor: float) -> Augmentation:
        """All magnitudes `factor` times as large; relative changes stay below 1."""
        relative = {name: min(getattr(self, name) * factor, 0.9) for name in RELATIVE}
        absolute = {name: getattr(self, name) * factor for name in ABSOLUTE}
        return replace(self, **relative, **absolute)


def spline_coefficients(image: FloatImage) -> FloatImage:
    """Coefficients of the cubic spline through an image (H, W[, C]), mirrored at its borders."""
    if image.ndim == 3:
        return _each_channel(spline_coefficients, image)
    if min(image.shape) < 2:  # SciPy filters along axes of two pixels and more
        return image
    return np.asarray(spline_filter(image, order=3, mode="mirror", output=np.float32))


def cut_patch(
    image: FloatImage,
    mask: Mask,
    *,
    centre: tuple[float, float],
    size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
    spline: FloatImage | None = None,
) -> tuple[FloatImage, Mask]:
    """Cut a changed patch (size, size) of image and mask (H, W) around `centre` (row, column).

    Of an image (H, W, C) the patch is (size, size, C): all channels are turned and bent alike, and
    each is made brighter or darker on its own, as stains are.

    `spline`, of the image's shape, is what `spline_coefficients` finds in the image, once for all
    its patches. What lies beyond the border is mirrored. The image is resampled by a cubic spline,
    the mask by nearest neighbour; neither is, where every place falls on a pixel.
    """
    rows, columns = _source_coordinates(centre, size, augmentation, rng)
    at = (_mirror(rows, image.shape[0]), _mirror(columns, image.shape[1]))
    whole = _is_whole(rows) and _is_whole(columns)
    if whole:
        patch = image[at]
    else:
        spline = spline_coefficients(image) if spline is None else spline
        patch = _interpolate(spline, rows, columns)
    if patch.ndim == 3:
        patch = _each_channel(lambda one: change_intensity(one, augmentation, rng), patch)
    else:
        patch = change_intensity(patch, augmentation, rng)
    return patch, mask[at]


def _each_channel(change: Callable[[FloatImage], FloatImage], image: FloatImage) -> FloatImage:
    """An image (H, W, C) of which each channel (H, W) was changed."""
    parts = [change(image[..., channel]) for channel in range(image.shape[-1])]
    return np.stack(parts, axis=-1)


def _source_coordinates(
    centre: tuple[float, float], size: int, strength: Augmentation, rng: np.random.Generator
) -> tuple[FloatImage, FloatImage]:
    axis = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    flip, turns = rng.random() < 0.5, int(rng.integers(4))
    angle, scale = rng.uniform(-1, 1, 2)
    if strength.flip and flip:
        x = -x
    if strength.rotate90:
        for _ in range(turns):
            y, x = x, -y
    if strength.rotation or strength.zoom:
        zoom = np.float32(1 + strength.zoom * scale)
        cosine = np.float32(np.cos(strength.rotation * angle)) * zoom
        sine = np.float32(np.sin(strength.rotation * angle)) * zoom
        y, x = cosine * y + sine * x, cosine * x - sine * y
    if strength.elastic:
        y = y + _smooth_field(size, strength.elastic, rng)
        x = x + _smooth_field(size, strength.elastic, rng)
    # Without interpolation the patch must lie on the pixel grid: half a pixel off for even sizes.
    offset = (size - 1) / 2
    row = np.floor(centre[0] - offset + 0.5) + offset
    column = np.floor(centre[1] - offset + 0.5) + offset
    return y + np.float32(row), x + np.float32(column)


def _smooth_field(size: int, strength: float, rng: np.random.Generator) -> FloatImage:
    """Random displacement (size, size) in px, smooth over an eighth of the patch."""
    bumps = _bumps(size)
    heights = rng.standard_normal((bumps.shape[1], bumps.shape[1]), dtype=np.float32)
    field = bumps @ heights @ bumps.T
    return np.asarray(field * np.float32(strength / field.std()), dtype=np.float32)


@lru_cache(maxsize=8)
def _bumps(size: int) -> FloatImage:
    """Gaussians (size, n) along an axis, an eighth of it wide and apart, some beyond its ends."""
    width = size / 8
    centres = np.arange(-3, 12) * width
    return np.exp(-0.5 * ((np.arange(size)[:, None] - centres) / width) ** 2).astype(np.float32)


def _interpolate(spline: FloatImage, rows: FloatImage, columns: FloatImage) -> FloatImage:
    """Values of a spline at places, from the part of its coefficients that they need."""
    top, left = (int(places.min()) - SPLINE_REACH_PX for places in (rows, columns))
    bottom, right = (int(places.max()) + SPLINE_REACH_PX + 2 for places in (rows, columns))
    if top >= 0 and left >= 0 and bottom <= spline.shape[0] and right <= spline.shape[1]:
        window = spline[top:bottom, left:right]
    else:
        window = spline[
            np.ix_(
                _mirror(np.arange(top, bottom), spline.shape[0]),
                _mirror(np.arange(left, right), spline.shape[1]),
            )
        ]
    places = (rows - top, columns - left)

    def at_places(one: FloatImage) -> FloatImage:
        return np.asarray(map_coordinates(one, places, order=3, prefilter=False))

    return at_places(window) if window.ndim == 2 else _each_channel(at_places, window)


def _mirror(positions: NDArray[Any], length: int) -> NDArray[np.intp]:
    """Nearest index in [0, length) with mirrored continuation: -1 -> 1, length -> length - 2."""
    index: NDArray[np.intp] = np.rint(positions).astype(np.intp)
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    index = np.abs(index) % period
    return np.where(index >= length, period - index, index)


def _is_whole(positions: FloatImage) -> bool:
    return bool(np.all(positions == np.rint(positions)))


def change_intensity(
    patch: FloatImage, strength: Augmentation, rng: np.random.Generator
) -> FloatImage:
    """Brightness, contrast, gamma, blur and noise, on an image of any value range."""
    shift, factor, exponent = rng.uniform(-1, 1, 3)
    blur, noise = rng.uniform(0, 1, 2)
    deviation = float(patch.std())
    if strength.gamma:
        low, high = float(patch.min()), float(patch.max())
        if high > low:
            power = np.float32(1 + strength.gamma * exponent)
            patch = ((patch - low) / (high - low)) ** power * (high - low) + low
    if strength.contrast or strength.brightness:
        mean = patch.mean()
        patch = (patch - mean) * np.float32(1 + strength.contrast * factor) + mean
        patch = patch + np.float32(strength.brightness * shift * deviation)
    if strength.blur and blur * strength.blur > 0.2:
        patch = gaussian_filter(patch, blur * strength.blur)
    if strength.noise:
        grain = rng.standard_normal(patch.shape, dtype=np.float32)
        patch = patch + np.float32(strength.noise * noise * deviation) * grain
    return np.asarray(patch, dtype=np.float32)
