"""The data dictionary: every column of every file of a run, its unit and its definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sgseg.images.write import replacing
from sgseg.quantify.entries import COLUMNS, Column
from sgseg.quantify.measures import MEASURES, Measure

FILE = "data_dictionary.csv"


@dataclass(frozen=True)
class Entry:
    """A column as one file has it."""

    file: str
    column: str
    unit: str
    definition: str


def describe(file: str, column: str) -> Entry | None:
    """What a column of a file is; None for one that has no definition here.

    Parameters
    ----------
    file
        Such as granules.csv; the same table as Parquet has the same columns.
    column
        With its unit, as in `area_um2`.
    """
    for entry in COLUMNS.get(file, ()):
        if column in entry.spelled():
            return Entry(file, column, entry.unit_of(column), entry.definition)
    if file == "replicates.csv":
        for measure in MEASURES:
            entry = _of(measure)
            if column in entry.spelled():
                return Entry(file, column, entry.unit_of(column), entry.definition)
    return None


def _of(measure: Measure) -> Column:
    over = {
        "cell": "counted SG-positive cells" if measure.only_positive else "counted cells",
        "granule": "granules of counted cells that the border does not cut",
        "field": "fields",
    }[measure.level]
    source = f"{measure.column.removesuffix('_*')} of {measure.level}s.csv"
    text = f"Mean over the replicate's {over}: {source}."
    return Column(measure.name, measure.unit, text)


def undocumented(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Columns without a definition, as `file: column`; there should be none."""
    return [
        f"{file}: {column}"
        for file, table in tables.items()
        for column in table.columns
        if describe(file, column) is None
    ]


def dictionary(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """file, column, unit, definition of each column that the tables (by file name) have, in order.

    A column that is not known here has an empty definition; see `undocumented`.
    """
    entries = [
        describe(file, column) or Entry(file, column, "", "")
        for file, table in tables.items()
        for column in table.columns
    ]
    return pd.DataFrame(entries, columns=["file", "column", "unit", "definition"])


def write_dictionary(folder: str | Path, tables: Mapping[str, pd.DataFrame]) -> Path:
    """Write `data_dictionary.csv`."""
    path = Path(folder) / FILE
    with replacing(path) as temporary:
        dictionary(tables).to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")
    return path
