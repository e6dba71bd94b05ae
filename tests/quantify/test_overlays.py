from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from sgseg.images.write import OUTLINE
from sgseg.quantify.overlays import (
    CELLS,
    NUCLEI,
    field_overlay,
    legend,
    outermost,
    write_overlay,
    write_shown,
)


def by_hand(labels: np.ndarray) -> np.ndarray:
    """Pixel for pixel: an object's pixel with another value on one of its four sides."""
    found = np.zeros(labels.shape, dtype=bool)
    height, width = labels.shape
    for row, column in zip(*np.nonzero(labels), strict=True):
        for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= y < height and 0 <= x < width and labels[y, x] != labels[row, column]:
                found[row, column] = True
    return found


@given(arrays(np.int32, (5, 6), elements=st.integers(0, 2)))
def test_outermost_pixels(labels: np.ndarray) -> None:
    assert np.array_equal(outermost(labels), by_hand(labels))


def test_granules_lie_above_nuclei_and_nuclei_above_cells() -> None:
    image = np.zeros((9, 9), np.uint16)
    granules, cells, nuclei = np.zeros((3, 9, 9), np.int32)
    cells[0:8, 0:8], nuclei[0:5, 2:7], granules[0:2, 3:5] = 1, 1, 1
    cells[8] = 0
    rgb = field_overlay(image, granules, cells=cells, nuclei=nuclei)
    assert tuple(rgb[1, 3]) == OUTLINE
    assert tuple(rgb[4, 3]) == NUCLEI
    assert tuple(rgb[7, 3]) == CELLS
    assert tuple(rgb[8, 8]) == (0, 0, 0)
    assert np.array_equal(field_overlay(image, granules)[4, 3], [0, 0, 0])


def test_a_legend_names_what_is_drawn() -> None:
    assert legend(cells=True, nuclei=True) == "granules magenta, cells yellow, nuclei blue"
    assert legend(cells=False, nuclei=False) == "granules magenta"


@pytest.mark.parametrize(
    ("drawn", "shown"),
    # 360 / 80 = 4.5: five times; half way between the limits: as it is; 900 / 1800: half.
    [((80, 40), (400, 200)), ((500, 300), (500, 300)), ((1800, 900), (900, 450))],
)
def test_pictures_in_a_report_have_a_size(
    drawn: tuple[int, int], shown: tuple[int, int], tmp_path: Path
) -> None:
    write_overlay(tmp_path / "a.png", np.zeros((*drawn[::-1], 3), np.uint8))
    write_shown(tmp_path / "a.jpg", tmp_path / "a.png")
    with Image.open(tmp_path / "a.jpg") as opened:
        assert opened.size == shown
