"""The row of a field from tables small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sgseg.quantify.cells import cells_without_nuclei
from sgseg.quantify.colocalisation import Colocalisation
from sgseg.quantify.fields import field_row, field_warnings
from sgseg.quantify.per_cell import measure_cells

from .test_per_cell import CELLS, GRANULES, IMAGE

NAN = float("nan")


def row_of(cells: np.ndarray, granules: np.ndarray, **options: object) -> dict[str, object]:
    measured = {key: options[key] for key in ("unit", "pixel_size_um") if key in options}
    table = measure_cells(cells, granules, IMAGE, **measured)
    return field_row("a", cells_table=table, cells=cells, granules=granules, **options)


def test_numbers_of_a_field() -> None:
    row = row_of(CELLS, GRANULES, sample={"condition": "heat", "replicate": "1", "group": "w1"})
    assert (row["field"], row["condition"], row["replicate"], row["group"]) == (
        *("a", "heat"),
        *("1", "w1"),
    )
    # Cells 1, 2 and 4, of which 4 is cut by the border.
    assert (row["n_cells"], row["n_counted_cells"]) == (3, 2)
    assert row["positive_fraction"] == 1 / 2
    assert (row["n_granules"], row["n_granules_outside"]) == (4, 1)
    assert row["granules_per_cell"] == (2 + 0) / 2
    # Granules of 3, 2, 4 and 2 px in an image of 120.
    assert row["granule_area_px2"] == 11
    assert row["area_fraction"] == 11 / 120
    assert row["mean_granule_area_px2"] == 11 / 4
    # Of cells 1 and 2: 5 px of granules on 20 + 16.
    assert row["granule_area_fraction"] == 5 / 36
    assert row["pearson_all"] is None
    assert (row["warnings"], row["status"]) == ("", "done")


def test_areas_in_um2() -> None:
    row = row_of(CELLS, GRANULES, pixel_size_um=0.5)
    assert row["granule_area_um2"] == 11 / 4
    assert row["mean_granule_area_um2"] == 11 / 16
    assert row["granule_area_fraction"] == 5 / 36
    assert not [name for name in row if name.endswith("_px2")]


def test_granules_cut_by_the_border_are_left_out_of_the_mean_area() -> None:
    granules = GRANULES.copy()
    granules[0, 0:5] = 5
    row = row_of(CELLS, granules)
    assert row["granule_area_px2"] == 16
    assert row["mean_granule_area_px2"] == 11 / 4


def test_foreground_has_no_numbers_per_cell() -> None:
    cells = (CELLS > 0).astype(np.int32)
    row = row_of(cells, GRANULES, unit="foreground")
    for name in ("n_cells", "n_counted_cells", "positive_fraction", "granules_per_cell"):
        assert row[name] is None
    assert row["n_granules"] == 4
    # Granules 1, 2 and 3 (9 px) on the 54 px of the cells.
    assert row["granule_area_fraction"] == 9 / 54
    assert row["warnings"] == ""


def test_a_crop_is_one_cell() -> None:
    row = row_of(cells_without_nuclei(IMAGE, unit="image"), GRANULES, unit="image")
    assert (row["n_cells"], row["n_counted_cells"], row["granules_per_cell"]) == (1, 1, 4)
    assert row["n_granules_outside"] == 0


def test_a_field_with_nothing() -> None:
    nothing = np.zeros_like(CELLS)
    row = row_of(nothing, nothing)
    assert (row["n_cells"], row["n_granules"], row["area_fraction"]) == (0, 0, 0)
    for name in ("positive_fraction", "granules_per_cell", "mean_granule_area_px2"):
        assert row[name] is None
    assert row["warnings"] == "no cells found"


def test_coefficients_and_why_there_are_none() -> None:
    found = Colocalisation(0.5, NAN, 0.1, 0.7, 0.8, 12, 13)
    row = row_of(CELLS, GRANULES, colocalisation=found)
    assert row["pearson_all"] == 0.5
    assert row["pearson_inside"] is None
    assert (row["manders_m1"], row["manders_m2"], row["warnings"]) == (0.7, 0.8, "")
    without = Colocalisation(-0.5, NAN, 0.1, NAN, NAN, NAN, NAN)
    row = row_of(CELLS, GRANULES, colocalisation=without, warnings=["dark"])
    assert str(row["warnings"]).startswith("dark | no Costes threshold")


@pytest.mark.parametrize(
    ("counted", "outside", "expected"),
    [
        ([True, False], 2, ""),  # 2 of 10 is a fifth, and not more
        ([True, False], 3, "3 of 10 granules lie outside of any cell"),
        ([False, False], 0, "all cells are cut by the border: none is counted"),
    ],
)
def test_warnings(counted: list[bool], outside: int, expected: str) -> None:
    table = pd.DataFrame({"is_counted": counted})
    assert " ".join(field_warnings(table, 10, outside)) == expected
