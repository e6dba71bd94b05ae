"""One row per cell: how many granules, how much of it they cover and of its marker they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.quantify.cells import Unit, foreground
from sgseg.quantify.grid import at_border

SHADE_PERCENTILE = 1.0
BACKGROUND_SHARE = 0.005  # of the image: with less of it outside of cells, its median says nothing

Ints = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class PerCellOptions:
    """What counts.

    Attributes
    ----------
    min_granules : int
        A cell is SG-positive with this many granules or more; the field uses 1 and 2.
    count_border_cells : bool
        Whether cells cut by the border of the image count. What lies outside of it is missing from
        their numbers.
    """

    min_granules: int = 1
    count_border_cells: bool = False


def owners(granules: NDArray[np.integer], cells: NDArray[np.integer]) -> Ints:
    """For each granule label, the cell that holds most of its pixels; 0: outside of any cell.

    Parameters
    ----------
    granules, cells : (H, W) labels, 0 is background.

    Returns
    -------
    (highest granule label + 1,), index 0 unused. What is no cell competes as well: a granule with
    most of its pixels there is outside. Of equals a cell goes before none, the lower label first.
    """
    count = int(granules.max(initial=0))
    inside = granules > 0
    base = int(cells.max(initial=0)) + 1
    pairs = granules[inside].astype(np.int64) * base + cells[inside]
    pairs, pixels = np.unique(pairs, return_counts=True)
    granule, cell = np.divmod(pairs, base)
    # Sorted by pixels, then cells before none, then lower labels: the last one written stays.
    order = np.lexsort((-cell, cell > 0, pixels, granule))
    owner = np.zeros(count + 1, dtype=np.int64)
    owner[granule[order]] = cell[order]
    return owner


def measure_cells(
    cells: NDArray[np.integer],
    granules: NDArray[np.integer],
    image: NDArray[Any],
    *,
    nuclei: NDArray[np.integer] | None = None,
    granule_cells: NDArray[np.integer] | None = None,
    pixel_size_um: float | None = None,
    unit: Unit = "cell",
    options: PerCellOptions | None = None,
) -> pd.DataFrame:
    """Measure every cell; those without granules are rows as well.

    Parameters
    ----------
    cells, granules : (H, W) labels, 0 is background.
    image : (H, W), the SG marker.
    nuclei : (H, W) labels; None where none are known.
    granule_cells : cell of each granule label as `owners` gives it; None: found here.
    pixel_size_um : side of a pixel in um, None where unknown.
    unit : what a label of `cells` is; see `cells_without_nuclei`.
    options : defaults where None.

    Returns
    -------
    DataFrame, by label; without rows where `unit` is "foreground", which is no cell
        cell : label.
        n_granules : granules that belong to it (`owners`).
        is_positive : whether they are at least `min_granules`.
        granule_area_um2 or _px2 : of its granules, whole.
        granule_area_fraction : granule area over cell area (nucleus included).
        condensed_fraction : in [0, 1], share of its marker signal above background that lies in
            granule pixels; NaN without signal. The background is `background_level`.
        cell_area_um2 or _px2 : nucleus included.
        nucleus_area_um2 or _px2 : of all its nuclei; NaN where no nuclei are known.
        mean_intensity : of all its pixels, as stored in the image.
        n_nuclei : nuclei that lie in it with most of their pixels; NA where none are known.
        touches_border : whether a pixel of it is at the border of the image; a whole image as one
            cell is not cut by it.
        is_counted : whether it enters the numbers per cell: not cut by the border, see
            `count_border_cells`.
    """
    options = options or PerCellOptions()
    _check_shapes(cells, granules, image, nuclei)
    count = int(cells.max(initial=0))
    area = np.bincount(cells.ravel(), minlength=count + 1)
    present = np.flatnonzero(area[1:] * (unit != "foreground")) + 1
    owner = owners(granules, cells) if granule_cells is None else granule_cells
    n_granules, granule_area = _granules_of(granules, owner, count)
    level = background_level(image, cells if unit != "image" else foreground(image))
    total, condensed = _signal(cells, granules, image, level)
    scale = 1.0 if pixel_size_um is None else pixel_size_um**2
    power = "px2" if pixel_size_um is None else "um2"
    touching = at_border(cells, count)[present] & (unit != "image")
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, np.clip(condensed / total, 0, 1), np.nan)
        mean = total / area + level
    n_nuclei, nucleus_area = _nuclei_of(nuclei, cells, count)
    return pd.DataFrame(
        {
            "cell": present,
            "n_granules": n_granules[present],
            "is_positive": n_granules[present] >= options.min_granules,
            f"granule_area_{power}": granule_area[present] * scale,
            "granule_area_fraction": granule_area[present] / area[present],
            "condensed_fraction": share[present],
            f"cell_area_{power}": area[present] * scale,
            f"nucleus_area_{power}": nucleus_area[present] * scale,
            "mean_intensity": mean[present],
            "n_nuclei": n_nuclei[present],
            "touches_border": touching,
            "is_counted": options.count_border_cells | ~touching,
        }
    )


def background_level(image: NDArray[Any], cells: NDArray[Any]) -> float:
    """What the camera shows where no cell is: the median outside of cells.

    Where less than a two-hundredth of the image is outside: its first percentile.
    """
    outside = image[cells == 0]
    if outside.size >= max(1, BACKGROUND_SHARE * image.size):
        return float(np.median(outside))
    return float(np.percentile(image, SHADE_PERCENTILE)) if image.size else 0.0


def _granules_of(
    granules: NDArray[np.integer], owner: NDArray[np.integer], count: int
) -> tuple[Ints, Ints]:
    """Number and pixels of the granules of each cell, (count + 1,)."""
    pixels = np.bincount(granules.ravel(), minlength=len(owner))
    there = np.flatnonzero(pixels[1:]) + 1
    number = np.bincount(owner[there], minlength=count + 1)
    area = np.bincount(owner[there], weights=pixels[there], minlength=count + 1)
    return number.astype(np.int64), area.astype(np.int64)


def _signal(
    cells: NDArray[np.integer], granules: NDArray[np.integer], image: NDArray[Any], level: float
) -> tuple[Values, Values]:
    """Sum above background of each cell, and of its granule pixels, (count + 1,)."""
    count = int(cells.max(initial=0))
    above = image.ravel().astype(np.float64) - level
    total = np.bincount(cells.ravel(), weights=above, minlength=count + 1)
    inside = (granules > 0) & (cells > 0)
    condensed = np.bincount(
        cells[inside], weights=image[inside].astype(np.float64) - level, minlength=count + 1
    )
    return total.astype(np.float64), condensed.astype(np.float64)


def _nuclei_of(
    nuclei: NDArray[np.integer] | None, cells: NDArray[np.integer], count: int
) -> tuple[Any, Values]:
    """Number of nuclei and their pixels in each cell, (count + 1,)."""
    if nuclei is None:
        unknown = pd.array([pd.NA] * (count + 1), dtype="Int64")
        return unknown, np.full(count + 1, np.nan)
    number, area = _granules_of(nuclei, owners(nuclei, cells), count)
    return pd.array(number, dtype="Int64"), area.astype(np.float64)


def _check_shapes(
    cells: NDArray[Any], granules: NDArray[Any], image: NDArray[Any], nuclei: NDArray[Any] | None
) -> None:
    shapes = [part.shape for part in (cells, granules, image, nuclei) if part is not None]
    if len(set(shapes)) > 1:
        raise ValueError(f"cells, granules, image, nuclei of one shape; received: {shapes}")
