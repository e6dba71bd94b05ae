"""How marker and nuclear dye are spread in a cell, granules apart."""

from __future__ import annotations

import numpy as np

from sgseg.dataset.simulate.cells import Cells
from sgseg.dataset.simulate.grid import Array, Grid, smooth_noise, smoothstep

MARKER_IN_NUCLEUS = (0.25, 0.5)  # of the cytoplasm around it


def cytoplasm(
    rng: np.random.Generator, grid: Grid, cells: Cells, expression: Array, unspecific: Array
) -> Array:
    """Diffuse marker (H, W) in units of an average cell's thickest cytoplasm.

    Thick parts are brighter; there are texture, dark vacuoles and a dark nucleus. `unspecific`
    (H, W), 0 to 1, is what an antibody leaves in the nucleoli.
    """
    texture = np.exp(
        0.11 * smooth_noise(rng, grid, 0.25)
        + 0.11 * smooth_noise(rng, grid, 0.8)
        + 0.15 * smooth_noise(rng, grid, 3.5)
    )
    # Vacuoles and vesicles keep the marker out: the deepest dips of a rough random field.
    holes = smoothstep((-smooth_noise(rng, grid, 0.45) - 2.0) / 0.8)
    amount = np.concatenate([[0.0], expression])[cells.labels]
    inside = np.concatenate([[0.0], rng.uniform(*MARKER_IN_NUCLEUS, cells.count)])[cells.labels]
    smooth = np.exp(0.08 * smooth_noise(rng, grid, 0.9)) * inside * (1 + 1.2 * unspecific)
    outside = texture * (1 - 0.6 * holes)
    cover = cells.nucleus_cover
    return np.asarray(amount * cells.thickness * ((1 - cover) * outside + cover * smooth))


def nucleoli(rng: np.random.Generator, grid: Grid, cells: Cells) -> Array:
    """Nucleoli, 0 to 1 (H, W): a few round bodies in each nucleus, dark in the nuclear dye."""
    image = np.zeros(grid.shape)
    for number, around in enumerate(cells.boxes(), start=1):
        core = (cells.nuclei[around] == number) & (cells.nucleus_cover[around] > 0.99)
        rows, columns = np.nonzero(core)
        for _ in range(rng.integers(1, 5) if len(rows) else 0):
            at = rng.integers(len(rows))
            y = (rows[at] + around[0].start) * grid.pixel_size_um
            x = (columns[at] + around[1].start) * grid.pixel_size_um
            radius = rng.uniform(0.6, 1.4)
            window = grid.window(y, x, 2 * radius)
            dy, dx = grid.offsets(window, y, x)
            body = smoothstep((1.3 - np.hypot(dy, dx) / radius) / 0.6)
            image[window] = np.maximum(image[window], body * (cells.nuclei[window] == number))
    return image


def chromatin(rng: np.random.Generator, grid: Grid, cells: Cells, spared: Array) -> Array:
    """Nuclear dye (H, W), 1 in a nucleus that has not copied its DNA, more in others; mottled.

    `spared` (H, W), 0 to 1, are the nucleoli, which hold little DNA.
    """
    copied = rng.uniform(size=cells.count) < 0.35
    amount = np.where(copied, 1.7, 1.0) * rng.lognormal(0, 0.12, cells.count)
    mottle = np.exp(0.16 * smooth_noise(rng, grid, 0.4) + 0.12 * smooth_noise(rng, grid, 1.5))
    amount = np.concatenate([[0.0], amount])
    return np.asarray(amount[cells.labels] * cells.nucleus_cover * mottle * (1 - 0.5 * spared))
