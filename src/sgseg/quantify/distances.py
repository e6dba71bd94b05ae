"""Where granules are: how far from the edge of their cell, its nucleus and each other, in px."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sgseg.quantify.pixels import FloatArray, IntArray

Labels = NDArray[np.integer]


def outlines(labels: Labels) -> tuple[FloatArray, IntArray]:
    """Middles of the pixel sides between each object and what is around it.

    The border of the image is no outline: what lies behind it is not known.

    Returns
    -------
    points : (k, 2)
        Row and column.
    label : (k,)
        The object; a side between two objects is there twice.
    """
    points, names = [], []
    for axis in (0, 1):
        first, second = np.swapaxes(labels, 0, axis)[:-1], np.swapaxes(labels, 0, axis)[1:]
        at = np.nonzero(first != second)
        along = (at[0] + 0.5, at[1].astype(np.float64))
        place = np.stack(along if axis == 0 else along[::-1], axis=1)
        for side in (first, second):
            name = side[at].astype(np.int64)
            points.append(place[name > 0])
            names.append(name[name > 0])
    return np.concatenate(points), np.concatenate(names)


def to_cell_edge(centres: FloatArray, cell: IntArray, cells: Labels) -> FloatArray:
    """Distance (n,) from a granule's centroid to the outline of its cell, in px.

    To where the cell ends, not to the border of the image: of a cell that the border cuts, the
    outline behind it may be nearer. 0 for a centroid outside its cell; NaN for a granule in no
    cell, and in a cell without an outline in the image.
    """
    points, names = outlines(cells)
    distance = _nearest(centres, cell, points, names)
    distance[_value_at(cells, centres) != cell] = 0
    distance[cell == 0] = np.nan
    return distance


def to_nucleus(
    centres: FloatArray, cell: IntArray | None, cells: Labels | None, nuclei: Labels
) -> FloatArray:
    """Distance (n,) from a granule's centroid to the outline of the nucleus, in px.

    Of the nearest nucleus in its cell, whatever its label; of the nearest at all where cells are
    not known. 0 for a centroid inside a nucleus; NaN where there is no nucleus.
    """
    inside = nuclei > 0
    # Which cell a nucleus is in is told by its pixels, since labels may have been given apart.
    home = inside.astype(np.uint8) if cells is None else np.where(inside, cells, 0)
    whose = np.ones(len(centres), np.int64) if cell is None else cell
    points, names = outlines(home)
    distance = _nearest(centres, whose, points, names)
    distance[(_value_at(home, centres) == whose) & (whose > 0)] = 0
    distance[whose == 0] = np.nan
    return distance


def neighbours(
    centres: FloatArray, cell: IntArray | None, *, within_px: float
) -> tuple[IntArray, FloatArray]:
    """Number of other granules whose centroid is near, and distance to the nearest one, in px.

    Between centroids (Clark & Evans 1954, doi:10.2307/1931034) and among the granules of one cell;
    those that are in no cell are among themselves. The border of the image is not corrected for.

    Returns
    -------
    count : (n,)
        Other granules at most `within_px` away.
    nearest : (n,)
        NaN for a granule that is alone.
    """
    if not len(centres):
        return np.zeros(0, np.int64), np.zeros(0)
    whose = np.zeros(len(centres), np.int64) if cell is None else cell
    apart, reach = _apart(centres, centres)
    tree = cKDTree(np.column_stack([centres, whose * apart]))
    count = tree.query_ball_point(tree.data, min(within_px, reach), return_length=True) - 1
    nearest = tree.query(tree.data, k=2, distance_upper_bound=reach)[0][:, 1]
    return count.astype(np.int64), np.where(np.isfinite(nearest), nearest, np.nan)


def _nearest(
    centres: FloatArray, cell: IntArray, points: FloatArray, names: IntArray
) -> FloatArray:
    """Distance (n,) to the nearest point of the same cell; NaN where it has none."""
    wanted = np.isin(names, cell)
    points, names = points[wanted], names[wanted]
    if not len(points):
        return np.full(len(centres), np.nan)
    apart, reach = _apart(centres, points)
    tree = cKDTree(np.column_stack([points, names * apart]))
    found = tree.query(np.column_stack([centres, cell * apart]), distance_upper_bound=reach)[0]
    return np.where(np.isfinite(found), found, np.nan)


def _apart(one: FloatArray, other: FloatArray) -> tuple[float, float]:
    """How far to lay cells apart in a third dimension, and a limit that no distance in one reaches.

    All cells are then searched at once, and none is found from another.
    """
    both = np.concatenate([one, other])
    reach = float(np.hypot(*np.ptp(both, axis=0))) + 1
    return 2 * reach, reach


def _value_at(labels: Labels, centres: FloatArray) -> IntArray:
    """Label (n,) of the pixel in which a point lies."""
    rows, columns = np.rint(centres).astype(np.int64).T
    found: IntArray = labels[rows, columns].astype(np.int64)
    return found
