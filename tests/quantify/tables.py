"""Synthetic tables of a run: cells, granules and fields with effects that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def draw_tables(
    conditions: Mapping[str, float],
    *,
    replicates: Sequence[str] | Mapping[str, Sequence[str]] = ("1", "2", "3", "4"),
    fields: int = 2,
    cells: int = 12,
    day: float = 0.2,
    seed: int = 0,
    unit: str = "um2",
) -> Tables:
    """Cells, granules and fields of a run.

    `conditions` maps a name to the mean number of granules per cell. A day (replicate) multiplies
    it, in all conditions alike, by a factor whose logarithm has the standard deviation `day`.
    """
    rng = np.random.default_rng(seed)
    in_each = (
        replicates if isinstance(replicates, Mapping) else dict.fromkeys(conditions, replicates)
    )
    days = sorted({name for names in in_each.values() for name in names})
    factor = dict(zip(days, np.exp(rng.normal(0, day, len(days))), strict=True))
    cell_rows, granule_rows, field_rows = [], [], []
    for condition, mean in conditions.items():
        for replicate in in_each[condition]:
            for number in range(1, fields + 1):
                field = f"{condition}_r{replicate}_f{number}"
                field_rows.append((field, condition, replicate, "done"))
                for cell in range(1, cells + 1):
                    n = int(rng.poisson(mean * factor[replicate]))
                    areas = np.exp(rng.normal(-0.3, 0.5, n))
                    granule_rows += [
                        (field, k + 1, cell, area, 2 + rng.gamma(4, 0.5), False)
                        for k, area in enumerate(areas)
                    ]
                    share = areas.sum() / 300
                    is_counted = cell < cells  # the last one is cut by the border
                    cell_rows.append(
                        (field, cell, condition, replicate, n, n > 0, share, is_counted)
                    )
    return (
        pd.DataFrame(
            cell_rows,
            columns=[
                *("field", "cell", "condition", "replicate", "n_granules", "is_positive"),
                *("granule_area_fraction", "is_counted"),
            ],
        ),
        pd.DataFrame(
            granule_rows,
            columns=[
                *("field", "granule", "cell", f"area_{unit}"),
                *("partition_coefficient", "touches_border"),
            ],
        ),
        pd.DataFrame(field_rows, columns=["field", "condition", "replicate", "status"]),
    )
