"""Brightness statistics of an image: from its histogram, with NumPy, or without copies of it.

All give the same numbers but for rounding, and an image always goes the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve

from sgseg.inference.tiles import strips

FloatImage = NDArray[np.float32]
LARGE_PX = 2**24
STRIP_PX = 2**22
_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


class Brightness(Protocol):
    """What a normalisation may want to know of an image."""

    def extremes(self) -> tuple[float, float]:
        """Darkest and brightest pixel."""

    def percentile(self, share: float) -> float:
        """Of a share in [0, 100], interpolated linearly."""

    def spread(self, low: float, high: float) -> tuple[float, float]:
        """One percentile, and how far above it another is."""

    def mean_and_deviation(self) -> tuple[float, float]:
        """Mean and standard deviation."""

    def bright_median(self) -> float | None:
        """Median of what is brighter than the mean; None where nothing is."""

    def noise(self) -> float:
        """Standard deviation of the pixel noise, see `noise_level`."""


def brightness_of(pixels: NDArray[np.generic]) -> Brightness:
    """Statistics of pixels (H, W) by the way that fits their number."""
    few = pixels.size <= LARGE_PX and not is_counted(pixels.dtype)
    return Ordinary(pixels) if few else Large(pixels)


def is_counted(kind: np.dtype[Any]) -> bool:
    """Whether pixels of this type have few enough values to be counted value by value."""
    return kind.kind == "u" and kind.itemsize <= 2


def noise_level(image: FloatImage) -> float:
    """Standard deviation of the pixel noise, from the mean response to a difference of Laplacians.

    Immerkaer 1996, doi:10.1006/cviu.1996.0060. Blind to anything smooth over three pixels.
    """
    return float(
        np.sqrt(np.pi / 2) / 6 * np.mean(np.abs(convolve(image, _LAPLACIANS, mode="mirror")))
    )


class Ordinary:
    """Statistics of an image that may be copied several times."""

    def __init__(self, pixels: NDArray[np.generic]) -> None:
        self._image = pixels.astype(np.float32)

    def extremes(self) -> tuple[float, float]:
        """See `Brightness`."""
        return float(self._image.min()), float(self._image.max())

    def percentile(self, share: float) -> float:
        """See `Brightness`."""
        return float(np.percentile(self._image, share))

    def spread(self, low: float, high: float) -> tuple[float, float]:
        """See `Brightness`."""
        found = np.percentile(self._image, [low, high])
        return float(found[0]), float(found[1] - found[0])

    def mean_and_deviation(self) -> tuple[float, float]:
        """See `Brightness`."""
        return float(self._image.mean()), float(self._image.std())

    def bright_median(self) -> float | None:
        """See `Brightness`."""
        bright = self._image[self._image > self._image.mean()]
        return float(np.median(bright)) if bright.size else None

    def noise(self) -> float:
        """See `Brightness`."""
        return noise_level(self._image)


class Large:
    """Statistics of an image in strips, from its histogram if it can be counted.

    Ten times as fast as sorting; of others one sorted copy is made.
    """

    def __init__(self, pixels: NDArray[np.generic]) -> None:
        self._pixels = pixels
        self._counts = _histogram(pixels) if is_counted(pixels.dtype) else None

    def extremes(self) -> tuple[float, float]:
        """See `Brightness`."""
        return float(self._pixels.min()), float(self._pixels.max())

    def percentile(self, share: float) -> float:
        """See `Brightness`."""
        return self._percentiles(share)[0]

    def spread(self, low: float, high: float) -> tuple[float, float]:
        """See `Brightness`."""
        bottom, top = self._percentiles(low, high)
        return bottom, top - bottom

    def _percentiles(self, *shares: float) -> list[float]:
        places = [share / 100 * (self._pixels.size - 1) for share in shares]
        if self._counts is not None:
            return [_at(self._counts, place) for place in places]
        return _sorted_at(self._pixels.astype(np.float32).ravel(), places)

    def mean_and_deviation(self) -> tuple[float, float]:
        """See `Brightness`."""
        n = self._pixels.size
        mean = sum(float(strip.sum(dtype=np.float64)) for strip in self._strips()) / n
        squares = (
            float(np.square(strip.astype(np.float64) - mean).sum()) for strip in self._strips()
        )
        return mean, float(np.sqrt(sum(squares) / n))

    def bright_median(self) -> float | None:
        """See `Brightness`."""
        mean, _ = self.mean_and_deviation()
        if self._counts is not None:
            counts = self._counts.copy()
            counts[: int(np.floor(mean)) + 1] = 0
            n = int(counts.sum())
            return _at(counts, (n - 1) / 2) if n else None
        bright = np.concatenate([strip[strip > mean] for strip in self._strips()])
        return _sorted_at(bright, [(bright.size - 1) / 2])[0] if bright.size else None

    def noise(self) -> float:
        """See `Brightness`."""
        total = 0.0
        for rows in strips(self._pixels.shape, STRIP_PX):
            # A row more on either side, which the mask reaches into.
            low = max(0, rows.start - 1)
            wide = self._pixels[low : rows.stop + 1].astype(np.float32)
            found = convolve(wide, _LAPLACIANS, mode="mirror")
            inner = found[rows.start - low : rows.stop - low]
            total += float(np.abs(inner).sum(dtype=np.float64))
        return float(np.sqrt(np.pi / 2) / 6 * total / self._pixels.size)

    def _strips(self) -> Iterator[FloatImage]:
        for rows in strips(self._pixels.shape, STRIP_PX):
            yield self._pixels[rows].astype(np.float32)


def _histogram(pixels: NDArray[np.generic]) -> NDArray[np.int64]:
    """How many pixels have each value; `bincount` takes 8 bytes for each pixel it counts."""
    values = pixels.dtype.itemsize * 8
    counts = np.zeros(2**values, np.int64)
    for rows in strips(pixels.shape, STRIP_PX):
        counts += np.bincount(pixels[rows].ravel(), minlength=2**values)
    return counts


def _at(counts: NDArray[np.int64], place: float) -> float:
    """The value at a place, from 0 and between two places, of all values in order."""
    upto = np.cumsum(counts)
    low, high = (
        float(np.searchsorted(upto, int(index), side="right"))
        for index in (np.floor(place), np.ceil(place))
    )
    return low + (high - low) * (place - float(np.floor(place)))


def _sorted_at(values: FloatImage, places: list[float]) -> list[float]:
    """Likewise of the values themselves, which end up in another order."""
    indices = sorted({int(index) for p in places for index in (np.floor(p), np.ceil(p))})
    values.partition(indices)
    found = []
    for place in places:
        low, high = float(values[int(np.floor(place))]), float(values[int(np.ceil(place))])
        found.append(low + (high - low) * (place - float(np.floor(place))))
    return found
