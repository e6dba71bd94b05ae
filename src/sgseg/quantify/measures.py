"""What is compared between conditions: each measure, and its value in cells and in replicates.

From the tables of cells, granules and fields to one value per replicate; no statistics.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

LEVELS = {"cell": "cells", "granule": "granules", "field": "fields"}
"""Where a measure is taken, and the table that holds it."""


@dataclass(frozen=True)
class Measure:
    """A quantity whose mean over a replicate is compared between conditions.

    Parameters
    ----------
    name
        What tables call it; `*` stands for the unit of `column`.
    level
        "cell", "granule" or "field": what the mean is taken over.
    column
        In the table of that level; `*` stands for um (um2) or px (px2).
    title
        In figures and text.
    unit
        Of a number that has no length in it.
    only_positive
        Over SG-positive cells alone.
    has_ratio
        Whether it has a natural zero and is never negative.
    """

    name: str
    level: str
    column: str
    title: str
    unit: str = ""
    only_positive: bool = False
    has_ratio: bool = True


MEASURES = (
    Measure("positive_fraction", "cell", "is_positive", "SG-positive cells", "share of cells"),
    Measure("granules_per_cell", "cell", "n_granules", "granules per cell"),
    Measure(
        "granules_per_positive_cell",
        "cell",
        "n_granules",
        "granules per SG-positive cell",
        only_positive=True,
    ),
    Measure("granule_area_fraction", "cell", "granule_area_fraction", "granule area / cell area"),
    Measure("condensed_fraction", "cell", "condensed_fraction", "share of the signal condensed"),
    Measure("mean_granule_area_*", "granule", "area_*", "granule area"),
    Measure("partition_coefficient", "granule", "partition_coefficient", "partition coefficient"),
    Measure(
        "contrast_to_noise", "granule", "contrast_to_noise", "contrast to noise", has_ratio=False
    ),
    Measure("circularity", "granule", "circularity", "circularity of granules"),
    Measure("aspect_ratio", "granule", "aspect_ratio", "aspect ratio of granules"),
    Measure("solidity", "granule", "solidity", "solidity of granules"),
    Measure(
        "distance_to_nucleus_*",
        "granule",
        "distance_to_nucleus_*",
        "distance to nucleus",
        has_ratio=False,
    ),
    Measure("cell_area_*", "cell", "cell_area_*", "cell area"),
    Measure("nucleus_area_*", "cell", "nucleus_area_*", "nucleus area"),
    Measure("cell_mean_intensity", "cell", "mean_intensity", "mean intensity of cells", "counts"),
    Measure("granules_per_field", "field", "n_granules", "granules per field"),
    Measure(
        "foreground_area_fraction", "field", "granule_area_fraction", "granule area / cell area"
    ),
    Measure("area_fraction", "field", "area_fraction", "granule area / field area"),
    *(
        Measure(name, "field", name, title, has_ratio=False)
        for name, title in (
            ("pearson_all", "Pearson correlation with the second marker"),
            ("pearson_inside", "Pearson correlation inside granules"),
            ("pearson_outside", "Pearson correlation outside granules"),
            ("manders_m1", "Manders M1"),
            ("manders_m2", "Manders M2"),
        )
    ),
)
TESTED = (
    "positive_fraction",
    "granules_per_cell",
    "mean_granule_area",
    "partition_coefficient",
)
"""Tested by default: whether, how many, how large, how dense. The others follow from these or are
descriptions; they have intervals but no p-value, since every test makes the correction harsher."""
ONLY_WITHOUT_CELLS = ("granules_per_field", "foreground_area_fraction", "area_fraction")
"""Measures of fields, which say less than those of cells where cells are known."""
TESTED_WITHOUT_CELLS = (*ONLY_WITHOUT_CELLS[:2], "mean_granule_area", "partition_coefficient")
"""Tested where no cell is known."""
SHOWN_UNITS = {"um": "µm", "um2": "µm²", "px": "px", "px2": "px"}


@dataclass(frozen=True)
class Found:
    """A measure as the tables of a run have it: with its unit.

    Attributes
    ----------
    name : str
        Column of replicates.csv, such as mean_granule_area_um2.
    column : str
        Column of the table of its level.
    """

    measure: Measure
    name: str
    column: str

    @property
    def unit(self) -> str:
        """As it is shown, "" for a plain number."""
        suffix = re.search(r"_(um2|px2|um|px)$", self.name)
        return SHOWN_UNITS[suffix.group(1)] if suffix else self.measure.unit

    @property
    def label(self) -> str:
        """Title and unit, as at an axis."""
        return f"{self.measure.title} ({self.unit})" if self.unit else self.measure.title

    @property
    def stem(self) -> str:
        """The name without a unit."""
        return self.measure.name.removesuffix("_*")


@dataclass(frozen=True)
class Tables:
    """The rows that count, each with `condition` and `replicate` (texts), see `tables_of`."""

    cells: pd.DataFrame
    granules: pd.DataFrame
    fields: pd.DataFrame

    def of(self, level: str) -> pd.DataFrame:
        """The table of "cell", "granule" or "field"."""
        table: pd.DataFrame = getattr(self, LEVELS[level])
        return table


def as_name(value: Any) -> str:
    """A condition or replicate as text: 1, 1.0 and "1" are the same, nothing given is ""."""
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        if value.is_integer():
            return str(int(value))
    return str(value).strip()


def tables_of(cells: pd.DataFrame, granules: pd.DataFrame, fields: pd.DataFrame) -> Tables:
    """The rows that count, with the condition and replicate of their field.

    Cells are those with `is_counted`; granules lie in such a cell and are not cut by the border of
    the image. Without any cell, as where no cells were segmented, all granules count but those cut.

    Parameters
    ----------
    fields
        Only rows of fields that were measured: `field`, `condition`, `replicate` (names or
        nothing). Rows of `cells` and `granules` from other fields are left out.
    """
    names = fields[["field"]].assign(
        condition=[as_name(value) for value in fields["condition"]],
        replicate=[as_name(value) for value in fields["replicate"]],
    )
    counted = cells[_is(cells, "is_counted", missing=True)]
    granules = granules[~_is(granules, "touches_border", missing=False)]
    if len(cells):
        granules = granules.merge(counted[["field", "cell"]], on=["field", "cell"])
    return Tables(*(_named(table, names) for table in (counted, granules, fields)))


def _is(table: pd.DataFrame, column: str, *, missing: bool) -> pd.Series:
    if column not in table:
        return pd.Series(missing, index=table.index)
    return table[column].astype("boolean").fillna(missing).astype(bool)


def _named(table: pd.DataFrame, names: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=["condition", "replicate"], errors="ignore").merge(names, on="field")


def found_in(tables: Tables) -> list[Found]:
    """The measures that the tables have values for, in the order of `MEASURES`.

    A length or area is taken in um where any row has it, otherwise in px: never both.
    """
    result = []
    for measure in MEASURES:
        table = tables.of(measure.level)
        if measure.name in ONLY_WITHOUT_CELLS and len(tables.cells):
            continue
        for column in _spelled(measure.column):
            if column in table and table[column].notna().any():
                unit = column.removeprefix(measure.column.removesuffix("*"))
                result.append(Found(measure, measure.name.replace("*", unit), column))
                break
    return result


def _spelled(column: str) -> list[str]:
    """A column in all units, the preferred one first."""
    if not column.endswith("*"):
        return [column]
    return [column.replace("*", unit) for unit in SHOWN_UNITS]


def only_in_pixels(tables: Tables) -> int:
    """Fields with lengths or areas in px, in a run that has others in um."""
    fields: set[str] = set()
    for measure in MEASURES:
        table = tables.of(measure.level)
        present = [c for c in _spelled(measure.column) if c in table and table[c].notna().any()]
        for column in present[1:]:
            is_other = table[present[0]].isna() & table[column].notna()
            fields |= set(table["field"][is_other])
    return len(fields)


def observations(tables: Tables, found: Found) -> pd.DataFrame:
    """The values that a replicate's mean is taken over: condition, replicate, field, value.

    Rows without a value (a partition coefficient where there is no cytoplasm around) are left out.
    """
    table = tables.of(found.measure.level)
    if found.measure.only_positive:
        table = table[_is(table, "is_positive", missing=False)]
    rows = table[["condition", "replicate", "field"]].assign(
        value=table[found.column].astype("float64")
    )
    return rows.dropna(subset=["value"]).reset_index(drop=True)
