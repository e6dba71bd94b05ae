"""What looks like granules and is none: filaments, bright edges, soft blobs, debris."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgseg.dataset.simulate.cells import Cells
from sgseg.dataset.simulate.grid import Array, Grid, blur, smooth_noise, smoothstep

KINDS = ("filament", "edge", "blob", "debris")
FILAMENT_CELLS = 0.25  # share of cells with filaments
EDGE_CELLS = 0.25  # share of cells with a bright stretch of edge
BLOBS_PER_CELL = 1.0
DEBRIS_PER_1000_UM2 = 1.0
FLOATING_PER_1000_UM2 = 0.03  # detached cells above the others
FILAMENT_SIGMA_UM = 0.12
SHOWN = 0.25  # signal, in average cytoplasm, above which a pixel counts as part of a distractor


@dataclass(frozen=True)
class Distractors:
    """Marker that is in no granule, unblurred.

    Attributes
    ----------
    signal : (H, W) float
        To be added to the cytoplasm, average cytoplasm is 1.
    kinds : (H, W) uint8
        1 + index into KINDS where there is a distractor, 0 elsewhere.
    debris : (H, W) float
        The part of `signal` that is debris; it shines in every channel.
    """

    signal: Array
    kinds: NDArray[np.uint8]
    debris: Array


def make_distractors(
    rng: np.random.Generator, grid: Grid, cells: Cells, expression: Array, amount: float
) -> Distractors:
    """Draw the distractors of a field; `amount` 1 is usual, 0 is none."""
    brightness = np.concatenate([[0.0], expression])[cells.labels]
    debris = _specks(rng, grid, cells, amount) + _floating(rng, grid, amount)
    layers = (
        _filaments(rng, grid, cells, amount) * brightness,
        _ruffles(rng, grid, cells, amount) * brightness,
        _blobs(rng, grid, cells, brightness, amount),
        debris,
    )
    kinds = np.zeros(grid.shape, dtype=np.uint8)
    for index, layer in enumerate(layers, start=1):
        kinds[layer > SHOWN] = index
    return Distractors(np.sum(layers, axis=0), kinds, debris)


def _filaments(rng: np.random.Generator, grid: Grid, cells: Cells, amount: float) -> Array:
    """Bundles of roughly parallel, bent fibres through the cytoplasm of some cells."""
    image = np.zeros(grid.shape)
    for number, window in enumerate(cells.boxes(), start=1):
        if rng.uniform() >= FILAMENT_CELLS * amount:
            continue
        inside = cells.labels[window] == number
        rows, columns = np.nonzero(inside & (cells.nuclei[window] == 0))
        heading = rng.uniform(0, np.pi)
        for _ in range(1 + rng.poisson(3) if len(rows) else 0):
            at = rng.integers(len(rows))
            start = (int(rows[at]), int(columns[at]))
            direction = heading + rng.normal(0, 0.25)
            length = rng.lognormal(np.log(grid.px(5.0)), 0.6)
            line = _line(rng, grid, inside.shape, start=start, heading=direction, length=length)
            image[window] += rng.lognormal(np.log(0.75), 0.5) * line * inside
    # Fibres run below the nucleus as well, but fade there.
    return image * (1 - 0.6 * cells.nucleus_cover)


def _line(
    rng: np.random.Generator,
    grid: Grid,
    shape: tuple[int, ...],
    *,
    start: tuple[int, int],
    heading: float,
    length: float,
) -> Array:
    """A curved, beaded line of height about 1 that fades at both ends; start and length in px."""
    count = max(4, int(2 * length))
    turn = 0.3 * np.sqrt(grid.pixel_size_um / 2)
    angle = heading + np.cumsum(rng.normal(0, turn, count))
    row = np.round(start[0] + np.cumsum(np.sin(angle)) / 2).astype(int)
    column = np.round(start[1] + np.cumsum(np.cos(angle)) / 2).astype(int)
    taper = np.minimum(1, 4 * np.sin(np.linspace(0, np.pi, count)).clip(0))
    beads = 1 + 0.35 * np.sin(np.cumsum(rng.normal(0.25, 0.2, count)))
    image = np.zeros(shape)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    np.maximum.at(image, (row[inside], column[inside]), (taper * beads)[inside])
    # Across a line one pixel wide, a Gaussian leaves 1 / (sqrt(2 pi) sigma) of its height.
    sigma = max(0.4, grid.px(FILAMENT_SIGMA_UM))
    return np.asarray(blur(image, sigma) * np.sqrt(2 * np.pi) * sigma)


def _ruffles(rng: np.random.Generator, grid: Grid, cells: Cells, amount: float) -> Array:
    """Bright, uneven stretches along the edge of some cells."""
    image = np.zeros(grid.shape)
    uneven = np.exp(0.7 * smooth_noise(rng, grid, 0.5))
    for number, window in enumerate(cells.boxes(), start=1):
        if rng.uniform() >= EDGE_CELLS * amount:
            continue
        middle, width = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.6)
        depth, height = rng.uniform(0.3, 0.8), rng.uniform(0.4, 1.2)
        inside = cells.labels[window] == number
        rows, columns = np.nonzero(inside)
        dy = np.arange(inside.shape[0])[:, None] - rows.mean()
        dx = np.arange(inside.shape[1])[None, :] - columns.mean()
        stretch = np.exp((np.cos(np.arctan2(dy, dx) - middle) - 1) / width**2)
        band = np.exp(-(((cells.edge_um[window] - depth) / 0.35) ** 2))
        image[window] += height * stretch * band * inside
    return image * uneven


def _blobs(
    rng: np.random.Generator, grid: Grid, cells: Cells, brightness: Array, amount: float
) -> Array:
    """Soft blobs of marker far out of focus: granule-sized or larger, without a rim."""
    image = np.zeros(grid.shape)
    rows, columns = np.nonzero(cells.cytoplasm)
    for _ in range(rng.poisson(BLOBS_PER_CELL * cells.count * amount) if len(rows) else 0):
        at = rng.integers(len(rows))
        y, x = rows[at] * grid.pixel_size_um, columns[at] * grid.pixel_size_um
        sigma = rng.uniform(0.7, 1.5)
        window = grid.window(y, x, 3.5 * sigma)
        dy, dx = grid.offsets(window, y, x)
        height = rng.uniform(0.25, 0.75) * brightness[rows[at], columns[at]]
        image[window] += height * np.exp(-(dy**2 + dx**2) / (2 * sigma**2))
    return image


def _specks(rng: np.random.Generator, grid: Grid, cells: Cells, amount: float) -> Array:
    """Ragged crumbs on the glass between the cells, in focus or not."""
    image = np.zeros(grid.shape)
    ragged = 1 + 0.25 * smooth_noise(rng, grid, 0.4)
    uneven = (1 + 0.3 * smooth_noise(rng, grid, 0.4)).clip(0.2)
    for _ in range(rng.poisson(DEBRIS_PER_1000_UM2 * grid.extent_um**2 / 1000 * amount)):
        y, x = rng.uniform(0, grid.extent_um, 2)
        radius = min(rng.lognormal(np.log(0.4), 0.6), 2.5)
        height = rng.lognormal(np.log(1.6), 0.9)
        aspect, angle = rng.uniform(1, 2.2), rng.uniform(0, np.pi)
        window = grid.window(y, x, 4 * radius + 3 * grid.pixel_size_um)
        dy, dx = grid.offsets(window, y, x)
        along = (dy * np.sin(angle) + dx * np.cos(angle)) / aspect
        across = dy * np.cos(angle) - dx * np.sin(angle)
        distance = np.hypot(along, across) / radius * ragged[window]
        if rng.uniform() < 0.4:
            image[window] += 0.6 * height * np.exp(-(distance**2) / 2)
        else:
            image[window] += height * np.clip(0.5 + (1 - distance) * grid.px(radius), 0, 1)
    return np.asarray(image * uneven * (cells.labels == 0))


def _floating(rng: np.random.Generator, grid: Grid, amount: float) -> Array:
    """Now and then a detached cell above the focal plane: a disc of light over what lies below."""
    image = np.zeros(grid.shape)
    uneven = np.exp(0.2 * smooth_noise(rng, grid, 1.5))
    for _ in range(rng.poisson(FLOATING_PER_1000_UM2 * grid.extent_um**2 / 1000 * amount)):
        y, x = rng.uniform(-0.05, 1.05, 2) * grid.extent_um
        radius, height = rng.uniform(3.5, 6), rng.uniform(1.0, 3.0)
        window = grid.window(y, x, 2 * radius)
        dy, dx = grid.offsets(window, y, x)
        image[window] += height * smoothstep((1.5 - np.hypot(dy, dx) / radius) / 1.1)
    return np.asarray(image * uneven)
