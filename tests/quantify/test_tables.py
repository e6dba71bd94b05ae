from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sgseg.quantify.resume import Kept
from sgseg.quantify.samples import Sample
from sgseg.quantify.tables import collect, united, write_table


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([["a", "b"], ["a", "b"]], "ab"),
        # Each unit beside the other: x follows a, as b does.
        ([["a", "b", "c"], ["a", "x", "c"]], "axbc"),
        ([["b"], ["a", "b", "c"]], "abc"),
        ([], ""),
    ],
)
def test_orders_are_united(orders: list[list[str]], expected: str) -> None:
    assert united(orders) == list(expected)


def kept(unit: str, n_cells: int | None = 1) -> Kept:
    granules = pd.DataFrame(
        {"granule": [1, 2], "cell": pd.array([1, 0], "Int64"), f"area_{unit}": [4.0, 5.0]}
    )
    row = {
        "field": "as it was called",
        "condition": None,
        "replicate": None,
        "group": None,
        "n_cells": n_cells,
        f"granule_area_{unit}": 9.0,
        "pearson_all": None,
        "warnings": "",
        "status": "done",
    }
    cells = pd.DataFrame({"cell": [1], "n_granules": [1], f"cell_area_{unit}": [50.0]})
    return Kept(row, granules, cells)


def test_fields_with_and_without_pixel_size() -> None:
    samples = {"a": Sample("control", "1", "g"), "b": Sample("heat", "2")}
    found = collect(["b", "a"], {"a": kept("um2"), "b": kept("px2", None)}, {}, samples)
    assert found.granules.columns.tolist() == ["field", "granule", "cell", "area_um2", "area_px2"]
    assert found.granules["field"].tolist() == ["b", "b", "a", "a"]
    assert found.granules["area_um2"].isna().tolist() == [True, True, False, False]
    assert found.granules["area_px2"].isna().tolist() == [False, False, True, True]
    assert found.granules["cell"].tolist() == [1, 0, 1, 0]
    assert found.cells.columns[:4].tolist() == ["field", "cell", "condition", "replicate"]
    assert found.cells["condition"].tolist() == ["heat", "control"]
    assert found.fields["field"].tolist() == ["b", "a"]
    assert found.fields["group"].isna().tolist() == [True, False]
    # Whole numbers stay whole beside one that is not known.
    assert found.fields["n_cells"].isna().tolist() == [True, False]
    assert str(found.fields["n_cells"].dtype) == "Int64"
    assert str(found.fields["pearson_all"].dtype) == "float64"


def test_a_field_that_failed_has_a_row() -> None:
    found = collect(
        ["a", "b"], {"b": kept("um2")}, {"a": "truncated"}, {"a": Sample("control", "1")}
    )
    row = found.fields.iloc[0]
    assert (row["field"], row["condition"], row["status"]) == ("a", "control", "truncated")
    assert pd.isna(row["granule_area_um2"])
    assert row["warnings"] == ""
    assert found.fields.columns[-1] == "status"
    assert found.granules["field"].unique().tolist() == ["b"]


def test_all_failed() -> None:
    found = collect(["a"], {}, {"a": "truncated"}, {})
    assert found.fields["status"].tolist() == ["truncated"]
    assert len(found.granules) == len(found.cells) == 0
    assert found.granules.columns[0] == "field"


def test_both_files_hold_the_same(tmp_path: Path) -> None:
    table = collect(["a"], {"a": kept("um2")}, {}, {}).granules
    write_table(tmp_path, "granules", table)
    first = (tmp_path / "granules.parquet").read_bytes()
    assert (tmp_path / "granules.csv").read_text() == (
        "field,granule,cell,area_um2\na,1,1,4\na,2,0,5\n"
    )
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "granules.parquet"), table)
    write_table(tmp_path, "granules", table)
    assert (tmp_path / "granules.parquet").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["granules.csv", "granules.parquet"]
