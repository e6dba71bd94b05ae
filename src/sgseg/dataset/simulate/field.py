"""One simulated field of view: cells, granules and distractors, seen through a microscope."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.config import Simulate
from sgseg.dataset.simulate import optics, stains
from sgseg.dataset.simulate.cells import make_cells
from sgseg.dataset.simulate.distractors import make_distractors
from sgseg.dataset.simulate.granules import GranuleLayer, deplete, make_granules
from sgseg.dataset.simulate.grid import Array, Grid

SMALLEST_GRANULE_PX = 4
EXPRESSION_SPREAD = 0.32  # standard deviation over cells of the logarithm of the marker's amount
GLOW_OF_CYTOPLASM = 0.04  # in the nuclear channel, of its marker
GLOW_OF_DEBRIS = 0.15
TRUTH_COLUMNS = {
    "label": "int64",
    "y": "float64",
    "x": "float64",
    "area_px": "int64",
    "diameter_um": "float64",
    "contrast_to_noise": "float64",
    "cell": "int64",
}


@dataclass(frozen=True)
class Field:
    """A field as the camera saw it, and what was really there.

    Attributes
    ----------
    image : (2, H, W) uint16
        Camera counts; channel 0 is the stress-granule marker, channel 1 the nuclei.
    granules, cells, nuclei : (H, W) int32
        Label images, 0 is background. The nucleus of cell k is labelled k as well.
    distractors : (H, W) uint8
        What is bright and no granule: 1 + index into distractors.KINDS.
    table : pandas.DataFrame
        One row per granule of the truth: label, centroid y and x (px), area_px, diameter_um (as
        drawn), contrast_to_noise, cell.
    """

    image: NDArray[np.uint16]
    granules: NDArray[np.int32]
    cells: NDArray[np.int32]
    nuclei: NDArray[np.int32]
    distractors: NDArray[np.uint8]
    table: pd.DataFrame


def simulate_field(params: Simulate, *, condition: str, replicate: int, field: int) -> Field:
    """Simulate one field of view.

    The result depends on the parameters and on (seed, condition, replicate, field) alone, so that
    further fields, replicates or conditions never change the ones there were.

    Parameters
    ----------
    params : Simulate
        The section `simulate` of params.yaml.
    condition : str
        A key of `params.conditions`.
    replicate, field : int
        Numbers from 1.

    Returns
    -------
    Field

    Notes
    -----
    Truth of a granule: the pixels whose centre lies inside its unblurred outline and inside the
    cytoplasm. It is in the truth only if it has at least 4 pixels and if its peak stands out, see
    `contrast_to_noise`; fainter ones stay in the image, as in any real one.
    """
    rng = _generator(params.seed, f"field {condition}", replicate, field)
    day = optics.draw_day(_generator(params.seed, "day", replicate), params.photons)
    hot = _generator(params.seed, "camera")
    grid = Grid(params.size, params.pixel_size_um)

    cells = make_cells(rng, grid)
    expression = rng.lognormal(-(EXPRESSION_SPREAD**2) / 2, EXPRESSION_SPREAD, cells.count)
    granules = make_granules(
        rng,
        grid,
        cells,
        expression,
        condition=params.conditions[condition],
        diameter_um=params.granule_diameter_um,
        diameter_spread=params.granule_diameter_spread,
    )
    distractors = make_distractors(rng, grid, cells, expression, params.distractors)
    nucleoli = stains.nucleoli(rng, grid, cells)
    diffuse = stains.cytoplasm(rng, grid, cells, expression, nucleoli * day.unspecific)
    marker = deplete(cells, granules, diffuse) + granules.total(grid) + distractors.signal
    dye = stains.chromatin(rng, grid, cells, nucleoli)
    dye = dye + GLOW_OF_CYTOPLASM * diffuse + GLOW_OF_DEBRIS * distractors.debris

    microscope = optics.set_up(rng, grid, day)
    seen = microscope.expose(marker, channel=0)
    leak = optics.hot_pixels(hot, grid)
    image = np.stack(
        [
            optics.read_out(rng, seen + leak),
            optics.read_out(rng, microscope.expose(dye, channel=1) + leak),
        ]
    )
    contrast = contrast_to_noise(microscope, granules, seen)
    labels, table = _truth(granules, contrast, params.visible_contrast)
    kinds = np.where(granules.labels > 0, 0, distractors.kinds).astype(np.uint8)
    return Field(image, labels, cells.labels, cells.nuclei, kinds, table)


def contrast_to_noise(microscope: optics.Microscope, granules: GranuleLayer, seen: Array) -> Array:
    """How far each granule stands out, (n,).

    The largest value, over the granule's pixels, of g / sqrt(b + r^2), where g are the electrons
    that the granule adds to the image in focus, b all the others there (shot noise has their
    variance) and r the read noise; 0 for a granule without a pixel.
    """
    peaks = np.zeros(len(granules.granules))
    for index, (window, signal) in enumerate(granules.signal):
        mine = granules.labels[window] == index + 1
        if mine.any():
            added = microscope.in_focus(signal, window)[mine]
            around = np.maximum(seen[window][mine] - added, 0)
            peaks[index] = (added / np.sqrt(around + optics.READ_NOISE**2)).max()
    return peaks


def _generator(seed: int, what: str, *numbers: int) -> np.random.Generator:
    key = [seed, zlib.crc32(what.encode()), *numbers]
    return np.random.default_rng(np.random.SeedSequence(key))


def _truth(
    granules: GranuleLayer, contrast: Array, visible_contrast: float
) -> tuple[NDArray[np.int32], pd.DataFrame]:
    """Number the granules that can be seen from 1 and list them."""
    labels = np.zeros_like(granules.labels)
    area = np.bincount(granules.labels.ravel(), minlength=len(contrast) + 1)[1:]
    visible = (area >= SMALLEST_GRANULE_PX) & (contrast >= visible_contrast)
    rows = []
    for number, index in enumerate(np.flatnonzero(visible), start=1):
        where = np.nonzero(granules.labels == index + 1)
        labels[where] = number
        granule = granules.granules[index]
        rows.append(
            (
                number,
                where[0].mean(),
                where[1].mean(),
                len(where[0]),
                2 * granule.radius,
                contrast[index],
                granule.cell,
            )
        )
    return labels, pd.DataFrame(rows, columns=list(TRUTH_COLUMNS)).astype(TRUTH_COLUMNS)
