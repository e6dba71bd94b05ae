"""The tables of a report: which columns are shown, and how their numbers are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sgseg.quantify.comparisons import NOT_TESTED
from sgseg.quantify.dictionary import describe
from sgseg.quantify.measures import Found
from sgseg.quantify.statistics import Statistics
from sgseg.quantify.superplot import in_words

FIELD_COLUMNS = (
    "field",
    "condition",
    "replicate",
    "n_cells",
    "n_counted_cells",
    "positive_fraction",
    "n_granules",
    "granules_per_cell",
    "granule_area_fraction",
    "mean_granule_area_um2",
    "mean_granule_area_px",
    "mean_granule_area_px2",
    "uncertainty",
    "warnings",
    "status",
)
MOST_FIELDS, MOST_CELLS = 1000, 500
TEXTS = {"condition", "replicate", "group", "warnings", "status", "reason", "measure", "finding"}
TEXTS |= {"unit", "definition", "column"}


@dataclass(frozen=True)
class Cell:
    """What is read, and what is sorted by: a number with all its digits, or the text."""

    text: str
    key: str


@dataclass(frozen=True)
class Head:
    """A column."""

    title: str
    definition: str = ""
    is_text: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts; without rows it is not shown."""

    caption: str
    heads: list[Head]
    rows: list[list[Cell]]
    note: str = ""


