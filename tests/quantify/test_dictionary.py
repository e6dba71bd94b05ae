from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantify.tables import draw_tables
from sgseg.quantify.dictionary import (
    describe,
    dictionary,
    undocumented,
    write_dictionary,
)
from sgseg.quantify.entries import COLUMNS
from sgseg.quantify.fields import field_row
from sgseg.quantify.granules import measure_granules
from sgseg.quantify.measures import MEASURES
from sgseg.quantify.per_cell import measure_cells
from sgseg.quantify.statistics import compare_conditions


def measured(pixel_size_um: float | None) -> dict[str, pd.DataFrame]:
    """Tables as the code makes them, of one field with a cell and a granule."""
    image = np.full((20, 20), 100, np.uint16)
    cells, granules = np.zeros((2, 20, 20), np.int32)
    cells[3:17, 3:17], granules[8:11, 8:11] = 1, 1
    image[cells > 0], image[granules > 0] = 300, 900
    of_cells = measure_cells(cells, granules, image, nuclei=None, pixel_size_um=pixel_size_um)
    of_granules = measure_granules(granules, image, cells=cells, pixel_size_um=pixel_size_um)
    row = field_row(
        "a",
        cells_table=of_cells,
        cells=cells,
        granules=granules,
        pixel_size_um=pixel_size_um,
        sample={"condition": "control", "replicate": 1},
    )
    fields = pd.DataFrame([row])
    of_cells, of_granules = (table.assign(field="a") for table in (of_cells, of_granules))
    found = compare_conditions(of_cells, of_granules, fields)
    return {
        "granules.csv": of_granules,
        "cells.csv": of_cells,
        "fields.csv": fields,
        "replicates.csv": found.replicates,
        "conditions.csv": found.conditions_table,
    }


@pytest.mark.parametrize("pixel_size_um", [None, 0.2])
def test_every_column_that_the_code_makes_has_a_definition(pixel_size_um: float | None) -> None:
    tables = measured(pixel_size_um)
    assert undocumented(tables) == []
    rows = dictionary(tables)
    assert (rows["definition"] != "").all()
    assert len(rows) == sum(len(table.columns) for table in tables.values())


def test_every_definition_is_of_a_column_that_the_code_makes() -> None:
    # What only the user's table or a second marker brings is named here.
    brought = {"cells.csv": {"condition", "replicate"}}
    made = measured(0.2)
    for file, table in made.items():
        for column in COLUMNS[file]:
            assert {*column.spelled()} & ({*table.columns} | brought.get(file, set())), (
                file,
                column.name,
            )


@pytest.mark.parametrize(
    ("file", "column", "unit"),
    [
        ("granules.csv", "area_um2", "µm²"),
        ("granules.csv", "area_px", "px"),
        ("granules.csv", "perimeter_um", "µm"),
        ("granules.csv", "row_px", "px"),
        ("cells.csv", "mean_intensity", "camera counts"),
        ("replicates.csv", "mean_granule_area_um2", "µm²"),
        ("replicates.csv", "positive_fraction", "share of cells"),
        ("conditions.csv", "hedges_g", "standard deviations"),
    ],
)
def test_units(file: str, column: str, unit: str) -> None:
    entry = describe(file, column)
    assert entry is not None
    assert entry.unit == unit


def test_a_unit_is_in_the_name_or_in_the_dictionary_and_not_in_both() -> None:
    for columns in COLUMNS.values():
        for column in columns:
            assert not (column.name.endswith("*") and column.unit)


def test_every_measure_of_replicates_is_described() -> None:
    for measure in MEASURES:
        entry = describe("replicates.csv", measure.name.replace("*", "um"))
        assert entry is not None
        assert entry.definition.startswith("Mean over the replicate's ")


def test_what_is_not_known_is_found() -> None:
    tables = {"cells.csv": pd.DataFrame({"field": ["a"], "colour": ["red"]})}
    assert undocumented(tables) == ["cells.csv: colour"]
    assert describe("cells.csv", "colour") is None
    assert describe("notes.csv", "field") is None


def test_the_file_documents_itself(tmp_path: Path) -> None:
    cells, granules, fields = draw_tables({"control": 1.0})
    path = write_dictionary(
        tmp_path, {"cells.csv": cells, "granules.csv": granules, "fields.csv": fields}
    )
    table = pd.read_csv(path, keep_default_na=False)
    assert table.columns.tolist() == ["file", "column", "unit", "definition"]
    assert undocumented({"data_dictionary.csv": table}) == []
    assert table["column"].iloc[0] == "field"
