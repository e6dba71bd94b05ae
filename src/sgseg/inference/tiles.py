"""Cutting large images into tiles that can be put together without seams, whichever way turned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
Window = tuple[slice, slice]
CORE_PX = 1024
WHOLE_PX = 2**22
"""A camera's field of 2048 x 2048 px is not cut where cutting would be an approximation."""
BLEND_CORE_PX, BLEND_PX = 1024, 256
GRID_PX = 64
"""A multiple of the stride of a network of depth 6, where the network itself does not say."""


def strips(shape: tuple[int, ...], px: int = 2**22) -> Iterator[slice]:
    """Rows of an image (h, w), about so many pixels at a time."""
    rows = max(1, px // max(1, shape[1]))
    for top in range(0, shape[0], rows):
        yield slice(top, min(top + rows, shape[0]))


@dataclass(frozen=True)
class Turn:
    """One of the 8 ways to lay an image: quarter turns to the left, then mirrored or not."""

    quarters: int
    mirrored: bool

    def turned(self, image: FloatImage) -> FloatImage:
        """A view of an image (h, w)."""
        turned = np.rot90(image, self.quarters)
        return turned[:, ::-1] if self.mirrored else turned

    def back(self, image: FloatImage) -> FloatImage:
        """A view of a turned image as it was before."""
        return np.rot90(image[:, ::-1] if self.mirrored else image, -self.quarters)


TURNS = tuple(Turn(quarters, mirrored) for quarters in range(4) for mirrored in (False, True))


@dataclass(frozen=True)
class Piece:
    """A part of an image and what is needed to compute it.

    Parameters
    ----------
    place
        The part of the result.
    window
        What the network has to be shown.
    weights
        (h, w) of `place` where the results of overlapping pieces are added; None where they do not
        overlap.
    """

    place: Window
    window: Window
    weights: FloatImage | None = None

    def inner(self, found: FloatImage) -> FloatImage:
        """Of what the network found in `window` that in `place`."""
        rows, columns = (
            slice(place.start - window.start, place.stop - window.start)
            for place, window in zip(self.place, self.window, strict=True)
        )
        return found[rows, columns]

    def add(self, found: FloatImage, result: FloatImage) -> None:
        """Put what the network found in `window` into a result (H, W) that was 0."""
        inner = self.inner(found)
        if self.weights is None:
            result[self.place] = inner
        else:
            result[self.place] += self.weights * inner


def pieces(shape: tuple[int, ...], margin_px: int | None, turns: Sequence[Turn]) -> Iterator[Piece]:
    """The pieces in which an image (h, w) is computed.

    Parameters
    ----------
    margin_px
        How far the network sees. Images larger than a tile are cut into tiles that overlap by this
        much on every side; a multiple of the network's stride keeps the pooling grid where it was,
        so that a tiled image equals the whole one. None for a network that sees the whole image
        (its normalisation averages over all of it): above `WHOLE_PX` it sees tiles, whose borders
        are blended linearly into each other. That is an approximation.
    turns
        How the window will be turned: in each of them the pooling grid is kept.
    """
    height, width = shape
    if margin_px is None:
        yield from _blended(height, width)
    elif max(height, width) <= CORE_PX + 2 * margin_px:
        yield _whole(height, width)
    else:
        rows, columns = (_cuts(size, margin_px, both_ends=len(turns) > 1) for size in shape)
        for row, row_window in rows:
            for column, column_window in columns:
                yield Piece((row, column), (row_window, column_window))


def _whole(height: int, width: int) -> Piece:
    whole = (slice(0, height), slice(0, width))
    return Piece(whole, whole)


def _cuts(size: int, margin: int, *, both_ends: bool) -> list[tuple[slice, slice]]:
    """Places and windows along one side of an image.

    Where an image is turned round, its pooling grid begins at its other end.
    """
    grid = math.gcd(CORE_PX, margin) if margin else 1
    cuts = []
    for start in range(0, size, CORE_PX):
        stop = min(start + CORE_PX, size)
        low, high = max(0, start - margin), min(stop + margin, size)
        if both_ends:
            low, high = low // grid * grid, size - (size - high) // grid * grid
        cuts.append((slice(start, stop), slice(low, high)))
    return cuts


def _blended(height: int, width: int) -> Iterator[Piece]:
    if height * width <= WHOLE_PX:
        yield _whole(height, width)
        return
    for row, row_weights in _ramps(height):
        for column, column_weights in _ramps(width):
            place = (row, column)
            yield Piece(place, place, np.outer(row_weights, column_weights))


def _ramps(size: int) -> list[tuple[slice, FloatImage]]:
    """Tiles along one side, and weights that add up to 1 everywhere.

    Each two share `BLEND_PX`, over which the weight of one falls as that of the other rises.
    """
    count = max(1, math.ceil((size - BLEND_PX) / BLEND_CORE_PX))
    even = (size - BLEND_PX) / count
    starts = [int(number * even) // GRID_PX * GRID_PX for number in range(count)]
    rise = (np.arange(BLEND_PX, dtype=np.float32) + np.float32(0.5)) / np.float32(BLEND_PX)
    ramps = []
    for number in range(count):
        stop = size if number == count - 1 else starts[number + 1] + BLEND_PX
        place = slice(starts[number], stop)
        weights = np.ones(stop - starts[number], np.float32)
        if number > 0:
            weights[:BLEND_PX] = rise
        if number < count - 1:
            weights[-BLEND_PX:] = 1 - rise
        ramps.append((place, weights))
    return ramps
