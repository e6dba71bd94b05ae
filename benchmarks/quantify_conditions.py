"""Whether the statistics find what is there, and nothing where nothing is: `python` this.

Fields are simulated, and their true granules and cells are counted: what is tried here is the
statistics, not the segmentation.

1. Three conditions (control, low, high), four replicates: are they in the right order, and is each
   stress told from the control?
2. Two halves of one condition: is an effect reported, in any of the tested measures? The halves
   consist of whole replicates. Fields of one replicate share a day - brightness and focus decide
   which granules can be seen - so that fields of one day in both halves would resemble each other
   more than days do, and a test that takes fields or cells for independent has more of them than
   there are. What that would do is shown beside it: the same tables, cells as the unit.
3. The same as 2 on drawn tables with days that differ much more than those of the simulator, and
   the paired design: half of the fields of each day on either side.
"""

# ruff: noqa: T201 - what it finds is printed

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from tqdm import tqdm

from sgseg.config import Simulate, load_params
from sgseg.dataset.simulate import simulate_field
from sgseg.errors import exit_with_message
from sgseg.quantify.effect import holm
from sgseg.quantify.statistics import Statistics, StatisticsOptions, compare_conditions

SIZE_PX = 512
REPLICATES, FIELDS = 4, 2
ORDERED = ("positive_fraction", "granules_per_cell", "granule_area_fraction")
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def true_tables(
    params: Simulate, conditions: Sequence[str], replicates: int, fields: int
) -> Tables:
    """Cells, granules and fields as `sgseg quantify` would write them, of the truth."""
    cell_tables, granule_tables, rows = [], [], []
    for condition in conditions:
        for replicate in range(1, replicates + 1):
            for number in range(1, fields + 1):
                seen = simulate_field(
                    params, condition=condition, replicate=replicate, field=number
                )
                name = f"{condition}_r{replicate}_f{number:02d}"
                pixel = params.pixel_size_um**2
                granules = seen.table.rename(columns={"label": "granule"})
                granules = granules.assign(
                    field=name,
                    area_um2=granules["area_px"] * pixel,
                    touches_border=np.isin(granules["granule"], _at_border(seen.granules)),
                )
                granule_tables.append(granules.drop(columns=["area_px"]))
                cell_tables.append(_cells(seen.cells, granules, pixel).assign(field=name))
                rows.append((name, condition, str(replicate)))
    fields_table = pd.DataFrame(rows, columns=["field", "condition", "replicate"])
    return (
        pd.concat(cell_tables, ignore_index=True),
        pd.concat(granule_tables, ignore_index=True),
        fields_table,
    )


def _cells(labels: NDArray[np.int32], granules: pd.DataFrame, pixel: float) -> pd.DataFrame:
    n = int(labels.max())
    own = granules["cell"].to_numpy()
    count = np.bincount(own, minlength=n + 1)[1:]
    covered = np.bincount(own, granules["area_um2"], minlength=n + 1)[1:]
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:] * pixel
    numbers = np.arange(1, n + 1)
    return pd.DataFrame(
        {
            "cell": numbers,
            "n_granules": count,
            "is_positive": count > 0,
            "granule_area_fraction": covered / area,
            "cell_area_um2": area,
            "is_counted": ~np.isin(numbers, _at_border(labels)),
        }
    )


