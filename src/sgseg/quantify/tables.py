"""The tables of a run: those of all fields put together, and written as CSV and Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sgseg.images.write import replacing
from sgseg.quantify.granules import granule_columns
from sgseg.quantify.resume import Kept
from sgseg.quantify.samples import Sample

FACTORS = ("condition", "replicate", "group")
TEXTS = {"field", *FACTORS, "warnings", "status"}
WHOLE = {"n_cells", "n_counted_cells", "n_granules", "n_granules_outside"}
DIGITS = "%.9g"


@dataclass(frozen=True)
class RunTables:
    """Rows of all fields; the first column of each is `field`."""

    granules: pd.DataFrame
    cells: pd.DataFrame
    fields: pd.DataFrame


def collect(
    names: Sequence[str],
    done: Mapping[str, Kept],
    failed: Mapping[str, str],
    samples: Mapping[str, Sample],
) -> RunTables:
    """Put the tables of fields together.

    Parameters
    ----------
    names
        Of all fields, in the order of the rows.
    done
        Fields that were measured.
    failed
        Why the others were not: their `status`.
    """
    granules, cells, rows = [], [], []
    for name in names:
        sample = samples.get(name, Sample())
        factors = {factor: getattr(sample, factor) for factor in FACTORS}
        if name in failed:
            rows.append({"field": name, **factors, "status": failed[name]})
            continue
        kept = done[name]
        rows.append({**kept.row, "field": name, **factors})
        granules.append(_with(kept.granules, 0, {"field": name}))
        own = _with(kept.cells, 0, {"field": name})
        cells.append(_with(own, 2, {factor: factors[factor] for factor in FACTORS[:2]}))
    return RunTables(_joined(granules, granule_columns(None)), _joined(cells), _fields(rows))


def _with(table: pd.DataFrame, place: int, columns: Mapping[str, Any]) -> pd.DataFrame:
    """A table with columns of one value each at a place."""
    found = table.copy()
    for step, (name, value) in enumerate(columns.items()):
        found.insert(place + step, name, pd.Series(value, index=table.index, dtype="string"))
    return found


def _joined(tables: Sequence[pd.DataFrame], columns: Sequence[str] = ()) -> pd.DataFrame:
    """All rows; without any table, `field` and these columns."""
    if not tables:
        return pd.DataFrame(columns=["field", *columns])
    order = united([[str(name) for name in table.columns] for table in tables])
    return pd.concat(tables, ignore_index=True)[order]


def united(orders: Iterable[Sequence[str]]) -> list[str]:
    """All names in one order: a new one comes after the one that it follows."""
    found: list[str] = []
    for names in orders:
        for place, name in enumerate(names):
            if name not in found:
                found.insert(found.index(names[place - 1]) + 1 if place else 0, name)
    return found


def _fields(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    # Rows of fields that failed are short: those that are whole say the order.
    order = united([list(row) for row in sorted(rows, key=len, reverse=True)])
    table = pd.DataFrame([dict(row) for row in rows], columns=order, dtype=object)
    for name in order:
        if name in TEXTS:
            table[name] = table[name].astype("string")
        else:
            numbers = pd.to_numeric(table[name])
            table[name] = numbers.astype("Int64") if name in WHOLE else numbers.astype("float64")
    if "warnings" in table:
        table["warnings"] = table["warnings"].fillna("")
    return table


def write_table(folder: Path, stem: str, table: pd.DataFrame) -> None:
    """Write `<stem>.csv` (UTF-8, decimal point) and `<stem>.parquet`; same table, same bytes."""
    with replacing(folder / f"{stem}.csv") as temporary:
        table.to_csv(
            temporary, index=False, lineterminator="\n", float_format=DIGITS, encoding="utf-8"
        )
    with replacing(folder / f"{stem}.parquet") as temporary:
        table.to_parquet(temporary, index=False)
