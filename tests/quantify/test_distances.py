"""Distances on shapes whose outlines are known, and against every pixel side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.quantify.distances import neighbours, outlines, to_cell_edge, to_nucleus

from .drawing import LABELS, Labels, disk, label_image

SHAPE = (80, 100)


@given(LABELS)
def test_outlines_are_the_sides_between_labels(labels: Labels) -> None:
    expected = []
    for row, column in np.ndindex(labels.shape):
        for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            y, x = row + down, column + right
            if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]):
                continue
            if labels[row, column] and labels[y, x] != labels[row, column]:
                side = (row + down / 2, column + right / 2, int(labels[row, column]))
                expected.append(side)
    points, names = outlines(labels)
    found = [(*point, name) for point, name in zip(points.tolist(), names.tolist(), strict=True)]
    assert sorted(found) == sorted(expected)


def test_distance_to_the_edge_of_a_round_cell() -> None:
    cells = label_image(disk(SHAPE, (40, 40), 30), disk(SHAPE, (40, 85), 12)) * 7
    centres = np.array([[40.0, 40.0], [40.0, 60.0], [50.0, 40.0], [40.0, 85.0]])
    found = to_cell_edge(centres, np.array([7, 7, 7, 14]), cells)
    # Radius less distance from the middle; the outline is one of pixels.
    assert found == pytest.approx([30, 10, 20, 12], abs=0.75)


def test_of_touching_cells_each_has_its_own_edge() -> None:
    cells = np.ones((20, 20), np.int32)
    cells[:, 10:] = 2
    centres = np.array([[10.0, 3.0], [10.0, 12.0]])
    # The seam is at 9.5; the border of the image is no edge.
    assert to_cell_edge(centres, np.array([1, 2]), cells).tolist() == [6.5, 2.5]


def test_where_there_is_no_edge_there_is_no_distance() -> None:
    cells = np.ones((20, 20), np.int32)
    assert np.isnan(to_cell_edge(np.array([[3.0, 3.0]]), np.array([1]), cells)).all()
    cells[:, 10:] = 0
    centres = np.array([[3.0, 15.0], [3.0, 12.0]])
    # In no cell; outside of the cell that has most of its pixels.
    assert to_cell_edge(centres, np.array([0, 1]), cells) == pytest.approx([np.nan, 0], nan_ok=True)


def test_distance_to_the_nucleus_of_the_own_cell() -> None:
    cells = np.ones(SHAPE, np.int32)
    cells[:, 50:] = 2
    nuclei = label_image(disk(SHAPE, (40, 20), 10), disk(SHAPE, (40, 75), 10)) * 11
    centres = np.array([[40.0, 45.0], [40.0, 52.0], [40.0, 20.0], [65.0, 75.0]])
    cell = np.array([1, 2, 1, 2])
    # 25 - 10; 23 - 10; inside; 25 - 10.
    found = to_nucleus(centres, cell, cells, nuclei)
    assert found == pytest.approx([15, 13, 0, 15], abs=0.75)
    # The labels of nuclei do not matter, only where they are.
    assert found.tolist() == to_nucleus(centres, cell, cells, nuclei > 0).tolist()
    # Another cell's nucleus is none of one's own.
    nuclei[:, :50] = 0
    assert np.isnan(to_nucleus(centres, cell, cells, nuclei)).tolist() == [1, 0, 1, 0]
    # Without cells any is.
    anywhere = to_nucleus(centres, None, None, nuclei)
    assert anywhere == pytest.approx([20, 13, 45, 15], abs=0.75)
    nowhere = to_nucleus(centres, None, None, np.zeros(SHAPE, np.int32))
    assert np.isnan(nowhere).all()
    assert np.isnan(to_nucleus(centres, np.zeros(4, int), cells, nuclei)).all()


PLACES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2)), max_size=9)


@given(PLACES, st.sampled_from([0.5, 2.0, 3.0, 100.0]))
def test_neighbours_pair_by_pair(places: list[tuple[int, int, int]], within: float) -> None:
    centres = np.array([place[:2] for place in places], np.float64).reshape(-1, 2)
    cell = np.array([place[2] for place in places], np.int64)
    for home in (cell, None):
        count, nearest = neighbours(centres, home, within_px=within)
        assert count.dtype.kind == "i"
        for index, centre in enumerate(centres):
            same = np.ones(len(cell), bool) if home is None else cell == cell[index]
            same[index] = False
            apart = np.hypot(*(centres[same] - centre).T)
            assert count[index] == np.count_nonzero(apart <= within)
            expected = apart.min() if apart.size else np.nan
            assert nearest[index] == pytest.approx(expected, nan_ok=True)
