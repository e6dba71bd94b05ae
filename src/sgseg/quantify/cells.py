"""Cells: grown from nuclei over the cytoplasm; or what stands in for them without any nuclei.

The SG marker itself shows the cytoplasm in which it is diffuse, a cell stain shows it better;
either is the image to give. Nuclei come from `nuclei` or, as cells may, from elsewhere (`given`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import expand_labels, watershed

from sgseg.quantify.grid import Floats, Labels, block_mean, label_medians, repeat

WORK_PX = 16  # diameter of a nucleus in the coarse image in which cells are found
RING = (0.05, 0.3)  # around a nucleus, in its diameters: cytoplasm of this cell, almost for certain
BACKGROUND_PERCENTILE = 2.0
SMOOTHING = 0.03  # standard deviation of the blur, in diameters
BRIGHTEST = 2.0  # times the usual cytoplasm; granules are no ridge that a border would avoid
DARKEST = 0.05
DIM_CELLS = 10.0  # percentile of the cells' brightness by which cytoplasm is looked for
FOREGROUND_SMOOTHING_PX = 1.5
VISIBLE = 5.0  # contrast of the cytoplasm; noise alone reaches 3, simulated cells 10 to 30
_EIGHT = np.ones((3, 3), dtype=bool)

Unit = Literal["cell", "image", "foreground"]


@dataclass(frozen=True)
class CellOptions:
    """How cells are found; lengths in diameters of a typical nucleus of the field.

    Attributes
    ----------
    method : {"watershed", "expansion"}
        `watershed`: over the cytoplasm. `expansion`: a rim of constant width around each nucleus,
        for images in which the cytoplasm cannot be seen.
    edge : float
        In (0, 1): a cell ends where its brightness above background has fallen to this share of
        that around its nucleus.
    valley : float
        How much a dark seam between two cells counts against the distance to their nuclei: 0 goes
        by distance alone.
    reach : float
        No part of a cell is further from its nucleus.
    expansion : float
        Width of the rim; 0: nuclei are taken for cells, as where condensates are in nuclei.
    same_cell : float
        Nuclei with a narrower gap between them are of one cell; 0: every nucleus has its own.
    """

    method: Literal["watershed", "expansion"] = "watershed"
    edge: float = 0.25
    valley: float = 1.0
    reach: float = 2.0
    expansion: float = 0.5
    same_cell: float = 0.0


def segment_cells(
    marker: NDArray[Any], nuclei: NDArray[np.integer], *, options: CellOptions | None = None
) -> Labels:
    """Label the cells around nuclei.

    Parameters
    ----------
    marker : (H, W), any range, cytoplasm brighter than what is no cell.
    nuclei : (H, W) labels, 0 is background.
    options : defaults where None.

    Returns
    -------
    label image (H, W) int32: each cell carries the label of its nucleus, of several (`same_cell`)
    the lowest. A nucleus belongs to its cell pixel for pixel. Without nuclei there are no cells;
    see `cells_without_nuclei`.

    Notes
    -----
    A watershed from the nuclei over distance minus logarithm of the brightness, so that cells meet
    midway between their nuclei or, if there is one, in the dark seam near it; a compromise as in
    Jones et al. 2005, doi:10.1007/11569541_54. How bright the cytoplasm of a cell is, and with it
    where the cell ends, is the median in a ring around its nucleus: granules do not count in it.
    """
    options = options or CellOptions()
    seeds: Labels = nuclei.astype(np.int32)
    if marker.shape != seeds.shape:
        raise ValueError(
            f"marker and nuclei of one shape are needed. Received: {marker.shape}, {seeds.shape}"
        )
    if not seeds.any():
        return seeds
    diameter = typical_diameter_px(seeds)
    if options.method == "expansion":
        cells = expand_labels(seeds, options.expansion * diameter)
    else:
        cells = _over_cytoplasm(marker, seeds, diameter, options)
    if options.same_cell > 0:
        cells = _shared(seeds, options.same_cell * diameter)[cells]
    return _one_piece(cells, seeds)


def cytoplasm_contrast(marker: NDArray[Any], nuclei: NDArray[np.integer]) -> float:
    """How far the cytoplasm around nuclei stands out, in standard deviations of fine noise.

    Median over the nuclei; NaN without any. Of both, marker and noise, after the smoothing with
    which `segment_cells` sees them.
    """
    if not nuclei.any():
        return float("nan")
    seeds: Labels = nuclei.astype(np.int32)
    field = _Field(marker, seeds, typical_diameter_px(seeds))
    levels = field.ring_levels()[np.unique(field.seeds[field.seeds > 0])]
    coarser = ndimage.gaussian_filter(field.flat, 2 * max(1.0, SMOOTHING * field.scale))
    fine = field.flat - coarser
    noise = 1.4826 * float(np.median(np.abs(fine - np.median(fine))))
    if not len(levels):
        return float("nan")
    level = float(np.median(levels))
    return level / noise if noise > 0 else (float("inf") if level > 0 else 0.0)


def cell_warnings(marker: NDArray[Any], nuclei: NDArray[np.integer]) -> list[str]:
    """Why a watershed over this marker would not find cells; empty where it can."""
    if cytoplasm_contrast(marker, nuclei) < VISIBLE:
        return ["the cytoplasm hardly stands out from the background: cell outlines mean nothing"]
    return []


def cells_without_nuclei(marker: NDArray[Any], *, unit: Unit) -> Labels:
    """What granules are counted in where no nucleus is known.

    Parameters
    ----------
    marker : (H, W), any range.
    unit : {"image", "foreground"}
        `image`: the whole image is one cell, as in a crop around it. SGs per cell are SGs per
        image; the area of the cell is that of the image, its surroundings included, and it is not
        cut by the border. `foreground`: what is brighter than the background is cells, how many
        nobody knows: there are SGs per field and per area of cells, none per cell.

    Returns
    -------
    label image (H, W) int32 of 0 and 1.
    """
    if unit == "image":
        return np.ones(marker.shape, np.int32)
    if unit == "foreground":
        return foreground(marker).astype(np.int32)
    raise ValueError(f"unit {unit!r}; expected 'image' or 'foreground'")


def foreground(marker: NDArray[Any]) -> NDArray[np.bool_]:
    """Where cells are (H, W), by Otsu's threshold of the cube root of what is above background.

    The root makes granules and the cytoplasm, a tenth as bright, one class (Otsu 1979,
    doi:10.1109/TSMC.1979.4310076). In an image without contrast nothing is foreground.
    """
    image = ndimage.median_filter(block_mean(marker, 1), size=3, mode="nearest")
    smooth = ndimage.gaussian_filter(image, FOREGROUND_SMOOTHING_PX, mode="nearest")
    root = np.cbrt(np.maximum(smooth - np.percentile(smooth, BACKGROUND_PERCENTILE), 0))
    if root.max() <= 0:
        return np.zeros(marker.shape, dtype=bool)
    above: NDArray[np.bool_] = root > threshold_otsu(root)
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(above)
    return filled


def typical_diameter_px(nuclei: NDArray[np.integer]) -> float:
    """Median diameter of a disk of the area of each nucleus, px."""
    areas = np.bincount(nuclei.ravel())[1:]
    return max(2.0, float(np.sqrt(4 / np.pi * np.median(areas[areas > 0]))))


class _Field:
    """The coarse image, and how far each pixel is from which nucleus."""

    def __init__(self, marker: NDArray[Any], nuclei: Labels, diameter: float) -> None:
        self.factor = max(1, int(diameter / WORK_PX))
        self.scale = diameter / self.factor
        image = block_mean(marker, self.factor)
        middle = slice(self.factor // 2, None, self.factor)
        seeds = nuclei[middle, middle]
        # The middle of a last block that is cut short can be beyond the image.
        missing = [(0, all_ - n) for all_, n in zip(image.shape, seeds.shape, strict=True)]
        self.seeds: Labels = np.pad(seeds, missing, mode="edge")
        away, (rows, columns) = ndimage.distance_transform_edt(self.seeds == 0, return_indices=True)
        self.away: Floats = away.astype(np.float32)
        self.nearest: Labels = self.seeds[rows, columns]
        # Specks and hot pixels are nobody's cytoplasm.
        quiet = ndimage.median_filter(image, size=3, mode="nearest")
        smooth = ndimage.gaussian_filter(quiet, SMOOTHING * self.scale, mode="nearest")
        self.flat: Floats = smooth - np.float32(np.percentile(smooth, BACKGROUND_PERCENTILE))

    def ring_levels(self) -> NDArray[np.float64]:
        """Brightness of the cytoplasm around each nucleus; index 0 is background."""
        inner, outer = RING
        ring = (self.away > inner * self.scale) & (self.away <= outer * self.scale)
        levels = label_medians(self.flat, np.where(ring, self.nearest, 0))
        return np.pad(levels, (0, int(self.seeds.max()) + 1 - len(levels)))


def _over_cytoplasm(
    marker: NDArray[Any], nuclei: Labels, diameter: float, options: CellOptions
) -> Labels:
    field = _Field(marker, nuclei, diameter)
    if not field.seeds.any():
        return nuclei
    levels = field.ring_levels()
    own = levels[np.unique(field.seeds[field.seeds > 0])]
    usual = float(np.median(own))
    if usual <= 0:
        # Nothing around the nuclei is brighter than the background.
        return nuclei
    dim = max(float(np.percentile(own, DIM_CELLS)), 0.0)
    near = field.away <= options.reach * field.scale
    mask = (near & (field.flat > options.edge * dim)) | (field.seeds > 0)
    height = np.log(np.clip(field.flat / usual, DARKEST, BRIGHTEST))
    landscape = field.away / field.scale - options.valley * height
    found: Labels = watershed(landscape, field.seeds, mask=mask).astype(np.int32)
    found[(field.flat <= options.edge * levels[found]) & (field.seeds == 0)] = 0
    cells: Labels = repeat(found, field.factor, nuclei.shape)
    return np.where(nuclei > 0, nuclei, cells)


def _shared(nuclei: Labels, gap_px: float) -> NDArray[np.int32]:
    """For each label the lowest one of the nuclei that are closer together than a gap."""
    joined, count = ndimage.label(
        ndimage.distance_transform_edt(nuclei == 0) <= gap_px / 2, structure=_EIGHT
    )
    inside = nuclei > 0
    lowest = np.full(count + 1, np.iinfo(np.int32).max, dtype=np.int32)
    np.minimum.at(lowest, joined[inside], nuclei[inside])
    names = np.arange(int(nuclei.max()) + 1, dtype=np.int32)
    names[nuclei[inside]] = lowest[joined[inside]]
    return names


def _one_piece(cells: Labels, nuclei: Labels) -> Labels:
    """Holes of each cell filled; pieces that hold no part of its nuclei go."""
    clean = np.zeros_like(cells)
    for label, window in enumerate(ndimage.find_objects(cells), start=1):
        if window is None:
            continue
        mine = cells[window] == label
        pieces, count = ndimage.label(mine, structure=_EIGHT)
        if count > 1:
            held = np.unique(pieces[mine & (nuclei[window] > 0)])
            mine = np.isin(pieces, held[held > 0])
        filled = ndimage.binary_fill_holes(mine)
        free = (cells[window] == 0) | mine
        clean[window][filled & free] = label
    return clean
