"""The pixel grid of a simulated field, and the smooth random fields that live on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Grid:
    """A square field of `size` x `size` pixels of `pixel_size_um`.

    Positions are in micrometres; the centre of pixel (i, j) is at (i, j) * pixel_size_um.
    """

    size: int
    pixel_size_um: float

    @property
    def shape(self) -> tuple[int, int]:
        return (self.size, self.size)

    @property
    def extent_um(self) -> float:
        """Height and width of the field."""
        return self.size * self.pixel_size_um

    def px(self, um: float) -> float:
        """A length in pixels."""
        return um / self.pixel_size_um

    def window(self, y: float, x: float, reach: float) -> Window:
        """Pixels within `reach` of (y, x), all in um, clipped to the field; may be empty."""
        low_y, high_y = self._range(y, reach)
        low_x, high_x = self._range(x, reach)
        return slice(low_y, high_y), slice(low_x, high_x)

    def offsets(self, window: Window, y: float, x: float) -> tuple[Array, Array]:
        """Distance (dy, dx) in um of each pixel of a window from (y, x); open, they broadcast."""
        dy = np.arange(window[0].start, window[0].stop) * self.pixel_size_um - y
        dx = np.arange(window[1].start, window[1].stop) * self.pixel_size_um - x
        return np.asarray(dy[:, None]), np.asarray(dx[None, :])

    def _range(self, centre: float, reach: float) -> tuple[int, int]:
        low = int(np.ceil(self.px(centre - reach)))
        high = int(np.floor(self.px(centre + reach))) + 1
        return min(max(low, 0), self.size), min(max(high, 0), self.size)


def smooth_noise(rng: np.random.Generator, grid: Grid, scale_um: float) -> Array:
    """Gaussian random field (H, W) of mean 0 and variance 1, correlated over `scale_um`.

    White noise blurred with a Gaussian of that standard deviation. A scale below half a pixel is
    white noise.
    """
    sigma = grid.px(scale_um)
    noise = rng.standard_normal(grid.shape)
    if sigma < 0.5:
        return noise
    noise = blur(noise, sigma, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std())


def blur(image: Array, sigma: float, *, mode: str = "reflect") -> Array:
    """Gaussian blur by `sigma` px; what lies beyond the border is the mirror image."""
    blurred: Array = ndimage.gaussian_filter(image, sigma, mode=mode, truncate=3.0)
    return blurred


def smoothstep(value: Array) -> Array:
    """0 below 0, 1 above 1, without a kink in between."""
    clipped = np.clip(value, 0, 1)
    return np.asarray(clipped * clipped * (3 - 2 * clipped))