def _at_border(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    return np.unique(np.concatenate(sides))


def halves(fields: pd.DataFrame) -> pd.DataFrame:
    """The fields of one condition as two: the first half of its replicates, and the second."""
    names = sorted(set(fields["replicate"]), key=int)
    first = set(names[: len(names) // 2])
    return fields.assign(condition=np.where(fields["replicate"].isin(first), "first", "second"))


def is_ordered(found: Statistics, order: Sequence[str]) -> bool:
    """Whether the means of all `ORDERED` measures rise in this order of conditions."""
    means = found.conditions.pivot_table(index="measure", columns="condition", values="mean")
    return all(means.loc[name, list(order)].is_monotonic_increasing for name in ORDERED)


def reports_effect(found: Statistics) -> bool:
    """Whether any comparison of the run is called higher or lower."""
    return bool(found.comparisons["finding"].isin(["higher", "lower"]).any())


def reports_effect_on_cells(found: Statistics) -> bool:
    """The mistake: t-tests with cells as the unit, corrected as well."""
    cells = found.tables.cells
    first, second = (part for _, part in cells.groupby("condition"))
    p = [
        stats.ttest_ind(first[name].astype(float), second[name].astype(float), equal_var=False)[1]
        for name in ("is_positive", "n_granules")
    ]
    return bool((holm(p) < 0.05).any())


def drawn_tables(seed: int, *, day: float, replicates: int, paired: bool) -> Tables:
    """One condition in two halves: days differ by a factor whose logarithm has sd `day`."""
    rng = np.random.default_rng(seed)
    cells, fields = [], []
    for half in ("first", "second"):
        for replicate in range(replicates):
            name = str(replicate if paired else replicate + replicates * (half == "second"))
            # The same day for both halves in the paired design.
            shift = np.random.default_rng([seed, int(name)]).normal(0, day)
            field = f"{half}_{name}"
            n = rng.poisson(4 * np.exp(shift) * rng.gamma(3, 1 / 3, 40))
            share = n * 0.004 * rng.lognormal(0, 0.2, 40)
            cells.append(
                pd.DataFrame(
                    {
                        "field": field,
                        "cell": np.arange(1, 41),
                        "n_granules": n,
                        "is_positive": n > 0,
                        "granule_area_fraction": share,
                        "condensed_fraction": np.clip(2 * share, 0, 1),
                    }
                )
            )
            fields.append((field, half, name))
    granules = pd.DataFrame({"field": pd.Series(dtype=str), "cell": pd.Series(dtype=int)})
    return (
        pd.concat(cells, ignore_index=True),
        granules,
        pd.DataFrame(fields, columns=["field", "condition", "replicate"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ordering-seeds", type=int, default=20)
    parser.add_argument("--null-seeds", type=int, default=100)
    parser.add_argument("--size", type=int, default=SIZE_PX, help="of a field, px")
    parser.add_argument("--condition", default="arsenite_low", help="of which halves are taken")
    options = parser.parse_args()
    params = load_params().simulate.model_copy(update={"size": options.size})
    print(f"{FIELDS} fields of {options.size} px per replicate\n")

    order, told = [], []
    names = list(params.conditions)
    for seed in tqdm(range(options.ordering_seeds), desc="ordering", leave=False):
        seeded = params.model_copy(update={"seed": params.seed + seed})
        found = compare_conditions(*true_tables(seeded, names, REPLICATES, FIELDS))
        order.append(is_ordered(found, names))
        table = found.comparisons[found.comparisons["measure"] == "granules_per_cell"]
        told.append(bool((table["finding"] == "higher").all()))
    print(f"ordering of {' < '.join(names)}, {REPLICATES} replicates:")
    print(f"  recovered in all of {', '.join(ORDERED)}: {sum(order)} of {len(order)} seeds")
    print(f"  both told from control in granules per cell: {sum(told)} of {len(told)} seeds\n")

    counts: dict[str, list[bool]] = {"replicates": [], "cells": []}
    n_cells = []
    against = StatisticsOptions(reference="first")
    for seed in tqdm(range(options.null_seeds), desc="halves", leave=False):
        seeded = params.model_copy(update={"seed": params.seed + 1000 + seed})
        cells, granules, fields = true_tables(seeded, [options.condition], 2 * REPLICATES, FIELDS)
        found = compare_conditions(cells, granules, halves(fields), options=against)
        counts["replicates"].append(reports_effect(found))
        counts["cells"].append(reports_effect_on_cells(found))
        n_cells.append(len(found.tables.cells))
    print(f"two halves of {options.condition}, {REPLICATES} replicates each,")
    print(f"{np.median(n_cells):.0f} cells in both (median); no effect reported:")
    for unit, effects in counts.items():
        print(f"  unit {unit}: {len(effects) - sum(effects)} of {len(effects)} seeds")

    print(f"\ndrawn tables, days with sd 0.4 of the logarithm, {REPLICATES} + {REPLICATES}")
    for design in ("independent", "paired"):
        counts = {"replicates": [], "cells": []}
        for seed in tqdm(range(5 * options.null_seeds), desc=design, leave=False):
            tables = drawn_tables(seed, day=0.4, replicates=REPLICATES, paired=design == "paired")
            found = compare_conditions(*tables, options=against)
            counts["replicates"].append(reports_effect(found))
            counts["cells"].append(reports_effect_on_cells(found))
        for unit, effects in counts.items():
            n = len(effects)
            print(f"  {design}, unit {unit}: no effect in {n - sum(effects)} of {n} seeds")


if __name__ == "__main__":
    exit_with_message(main)