def number(value: float) -> str:
    """Three significant digits, whole numbers whole; "" for NaN."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else str(value)
    if value == int(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}"


def cell(value: Any) -> Cell:
    """A value of a table; nothing known is an empty cell."""
    if value is None or value is pd.NA or value is pd.NaT:
        return Cell("", "")
    if isinstance(value, bool) or type(value).__name__ in {"bool_", "bool"}:
        return Cell("yes" if value else "no", "1" if value else "0")
    if hasattr(value, "__float__"):
        value = float(value)
        return Cell(number(value), "" if math.isnan(value) else repr(value))
    return Cell(str(value), str(value))


def rows_of(
    frame: pd.DataFrame,
    columns: Sequence[str],
    *,
    caption: str,
    file: str,
    most: int | None = None,
) -> Table:
    """The columns of a table that it has values in; at most so many rows.

    Parameters
    ----------
    file
        Whose definitions its heads have, and where the rows are that do not fit.
    """
    shown = [name for name in columns if name in frame and not _is_empty(frame[name])]
    heads = []
    for place, name in enumerate(shown):
        entry = describe(file, name)
        title = name.replace("_", " ")
        heads.append(Head(title, entry.definition if entry else "", name in TEXTS or place == 0))
    part = frame if most is None else frame.head(most)
    rows = [[cell(value) for value in row] for row in zip(*(part[c] for c in shown), strict=True)]
    cut = len(frame) - len(part)
    return Table(caption, heads, rows, f"The first {most}; {cut} more in {file}." if cut else "")


def _is_empty(column: pd.Series) -> bool:
    return bool((column.isna() | (column.astype(str) == "")).all())


def summary_table(statistics: Statistics) -> Table:
    """One row per tested measure, one column per condition: mean +- sd of replicates."""
    names = statistics.names
    of = {(row["measure"], row["condition"]): row for row in _records(statistics.conditions)}
    rows = []
    for found in leading(statistics):
        row = [Cell(found.label, found.label)]
        for name in names:
            values = of[found.name, name]
            mean, sd, n = values["mean"], values["sd"], values["n_replicates"]
            spread = f" ± {number(sd)}" if math.isfinite(sd) else ""
            row.append(
                Cell(f"{number(mean)}{spread} ({n})", repr(float(mean))) if n else Cell("none", "")
            )
        rows.append(row)
    heads = [Head("measure", is_text=True), *(Head(name or "all fields") for name in names)]
    return Table("Mean ± standard deviation of replicates (number of replicates)", heads, rows)


def leading(statistics: Statistics) -> list[Found]:
    """The measures that a report begins with: the tested ones, or all."""
    tested = [found for found in statistics.measures if found.stem in statistics.tested]
    return tested or statistics.measures


def comparison_table(statistics: Statistics, *, tested: bool) -> Table:
    """One row per comparison, an estimate and its interval in one cell.

    `tested`: of the measures that are tested, or of all others.
    """
    chosen = statistics.comparisons["measure"].isin([f.name for f in leading(statistics)])
    labels = {found.name: found.label for found in statistics.measures}
    heads = [
        Head("measure", is_text=True),
        Head("condition", is_text=True),
        Head("n", "Replicates compared: pairs, or of the condition and of the reference."),
        Head("difference", "Mean of the condition minus mean of the reference."),
        Head("ratio", "Of geometric means of replicates."),
        Head("Hedges' g", "Difference in standard deviations between replicates."),
        Head("p", "Two-sided t-test on means of replicates, corrected by Holm's method."),
        Head("finding", is_text=True),
        Head("reason", "Why a value is missing.", is_text=True),
    ]
    rows = []
    for row in _records(statistics.comparisons[chosen == tested]):
        n = f"{row['n']}" if row["design"] == "paired" else f"{row['n']}, {row['n_reference']}"
        p = row["p"]
        rows.append(
            [
                cell(labels[row["measure"]]),
                cell(row["condition"]),
                Cell(n, str(row["n"])),
                *(_interval(row, name) for name in ("difference", "ratio", "hedges_g")),
                Cell(in_words(p).removeprefix("p = ").removeprefix("p "), repr(float(p)))
                if math.isfinite(p)
                else Cell("", ""),
                cell(row["finding"]),
                # The caption says it of the whole table.
                cell(
                    row["reason"] if tested else row["reason"].replace(NOT_TESTED, "").strip("; ")
                ),
            ]
        )
    design = "within replicates" if statistics.design.is_paired else "independent replicates"
    caption = (
        f"{'Tested measures' if tested else 'Other measures, not tested'}: against"
        f" {statistics.design.reference!r}, {design}; in brackets"
        f" {100 * statistics.options.confidence:g} % intervals"
    )
    return _without_empty(Table(caption, heads, rows))


def _without_empty(table: Table) -> Table:
    kept = [k for k in range(len(table.heads)) if any(row[k].text for row in table.rows)]
    rows = [[row[k] for k in kept] for row in table.rows]
    return Table(table.caption, [table.heads[k] for k in kept], rows, table.note)


def _interval(row: dict[str, Any], name: str) -> Cell:
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if not math.isfinite(value):
        return Cell("", "")
    text = number(value)
    if math.isfinite(low):
        text += f" [{number(low)}, {number(high)}]"
    return Cell(text, repr(float(value)))


def findings(statistics: Statistics) -> list[str]:
    """What the tests say, in sentences: effects first, then what was not shown, then why not."""
    labels = {found.name: found.label for found in statistics.measures}
    table = statistics.comparisons
    table = table[table["measure"].isin([found.name for found in leading(statistics)])]
    means = {
        (row["measure"], row["condition"]): row["mean"] for row in _records(statistics.conditions)
    }
    said = []
    for row in _records(table[table["finding"].isin(["higher", "lower"])]):
        mine, theirs = (means[row["measure"], row[side]] for side in ("condition", "reference"))
        said.append(
            f"{labels[row['measure']]}: {row['finding']} in {row['condition']} than in"
            f" {row['reference']}, {number(mine)} against {number(theirs)}; difference"
            f" {_interval(row, 'difference').text}, {in_words(row['p'])}."
        )
    others: dict[tuple[str, str], list[str]] = {}
    for row in _records(table[~table["finding"].isin(["higher", "lower"])]):
        why = row["finding"] or f"not tested ({row['reason']})"
        others.setdefault((row["condition"], why), []).append(labels[row["measure"]])
    said += [
        f"{condition}, {why}: {', '.join(names)}." for (condition, why), names in others.items()
    ]
    return said


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
