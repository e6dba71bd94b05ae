"""Size and form of granules, in pixels, from their label image alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgseg.quantify.pixels import FloatArray, IntArray, Pixels, spread, starts_of


@dataclass(frozen=True)
class Shapes:
    """One number (n,) per granule and quantity; lengths in px, areas in px.

    Attributes
    ----------
    area
        Number of pixels.
    row, column
        Centroid; the middle of the first pixel of the image is at (0, 0).
    equivalent_diameter
        Of the disk of the same area, 2 sqrt(area / pi).
    perimeter
        See `perimeters`.
    major_axis, minor_axis
        Of the ellipse with the same second moments, see `axes`.
    circularity
        4 pi area / perimeter^2 (Cox 1927), in (0, 1]: what would exceed 1, as for a few pixels, is
        error of the grid and set to 1. The mean over disks is 0.985 at 3 px radius, 0.997 at 10 px.
    aspect_ratio
        Major over minor axis, at least 1; NaN where the minor axis is 0 (lines one pixel thin).
    solidity
        Area over that of the convex hull, in (0, 1], see `convex_areas`.
    eccentricity
        sqrt(1 - minor^2 / major^2), in [0, 1]; NaN for a single pixel.
    touches_border
        Whether a pixel lies in the first or last row or column: the granule may go on outside.
    """

    area: IntArray
    row: FloatArray
    column: FloatArray
    equivalent_diameter: FloatArray
    perimeter: FloatArray
    major_axis: FloatArray
    minor_axis: FloatArray
    circularity: FloatArray
    aspect_ratio: FloatArray
    solidity: FloatArray
    eccentricity: FloatArray
    touches_border: NDArray[np.bool_]


def measure_shapes(pixels: Pixels) -> Shapes:
    """Measure the granules."""
    area = pixels.area
    perimeter = perimeters(pixels)
    major, minor = axes(pixels)
    thick = minor > 0
    height, width = pixels.shape
    at_border = np.isin(pixels.rows, (0, height - 1)) | np.isin(pixels.columns, (0, width - 1))
    return Shapes(
        area=area,
        row=pixels.mean(pixels.rows),
        column=pixels.mean(pixels.columns),
        equivalent_diameter=2 * np.sqrt(area / np.pi),
        perimeter=perimeter,
        major_axis=major,
        minor_axis=minor,
        circularity=np.minimum(4 * np.pi * area / perimeter**2, 1),
        aspect_ratio=np.divide(major, minor, out=np.full(pixels.n, np.nan), where=thick),
        solidity=area / convex_areas(pixels),
        eccentricity=np.sqrt(
            1 - np.divide(minor, major, out=np.full(pixels.n, np.nan), where=major > 0) ** 2
        ),
        touches_border=np.bincount(pixels.owner, at_border, pixels.n) > 0,
    )


def perimeters(pixels: Pixels) -> FloatArray:
    """Length (n,) of the outlines in px, those of holes included.

    Crofton's formula in four directions, which for a label is

        P = pi / 8 (N_0 + N_90 + (N_45 + N_135) / sqrt(2)),

    N being how often the grid's lines of a direction enter or leave it: `perimeter_crofton` of
    scikit-image (Legland et al. 2007, doi:10.5566/ias.v26.p83-92). On disks of 3 to 30 px radius
    the mean error is below 1 %, with a standard deviation of 2.4 % at 3 px and 0.1 % at 30 px over
    positions on the grid; `skimage.measure.perimeter` is 10 % short at 3 px and 4 % long at 30 px,
    so that circularity would depend on size.
    """
    total = np.zeros(pixels.n)
    for step, weight in (((0, 1), 1.0), ((1, 0), 1.0), ((1, 1), 0.5**0.5), ((1, -1), 0.5**0.5)):
        for sign in (1, -1):
            ends = pixels.ends_at((sign * step[0], sign * step[1]))
            total += weight * np.bincount(pixels.owner, ends, pixels.n)
    return np.pi / 8 * total


def axes(pixels: Pixels) -> tuple[FloatArray, FloatArray]:
    """Major and minor axis (n,) in px: 4 sqrt(eigenvalue) of the covariance of the pixel centres.

    As `axis_major_length` and `axis_minor_length` of scikit-image. Pixels count as points: over
    disks of 2 px radius and more the mean of both is right within 1.5 %, where pixels taken for
    squares (1 / 12 added to the variance) would make it 3 % too long at 2 px. In turn both are 0
    for a single pixel, and the minor one for lines one pixel thin.
    """
    row = pixels.rows - pixels.mean(pixels.rows)[pixels.owner]
    column = pixels.columns - pixels.mean(pixels.columns)[pixels.owner]
    rows, columns, both = pixels.mean(row**2), pixels.mean(column**2), pixels.mean(row * column)
    middle, half = (rows + columns) / 2, np.hypot((rows - columns) / 2, both)
    small = middle - half
    # The smallest above 0 is that of a long, slightly bent line: far above rounding.
    small[small < 1e-9 * np.maximum(middle, 1)] = 0
    return 4 * np.sqrt(middle + half), 4 * np.sqrt(small)


def convex_areas(pixels: Pixels) -> IntArray:
    """Pixels (n,) whose centres lie in or on the convex hull of each object.

    The hull is that of the middles of the pixels' sides: `area_convex` of scikit-image, here in
    integers (of half a pixel) and therefore exact. The sides make the hull wider than the pixel
    centres: the mean solidity of disks is 0.96 at 3 px radius, 0.97 at 10 px and 0.98 at 30 px.
    """
    first = starts_of(pixels.owner * pixels.shape[0] + pixels.rows)
    last = np.append(first[1:], len(pixels.owner))[: len(first)] - 1
    owner, rows = pixels.owner[first], 2 * pixels.rows[first]
    left, right = 2 * pixels.columns[first], 2 * pixels.columns[last]
    owners, y = np.tile(owner, 3), np.concatenate([rows - 1, rows, rows + 1])
    lefts = _leftmost(owners, y, np.concatenate([left, left - 1, left]))
    # The right side is the left one of the mirror image.
    rights = _leftmost(owners, y, np.concatenate([-right, -right - 1, -right]))
    area = np.zeros(pixels.n)
    for side in (lefts, rights):
        whose, column = _hull_columns(*side)
        area -= np.bincount(whose, column, pixels.n)
        area += 0.5 * np.bincount(whose, minlength=pixels.n)
    return np.rint(area).astype(np.int64)


def _leftmost(owner: IntArray, y: IntArray, x: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Of the points of an object on one line y that with the smallest x; sorted."""
    order = np.lexsort((x, y, owner))
    owner, y, x = owner[order], y[order], x[order]
    new = np.ones(len(owner), np.bool_)
    new[1:] = (np.diff(owner) != 0) | (np.diff(y) != 0)
    return owner[new], y[new], x[new]


