from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sgseg.quantify.measures import (
    MEASURES,
    TESTED,
    TESTED_WITHOUT_CELLS,
    as_name,
    found_in,
    observations,
    only_in_pixels,
    tables_of,
)

FIELDS = pd.DataFrame({"field": ["a", "b"], "condition": ["x", "x"], "replicate": [1.0, 2.0]})
CELLS = pd.DataFrame(
    {
        "field": ["a", "a", "b", "gone"],
        "cell": [1, 2, 1, 1],
        "n_granules": [3, 0, 5, 9],
        "is_positive": [True, False, True, True],
        "is_counted": [True, True, False, True],
        "condition": ["wrong"] * 4,
    }
)
GRANULES = pd.DataFrame(
    {
        "field": ["a", "a", "a", "b", "a"],
        "granule": [1, 2, 3, 1, 4],
        "cell": pd.array([1, 1, 2, 1, pd.NA], dtype="Int64"),
        "area_um2": [1.0, 2.0, 4.0, 8.0, 16.0],
        "touches_border": [False, False, True, False, False],
    }
)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (1, "1"),
        (1.0, "1"),
        (np.float64(2), "2"),
        ("1", "1"),
        (" day 1 ", "day 1"),
        (1.5, "1.5"),
        (None, ""),
        (math.nan, ""),
        (pd.NA, ""),
    ],
)
def test_names(value: object, name: str) -> None:
    assert as_name(value) == name


def test_what_counts() -> None:
    tables = tables_of(CELLS, GRANULES, FIELDS)
    # The cell of b does not count; the field of the last one is not there.
    assert tables.cells[["field", "cell", "condition", "replicate"]].to_numpy().tolist() == [
        ["a", 1, "x", "1"],
        ["a", 2, "x", "1"],
    ]
    # 3 is cut by the border, that of b is in a cell that does not count, 4 in none.
    assert tables.granules["granule"].tolist() == [1, 2]
    assert tables.fields["replicate"].tolist() == ["1", "2"]


def test_without_cells_all_granules_count_that_are_whole() -> None:
    tables = tables_of(CELLS.iloc[:0], GRANULES, FIELDS)
    assert tables.granules["area_um2"].tolist() == [1.0, 2.0, 8.0, 16.0]


def test_measures_have_their_unit_and_mean_what_they_say() -> None:
    tables = tables_of(CELLS, GRANULES, FIELDS)
    found = {each.name: each for each in found_in(tables)}
    assert list(found) == [
        "positive_fraction",
        "granules_per_cell",
        "granules_per_positive_cell",
        "mean_granule_area_um2",
    ]
    area = found["mean_granule_area_um2"]
    assert (area.stem, area.column, area.label) == (
        "mean_granule_area",
        "area_um2",
        "granule area (µm²)",
    )
    assert observations(tables, area)["value"].tolist() == [1.0, 2.0]
    assert observations(tables, found["positive_fraction"])["value"].tolist() == [1.0, 0.0]
    assert observations(tables, found["granules_per_positive_cell"])["value"].tolist() == [3.0]


def test_fields_stand_in_where_there_are_no_cells() -> None:
    fields = FIELDS.assign(n_granules=[3, 5], granule_area_fraction=[0.1, 0.3], pearson_all=0.5)
    without = found_in(tables_of(CELLS.iloc[:0], GRANULES, fields))
    assert [each.name for each in without] == [
        "mean_granule_area_um2",
        "granules_per_field",
        "foreground_area_fraction",
        "pearson_all",
    ]
    with_cells = found_in(tables_of(CELLS, GRANULES, fields))
    assert {"granules_per_field", "foreground_area_fraction"}.isdisjoint(
        each.name for each in with_cells
    )


@pytest.mark.parametrize("pixels", ["area_px", "area_px2"])
def test_um_go_before_px_and_are_never_mixed(pixels: str) -> None:
    mixed = GRANULES.assign(**{pixels: [math.nan, 50.0, 60.0, 70.0, 80.0]})
    mixed.loc[1, "area_um2"] = math.nan
    tables = tables_of(CELLS, mixed, FIELDS)
    (area,) = [each for each in found_in(tables) if each.stem == "mean_granule_area"]
    assert observations(tables, area)["value"].tolist() == [1.0]
    assert only_in_pixels(tables) == 1
    tables = tables_of(CELLS, mixed.drop(columns="area_um2"), FIELDS)
    (area,) = [each for each in found_in(tables) if each.stem == "mean_granule_area"]
    assert (area.name, area.unit) == (f"mean_granule_{pixels}", "px")
    assert only_in_pixels(tables) == 0


def test_tested_measures_exist() -> None:
    stems = [measure.name.removesuffix("_*") for measure in MEASURES]
    assert {*TESTED, *TESTED_WITHOUT_CELLS} <= set(stems)
    assert len(set(stems)) == len(stems)
