"""Statistics by replicate: means of replicates, of conditions, and what sets conditions apart.

The unit is the replicate, not the cell (Lord et al. 2020, doi:10.1083/jcb.202001064): cells of one
day resemble each other, and a thousand of them say no more about another day than a few do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from sgseg.errors import InputError, Problem
from sgseg.quantify.comparisons import compare_all
from sgseg.quantify.design import DESIGNS, Design, choose_design, natural
from sgseg.quantify.fields import DONE
from sgseg.quantify.means import condition_means, replicate_means
from sgseg.quantify.measures import (
    MEASURES,
    TESTED,
    TESTED_WITHOUT_CELLS,
    Found,
    Tables,
    as_name,
    found_in,
    only_in_pixels,
    tables_of,
)


@dataclass(frozen=True)
class StatisticsOptions:
    """How conditions are compared.

    Parameters
    ----------
    reference
        The condition that all others are compared with; None: found by its name.
    design
        "paired" (within replicates of the same name), "independent" (Welch) or "auto"; see
        `choose_design`.
    tested
        The measures that are tested, by `Measure.name` without its unit; None: `TESTED`, or
        `TESTED_WITHOUT_CELLS`. The fewer, the milder the correction. To be chosen before
        the numbers are seen.
    family
        What Holm's correction goes over: "run", all tests of the run, so that the chance of any
        effect where there is none stays below 1 - `confidence`; or "measure", the comparisons
        within each measure, for a reader who came for one of them.
    confidence
        Of all intervals; an effect is reported where the corrected p is below 1 - `confidence`.
    few_cells
        Replicates with fewer cells are named.
    """

    reference: str | None = None
    design: Literal["auto", "paired", "independent"] = "auto"
    tested: tuple[str, ...] | None = None
    family: Literal["run", "measure"] = "run"
    confidence: float = 0.95
    few_cells: int = 10


@dataclass(frozen=True)
class Statistics:
    """What `compare_conditions` found.

    Attributes
    ----------
    replicates : pandas.DataFrame
        One row per condition and replicate: `REPLICATE_COLUMNS`, then the mean of each measure.
    conditions : pandas.DataFrame
        One row per condition and measure: `CONDITION_COLUMNS`, over replicates.
    comparisons : pandas.DataFrame
        One row per condition but the reference, and measure: `COMPARISON_COLUMNS`.
    notes : list of str
        What was decided and why, and what was left out, in sentences.
    measures : list of Found
        Those that have values.
    tables : Tables
        The cells, granules and fields that counted.
    """

    replicates: pd.DataFrame
    conditions: pd.DataFrame
    comparisons: pd.DataFrame
    notes: list[str]
    measures: list[Found]
    tables: Tables
    design: Design
    options: StatisticsOptions = field(default_factory=StatisticsOptions)

    @property
    def names(self) -> list[str]:
        """The conditions in the order of tables and figures: the reference first."""
        return list(dict.fromkeys(self.replicates["condition"]))

    @property
    def tested(self) -> tuple[str, ...]:
        """The measures that are tested, by `Found.stem`."""
        return _tested(self.options, self.tables)

    @property
    def conditions_table(self) -> pd.DataFrame:
        """What conditions.csv holds: `conditions` with the comparison of each row beside it."""
        table = self.conditions.merge(self.comparisons, on=["condition", "measure"], how="left")
        is_reference = table["condition"] == self.design.reference
        why = is_reference.map({True: "the reference", False: "no reference to compare with"})
        if len(self.names) < 2:
            why[:] = "the only condition"
        return table.assign(reason=table["reason"].astype("object").fillna(why))


def compare_conditions(
    cells: pd.DataFrame,
    granules: pd.DataFrame,
    fields: pd.DataFrame,
    *,
    options: StatisticsOptions | None = None,
) -> Statistics:
    """Means of replicates and conditions, and each condition against the reference.

    Parameters
    ----------
    cells, granules, fields
        The tables of a run. `fields` has `field` and may have `condition` and `replicate` (names
        or numbers), and `status`: rows with another one than `DONE` are left out.

    Raises
    ------
    InputError
        The reference is no condition, or an option is out of its range.

    Notes
    -----
    - The value of a replicate is the mean over its cells that count (over its granules or fields,
      where a measure belongs to these). Each replicate then counts once, whatever its number of
      cells. One without a value, such as the size of granules where there are none, is left out of
      that measure alone.
    - Where no field of a condition has a replicate, they are one replicate of no name; where some
      have, the others are left out. The same with conditions over the run.
    - Sd is the sample standard deviation between replicates (n - 1).
    - The t-test, its intervals and its effect size: see `effect.compare`; correction: `holm`.
    """
    options = options or StatisticsOptions()
    fields, notes = _usable(fields)
    tables = tables_of(cells, granules, fields)
    measures = found_in(tables)
    _check(options)
    order = list(dict.fromkeys(tables.fields["condition"]))
    names = {
        str(condition): sorted(set(rows["replicate"]), key=natural)
        for condition, rows in tables.fields.groupby("condition", sort=False)
    }
    design = choose_design(names, reference=options.reference, design=options.design)
    if design.reference is not None:
        order = [design.reference, *(name for name in order if name != design.reference)]
    rows = [(condition, replicate) for condition in order for replicate in names[condition]]
    replicates = replicate_means(tables, measures, rows)
    comparisons = compare_all(
        replicates,
        measures,
        design,
        order,
        tested=_tested(options, tables),
        family=options.family,
        confidence=options.confidence,
    )
    return Statistics(
        replicates,
        condition_means(replicates, measures, order, options.confidence),
        comparisons,
        [*notes, *design.notes, *_said(replicates, comparisons, tables, options)],
        measures,
        tables,
        design,
        options,
    )


def _tested(options: StatisticsOptions, tables: Tables) -> tuple[str, ...]:
    if options.tested is not None:
        return options.tested
    return TESTED if len(tables.cells) else TESTED_WITHOUT_CELLS


def _check(options: StatisticsOptions) -> None:
    known = [measure.name.removesuffix("_*") for measure in MEASURES]
    problems = [
        Problem("tested", f"no measure is called {name!r}", "some of " + ", ".join(known))
        for name in options.tested or ()
        if name not in known
    ]
    if not 0.5 <= options.confidence < 1:
        problems.append(Problem("confidence", f"got {options.confidence!r}", "0.5 to below 1"))
    for what, value, allowed in (
        ("design", options.design, DESIGNS),
        ("family", options.family, ("run", "measure")),
    ):
        if value not in allowed:
            problems.append(Problem(what, f"got {value!r}", " or ".join(allowed)))
    if problems:
        raise InputError(*problems)


def _usable(fields: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The fields that can be compared, their names as text, and what was left out."""
    notes = []
    fields = fields.assign(
        **{
            name: [as_name(value) for value in fields[name]] if name in fields else ""
            for name in ("condition", "replicate")
        }
    )
    if "status" in fields:
        failed = fields["status"].astype(str) != DONE
        if failed.any():
            notes.append(f"{_many(int(failed.sum()), 'failed field')} left out.")
        fields = fields[~failed]
    has = fields["condition"] != ""
    if has.any() and not has.all():
        notes.append(f"{_many(int((~has).sum()), 'field')} without a condition left out.")
        fields = fields[has]
    named = fields["replicate"] != ""
    partly = ~named & named.groupby(fields["condition"]).transform("any")
    if partly.any():
        notes.append(
            f"{_many(int(partly.sum()), 'field')} without a replicate left out: others of the same"
            " condition have one."
        )
        fields = fields[~partly]
    without = sorted({_shown(c) for c in fields["condition"][fields["replicate"] == ""]})
    if without:
        notes.append(
            f"No replicate was given for {' or '.join(without)}: all its fields are taken as one"
            " replicate."
        )
    return fields, notes


def _shown(condition: str) -> str:
    return repr(condition) if condition else "the only condition"


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _said(
    replicates: pd.DataFrame,
    comparisons: pd.DataFrame,
    tables: Tables,
    options: StatisticsOptions,
) -> list[str]:
    """Sentences on how many tests were corrected for, and on what is thin."""
    notes = []
    n = int(comparisons["p"].notna().sum())
    if n:
        over = "all of them" if options.family == "run" else "the comparisons of each measure"
        tests = "1 test" if n == 1 else f"{n} tests; p-values are corrected over {over} (Holm)"
        notes.append(f"{tests}. Intervals are not corrected for being several.")
    in_pixels = only_in_pixels(tables)
    if in_pixels:
        notes.append(
            f"{_many(in_pixels, 'field')} of unknown pixel size left out of lengths and areas,"
            " which are in µm."
        )
    few = replicates[replicates["n_cells"] < options.few_cells]
    if len(tables.cells) and len(few):
        named = ", ".join(
            f"{condition} {replicate}".strip() + f" ({n_cells})"
            for condition, replicate, n_cells in zip(
                few["condition"], few["replicate"], few["n_cells"], strict=True
            )
        )
        notes.append(f"Fewer than {options.few_cells} cells that count in: {named}.")
    return notes
