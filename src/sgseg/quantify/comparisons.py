"""Each condition against the reference in each measure: effects, corrected p-values, findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sgseg.quantify.design import Design
from sgseg.quantify.effect import Effect, compare, holm
from sgseg.quantify.measures import Found

COMPARISON_COLUMNS = (
    "condition",
    "reference",
    "measure",
    "design",
    "n",
    "n_reference",
    "difference",
    "difference_low",
    "difference_high",
    "ratio",
    "ratio_low",
    "ratio_high",
    "hedges_g",
    "hedges_g_low",
    "hedges_g_high",
    "t",
    "df",
    "p_uncorrected",
    "p",
    "finding",
    "reason",
)
NOT_TESTED = "not among the measures tested"


def compare_all(
    replicates: pd.DataFrame,
    measures: Sequence[Found],
    design: Design,
    order: Sequence[str],
    *,
    tested: Sequence[str],
    family: str,
    confidence: float,
) -> pd.DataFrame:
    """Rows of `COMPARISON_COLUMNS`: each condition in `order` but the reference, and each measure.

    Parameters
    ----------
    replicates
        See `replicate_means`.
    tested
        Measures (`Found.stem`) that get a p-value.
    family
        What Holm's correction goes over: "run" or "measure".
    """
    rows = []
    for found in measures:
        by: dict[str, pd.Series] = {
            str(condition): values.set_index("replicate")[found.name]
            for condition, values in replicates.groupby("condition")
        }
        for condition in order:
            if design.reference is None or condition == design.reference:
                continue
            mine, theirs = by[condition], by[design.reference]
            if design.is_paired:
                mine, theirs = mine.align(theirs, join="inner")
            effect = compare(
                mine.to_numpy(np.float64),
                theirs.to_numpy(np.float64),
                is_paired=design.is_paired,
                confidence=confidence,
                with_ratio=found.measure.has_ratio,
            )
            rows.append(_row(condition, found.name, design, effect))
    table = pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))
    names = [found.name for found in measures if found.stem in tested]
    return _corrected(table, table["measure"].isin(names), family, 1 - confidence)


def _row(condition: str, measure: str, design: Design, effect: Effect) -> tuple[Any, ...]:
    intervals = (effect.difference, effect.ratio, effect.hedges_g)
    return (
        condition,
        design.reference,
        measure,
        "paired" if design.is_paired else "independent",
        effect.n,
        effect.n_reference,
        *(x for found in intervals for x in (found.value, found.low, found.high)),
        effect.t,
        effect.df,
        effect.p,
        math.nan,
        "",
        "; ".join(effect.reasons),
    )


def _corrected(
    table: pd.DataFrame, is_tested: pd.Series, family: str, level: float
) -> pd.DataFrame:
    """Fill in `p` and `finding`; no test remains of what is not to be tested."""
    raw = np.where(is_tested, table["p_uncorrected"].astype("float64"), np.nan)
    corrected = holm(raw)
    if family == "measure":
        for rows in table.groupby("measure").indices.values():
            corrected[rows] = holm(raw[rows])
    table = table.assign(p_uncorrected=raw, t=table["t"].where(is_tested), p=corrected)
    table["finding"] = np.select(
        [table["p"].isna(), (table["p"] < level) & (table["difference"] > 0), table["p"] < level],
        ["", "higher", "lower"],
        "no effect shown",
    )
    reasons = [
        "; ".join(filter(None, [reason, "" if tested else NOT_TESTED]))
        for reason, tested in zip(table["reason"], is_tested, strict=True)
    ]
    return table.assign(reason=reasons)
