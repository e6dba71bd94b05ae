"""Outlines in continuous coordinates to pixels, and pixels to outlines along their edges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Rows that the lines of one outline may cross in all; those of a traced cell cross some thousand.
MAX_CROSSINGS = 100_000_000
_AT_ONCE = 1_000_000
# (n, 2): x, y; closed, the first point is not repeated.
Ring = NDArray[np.int64]
Point = tuple[int, int]


def inside(
    rings: list[NDArray[np.float64]], shape: tuple[int, int]
) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Pixels whose centre lies inside an odd number of rings (even-odd rule).

    A centre exactly on a left or upper edge is inside, on a right or lower edge outside, so that
    adjoining outlines never share a pixel.

    Parameters
    ----------
    rings : each (n, 2), x and y; (0, 0) is the corner of the first pixel
    shape : height and width of the image

    Returns
    -------
    rows, columns, filled
        The part of the image that the rings' bounding box covers, and the filled pixels therein, of
        size 0 where they do not meet.

    Raises
    ------
    ValueError
        They cross more than `MAX_CROSSINGS` rows: no outline does.
    """
    points = np.concatenate(rings) if rings else np.zeros((0, 2))
    if not len(points) or not np.isfinite(points).all():
        return slice(0, 0), slice(0, 0), np.zeros((0, 0), dtype=bool)
    low = np.clip(np.floor(points.min(axis=0)), 0, shape[::-1]).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)), 0, shape[::-1]).astype(int)
    height, width = int(high[1] - low[1]), int(high[0] - low[0])
    rows, columns = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    # toggles[r, c]: how many edges cross row r between the centres of pixels c - 1 and c.
    toggles = np.zeros((height, width + 1), dtype=np.int32)
    starts, ends = _edges([ring - low for ring in rings])
    tops, bottoms = (
        np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64)
        for y in (
            np.minimum(starts[:, 1], ends[:, 1]),
            np.maximum(starts[:, 1], ends[:, 1]),
        )
    )
    crossings = bottoms - tops
    if (total := int(crossings.sum())) > MAX_CROSSINGS:
        raise ValueError(f"its lines cross rows {total:,} times")
    # So many edges at a time that what they cross fits in little memory.
    parts = np.searchsorted(np.cumsum(crossings), np.arange(0, total, _AT_ONCE), side="left")
    for first, last in pairwise([*parts.tolist(), len(crossings)]):
        several = crossings[first:last]
        edge = np.repeat(np.arange(first, last), several)
        before = np.repeat(np.cumsum(several) - several, several)
        row = tops[edge] + np.arange(len(edge)) - before
        (x0, y0), (x1, y1) = starts[edge].T, ends[edge].T
        x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        np.add.at(toggles, (row, column), 1)
    filled = np.cumsum(toggles, axis=1, dtype=np.int32, out=toggles)[:, :-1] % 2
    return rows, columns, filled.astype(bool)


def _edges(rings: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each line of closed rings starts and ends, (n, 2) each."""
    return np.concatenate(rings), np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])


def trace(labels: NDArray[np.integer]) -> Iterator[tuple[int, list[Ring]]]:
    """For each label its rings along the edges of its pixels, holes and separate pieces included.

    Filled by the even-odd rule they give back the same pixels.
    """
    for index, where in enumerate(ndimage.find_objects(labels)):
        if where is not None:
            offset = np.array([where[1].start, where[0].start])
            yield index + 1, [ring + offset for ring in _rings(labels[where] == index + 1)]


def _rings(pixels: NDArray[np.bool_]) -> list[Ring]:
    """Closed chains of the edges between pixels that belong and those that do not."""
    padded = np.pad(pixels, 1)
    centre = padded[1:-1, 1:-1]
    # Each edge runs with the object on its right hand (y points down), so that chains close.
    sides = [
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    ]
    following: dict[Point, list[Point]] = defaultdict(list)
    for neighbour, start, end in sides:
        for y, x in np.argwhere(centre & ~neighbour).tolist():
            following[x + start[0], y + start[1]].append((x + end[0], y + end[1]))
    rings = []
    while following:
        first = next(iter(following))
        chain = [first]
        point = _step(following, first)
        while point != first:
            chain.append(point)
            point = _step(following, point)
        rings.append(_corners(np.array(chain, dtype=np.int64)))
    return rings


def _step(following: dict[Point, list[Point]], point: Point) -> Point:
    ends = following[point]
    end = ends.pop()
    if not ends:
        del following[point]
    return end


def _corners(ring: Ring) -> Ring:
    """Without the points in the middle of straight lines."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    corners: Ring = ring[(before != after).any(axis=1)]
    return corners
