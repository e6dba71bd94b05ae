"""Rows of images and granules, by hand; and tables that survive whatever ends a run."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sgseg.inference.segmenter import Prediction
from sgseg.inference.tables import (
    FIELDS,
    GRANULES,
    ResultTables,
    field_row,
    granule_rows,
)
from sgseg.inference.uncertainty import Disagreement

LABELS = np.array(
    [
        [1, 1, 0, 0],
        [1, 0, 0, 2],
        [0, 0, 0, 2],
    ],
    dtype=np.int32,
)
PROBABILITY = np.array(
    [
        [0.9, 0.6, 0.1, 0.0],
        [0.75, 0.2, 0.0, 0.5],
        [0.0, 0.0, 0.3, 1.0],
    ],
    dtype=np.float32,
)
FOUND = Prediction(LABELS, PROBABILITY, Disagreement(np.array([0.25, 1 / 3]), 0.2), None)
ALONE = Prediction(LABELS, PROBABILITY, None, None)


def test_a_row_per_granule() -> None:
    # 1: rows 0, 0, 1, columns 0, 1, 0, probabilities 0.9 + 0.6 + 0.75 = 2.25.
    # 2: rows 1, 2, columns 3, 3, probabilities 0.5 + 1. A pixel is 0.5 um x 0.5 um.
    assert granule_rows("a.tif", FOUND, 0.5) == [
        {
            "image": "a.tif",
            "label": 1,
            "area_px": 3,
            "area_um2": 0.75,
            "centroid_row": 0.333,
            "centroid_col": 0.333,
            "mean_probability": 0.75,
            "uncertainty": 0.25,
        },
        {
            "image": "a.tif",
            "label": 2,
            "area_px": 2,
            "area_um2": 0.5,
            "centroid_row": 1.5,
            "centroid_col": 3.0,
            "mean_probability": 0.75,
            "uncertainty": 0.333333,
        },
    ]


def test_what_is_unknown_is_empty() -> None:
    assert [row["uncertainty"] for row in granule_rows("a.tif", ALONE, None)] == ["", ""]
    assert [row["area_um2"] for row in granule_rows("a.tif", ALONE, None)] == ["", ""]
    row = field_row("a.tif", ALONE, None)
    assert (row["uncertainty"], row["area_um2"], row["pixel_size_um"]) == ("", "", "")


def test_a_row_per_image() -> None:
    assert field_row("a.tif", FOUND, 0.5) == {
        "image": "a.tif",
        "n_granules": 2,
        "area_px": 5,
        "area_um2": 1.25,
        "pixel_size_um": 0.5,
        "area_fraction": round(5 / 12, 8),
        "uncertainty": 0.2,
        "warnings": "",
    }
    warned = replace(FOUND, warnings=("noise: 9 %; too much", "focus: 0.1"))
    assert field_row("a.tif", warned, 0.5)["warnings"] == "noise: 9 %; too much | focus: 0.1"


def test_an_image_without_granules() -> None:
    nothing = np.zeros((3, 4), np.int32)
    found = Prediction(nothing, PROBABILITY, Disagreement(np.zeros(0), 0.0), None)
    assert granule_rows("a.tif", found, 0.5) == []
    row = field_row("a.tif", found, 0.5)
    assert (row["n_granules"], row["area_px"], row["uncertainty"]) == (0, 0, 0.0)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_are_written_at_the_end_whatever_ends_them(tmp_path: Path) -> None:
    def run_until_interrupted() -> None:
        with ResultTables(tmp_path / "out") as tables:
            tables.add("ä, 1.tif", FOUND, None)
            assert not (tmp_path / "out").exists()
            tables.add('b "2".tif', ALONE, None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_until_interrupted()
    fields, granules = read(tmp_path / "out/fields.csv"), read(tmp_path / "out/granules.csv")
    assert [row["image"] for row in fields] == ["ä, 1.tif", 'b "2".tif']
    assert [row["image"] for row in granules] == ["ä, 1.tif"] * 2 + ['b "2".tif'] * 2
    assert [row["uncertainty"] for row in granules] == ["0.25", "0.333333", "", ""]
    assert tuple(fields[0]) == FIELDS
    assert tuple(granules[0]) == GRANULES
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "fields.csv",
        "granules.csv",
    ]


def test_no_image_no_table(tmp_path: Path) -> None:
    with ResultTables(tmp_path / "out"):
        pass
    assert not (tmp_path / "out").exists()
