"""Means of replicates over their cells, and means of conditions over their replicates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from scipy import stats

from sgseg.quantify.effect import MIN_REPLICATES
from sgseg.quantify.measures import Found, Tables, observations

REPLICATE_COLUMNS = ("condition", "replicate", "n_fields", "n_cells", "n_granules")
CONDITION_COLUMNS = (
    "condition",
    "measure",
    "mean",
    "sd",
    "n_replicates",
    "mean_low",
    "mean_high",
)


def replicate_means(
    tables: Tables, measures: Sequence[Found], rows: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """One row per (condition, replicate) of `rows`: `REPLICATE_COLUMNS`, then each measure.

    NaN where a replicate has no value of a measure.
    """
    keys = ["condition", "replicate"]
    index = pd.MultiIndex.from_arrays([[row[k] for row in rows] for k in (0, 1)], names=keys)
    columns: dict[str, Any] = {
        f"n_{name}": table.groupby(keys).size().reindex(index, fill_value=0)
        for name, table in (
            ("fields", tables.fields),
            ("cells", tables.cells),
            ("granules", tables.granules),
        )
    }
    for found in measures:
        values = observations(tables, found)
        columns[found.name] = values.groupby(keys)["value"].mean().reindex(index)
    return pd.DataFrame(columns, index=index).reset_index()


def condition_means(
    replicates: pd.DataFrame, measures: Sequence[Found], order: Sequence[str], confidence: float
) -> pd.DataFrame:
    """Rows of `CONDITION_COLUMNS`, over the replicates that have a value.

    The interval of the mean is t-based, and there from three replicates on.
    """
    rows = []
    for found in measures:
        for condition in order:
            values = replicates.loc[replicates["condition"] == condition, found.name].dropna()
            n, mean, sd = len(values), values.mean(), values.std(ddof=1)
            reach = math.nan
            if n >= MIN_REPLICATES:
                reach = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * sd / math.sqrt(n)
            rows.append((condition, found.name, mean, sd, n, mean - reach, mean + reach))
    return pd.DataFrame(rows, columns=list(CONDITION_COLUMNS))