def _hull_columns(owner: IntArray, y: IntArray, x: IntArray) -> tuple[IntArray, IntArray]:
    """First pixel on each pixel row that is not left of the points' convex hull.

    Parameters
    ----------
    owner, y, x : (k,)
        Points in halves of a pixel, one per object and line, sorted.

    Returns
    -------
    owner, column : (l,)
        One for each row from the first to the last of each object.
    """
    while True:
        # A point that is not left of the line between two others is no corner of the hull, so that
        # all such points may go at once.
        inner = (owner[1:-1] == owner[:-2]) & (owner[1:-1] == owner[2:])
        rise, run = x[2:] - x[:-2], y[2:] - y[:-2]
        beside = (x[1:-1] - x[:-2]) * run >= rise * (y[1:-1] - y[:-2])
        corner = np.ones(len(owner), np.bool_)
        corner[1:-1] = ~(inner & beside)
        if corner.all():
            break
        owner, y, x = owner[corner], y[corner], x[corner]
    sides = np.flatnonzero(owner[1:] == owner[:-1])
    # Pixel rows are the even lines.
    low, high = -(-y[sides] // 2), -(-y[sides + 1] // 2)
    side = np.repeat(sides, high - low)
    run = y[side + 1] - y[side]
    above = x[side] * run + (x[side + 1] - x[side]) * (2 * spread(low, high) - y[side])
    return owner[side], -(-above // (2 * run))
