"""One row per field: its cells and granules together, and what is doubtful about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.quantify.cells import Unit
from sgseg.quantify.colocalisation import Colocalisation
from sgseg.quantify.grid import at_border
from sgseg.quantify.per_cell import owners

SEVERAL = " | "  # between the warnings of one field
MANY_OUTSIDE = 0.2  # of the granules; cells were not found, or what is none was taken for granules
FEW_FOR_SHARE = 5  # granules
DONE = "done"


def field_row(
    field: str,
    *,
    cells_table: pd.DataFrame,
    cells: NDArray[np.integer],
    granules: NDArray[np.integer],
    granule_cells: NDArray[np.integer] | None = None,
    pixel_size_um: float | None = None,
    unit: Unit = "cell",
    sample: dict[str, Any] | None = None,
    colocalisation: Colocalisation | None = None,
    uncertainty: float | None = None,
    warnings: Sequence[str] = (),
    status: str = DONE,
) -> dict[str, Any]:
    """Sum up one field.

    Parameters
    ----------
    cells_table : of `measure_cells`.
    cells, granules : (H, W) labels, 0 is background; where `unit` is "foreground" cells are 0, 1.
    granule_cells : see `per_cell.owners`; None: found here.
    sample : `condition`, `replicate` and `group` of the field, as far as they are known.
    uncertainty : of the segmentation, [0, 1].
    warnings : of the segmentation, before those found here.

    Returns
    -------
    dict, a value that is not known is None
        field, condition, replicate, group
        n_cells, n_counted_cells : None where nobody knows how many there are (`foreground`).
        positive_fraction : of the counted cells.
        n_granules : in the field, wherever they are.
        n_granules_outside : of them, outside of any cell.
        granules_per_cell : mean over the counted cells.
        granule_area_um2 or _px2 : of all granules of the field.
        area_fraction : granule area over area of the field.
        granule_area_fraction : granule area over cell area, of all counted cells together; of the
            foreground where there are none.
        mean_granule_area_um2 or _px2 : over granules that the border of the image does not cut.
        pearson_all, pearson_inside, pearson_outside, manders_m1, manders_m2
        uncertainty, warnings, status
    """
    if granule_cells is None:
        granule_cells = owners(granules, cells)
    sample = sample or {}
    pixels = np.bincount(granules.ravel(), minlength=len(granule_cells))
    pixels[0] = 0
    there = pixels > 0
    outside = int((there & (granule_cells == 0)).sum())
    whole = there & ~at_border(granules, len(pixels) - 1)
    scale = 1.0 if pixel_size_um is None else pixel_size_um**2
    power = "px2" if pixel_size_um is None else "um2"
    counted = cells_table[cells_table["is_counted"].astype(bool)]
    known = unit != "foreground"
    found = field_warnings(cells_table, int(there.sum()), outside, unit=unit)
    return {
        "field": field,
        **{name: sample.get(name) for name in ("condition", "replicate", "group")},
        "n_cells": len(cells_table) if known else None,
        "n_counted_cells": len(counted) if known else None,
        "positive_fraction": _mean(counted["is_positive"]),
        "n_granules": int(there.sum()),
        "n_granules_outside": outside,
        "granules_per_cell": _mean(counted["n_granules"]),
        f"granule_area_{power}": float(pixels.sum() * scale),
        "area_fraction": _ratio(int(pixels.sum()), granules.size),
        "granule_area_fraction": _covered(counted, power)
        if known
        else _ratio(int(pixels[granule_cells > 0].sum()), int(np.count_nonzero(cells))),
        f"mean_granule_area_{power}": float(pixels[whole].mean() * scale) if whole.any() else None,
        **_coefficients(colocalisation),
        "uncertainty": uncertainty,
        "warnings": SEVERAL.join([*warnings, *found, *_colocalisation_warnings(colocalisation)]),
        "status": status,
    }


def field_warnings(
    cells_table: pd.DataFrame, n_granules: int, n_outside: int, *, unit: Unit = "cell"
) -> list[str]:
    """What makes the numbers per cell of a field doubtful."""
    warnings = []
    if unit != "foreground" and not len(cells_table):
        warnings.append("no cells found")
    elif unit != "foreground" and not cells_table["is_counted"].any():
        warnings.append("all cells are cut by the border: none is counted")
    if n_granules >= FEW_FOR_SHARE and n_outside > MANY_OUTSIDE * n_granules:
        warnings.append(f"{n_outside} of {n_granules} granules lie outside of any cell")
    return warnings


def _mean(values: pd.Series) -> float | None:
    return float(values.astype(float).mean()) if len(values) else None


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _covered(counted: pd.DataFrame, power: str) -> float | None:
    return _ratio(counted[f"granule_area_{power}"].sum(), counted[f"cell_area_{power}"].sum())


def _coefficients(found: Colocalisation | None) -> dict[str, float | None]:
    names = ("pearson_all", "pearson_inside", "pearson_outside", "manders_m1", "manders_m2")
    values = {name: None if found is None else getattr(found, name) for name in names}
    return {
        name: None if value is None or np.isnan(value) else value for name, value in values.items()
    }


def _colocalisation_warnings(found: Colocalisation | None) -> list[str]:
    if found is None or not np.isnan(found.marker_threshold):
        return []
    return ["no Costes threshold, as the markers do not rise together: no Manders coefficients"]
