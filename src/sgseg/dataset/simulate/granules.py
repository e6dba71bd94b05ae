"""The granules of a field: how many, where, how large, how bright. Drawn unblurred."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sgseg.config import Condition
from sgseg.dataset.simulate.cells import Cells
from sgseg.dataset.simulate.grid import Array, Grid, Window, smooth_noise

DIAMETER_LIMITS_UM = (0.5, 3.2)
CONCENTRATION = (6.5, 10.0, 15.0)  # faint, medium, bright: excess over the cytoplasm around
CONCENTRATION_SHARE = (0.3, 0.4, 0.3)
CONCENTRATION_SPREAD = 0.18  # standard deviation of the logarithm, within a level
CELL_DEPTH_UM = 4.5  # height of a cell where its thickness is 1
TOUCHING = 0.12  # share of granules that are put beside another one
OVERDISPERSION = 3.0  # shape of the gamma distribution of the mean number over cells
CLOSE_TO_NUCLEUS_UM = 5.0  # granules become rarer over this distance
CYTOPLASM_SHARE = 0.75  # of the area of a whole cell, about; the rest is nucleus
MOST_CONDENSED = 0.6  # of a cell's marker; the diffuse rest is never less


@dataclass(frozen=True)
class Granule:
    """One granule: an oval with a slightly bumpy rim; lengths in um."""

    y: float
    x: float
    radius: float
    aspect: float
    angle: float
    bump: float
    phase: float
    concentration: float
    cell: int

    def relative_distance(self, grid: Grid, window: Window) -> Array:
        """0 at the centre, 1 on the rim, for each pixel centre of a window."""
        dy, dx = grid.offsets(window, self.y, self.x)
        stretch = np.sqrt(self.aspect)  # keeps the area
        along = (dy * np.sin(self.angle) + dx * np.cos(self.angle)) / stretch
        across = (dy * np.cos(self.angle) - dx * np.sin(self.angle)) * stretch
        rim = 1 + self.bump * np.cos(3 * np.arctan2(across, along) + self.phase)
        return np.asarray(np.hypot(along, across) / (self.radius * rim))

    def window(self, grid: Grid) -> Window:
        """Pixels that the granule can reach."""
        return grid.window(self.y, self.x, 1.6 * self.radius + 2 * grid.pixel_size_um)


@dataclass(frozen=True)
class GranuleLayer:
    """Granules as they are in the sample, before any optics.

    Attributes
    ----------
    labels : (H, W) int32
        Truth: a pixel belongs to a granule where its centre lies within the unblurred outline and
        in the cytoplasm; of two touching granules the one in which it lies deeper has it.
    signal : list of (Window, (h, w) float)
        Marker in each granule, granule k + 1 at index k; average cytoplasm is 1.
    """

    granules: list[Granule]
    labels: NDArray[np.int32]
    signal: list[tuple[Window, Array]]

    def total(self, grid: Grid) -> Array:
        """All granules in one (H, W) image."""
        image = np.zeros(grid.shape)
        for window, signal in self.signal:
            image[window] += signal
        return image


def make_granules(
    rng: np.random.Generator,
    grid: Grid,
    cells: Cells,
    expression: Array,
    *,
    condition: Condition,
    diameter_um: float,
    diameter_spread: float,
) -> GranuleLayer:
    """Draw the granules of a field.

    A share `condition.positive_cells` of the cells has granules: at least 1, on average
    `condition.granules_per_cell`, the number beyond 1 being Poisson around a mean that differs
    between cells (gamma). A cell of which the field shows a part shows that part of them. Diameters
    are log-normal with median `diameter_um` and standard deviation `diameter_spread` of the
    logarithm, cut to DIAMETER_LIMITS_UM.
    """
    to_nucleus = _distance_um(grid, cells.nuclei)
    rough = (smooth_noise(rng, grid, 0.35), smooth_noise(rng, grid, 0.35))
    granules: list[Granule] = []
    for number, window in enumerate(cells.boxes(), start=1):
        inside = (cells.labels[window] == number) & (cells.nuclei[window] == 0)
        if rng.uniform() >= condition.positive_cells or not inside.any():
            continue
        whole = CYTOPLASM_SHARE * cells.full_area_um2[number - 1]
        shown = min(1.0, float(inside.sum() * grid.pixel_size_um**2 / whole))
        mean = (condition.granules_per_cell - 1) * rng.gamma(OVERDISPERSION, 1 / OVERDISPERSION)
        count = int(rng.binomial(1 + rng.poisson(mean), shown))
        room = np.minimum(cells.edge_um[window], to_nucleus[window]) * inside
        weight = room.clip(0, 1.5) * np.exp(-to_nucleus[window] / CLOSE_TO_NUCLEUS_UM)
        diameters = diameter_um * np.exp(rng.normal(0, diameter_spread, count))
        site = _Site(grid, number, window, room, np.cumsum(weight))
        granules += _fill(rng, site, diameters.clip(*DIAMETER_LIMITS_UM))
    return _draw(grid, cells, expression, granules, rough)


def deplete(cells: Cells, layer: GranuleLayer, cytoplasm: Array) -> Array:
    """Take what is in the granules out of the diffuse cytoplasm of the same cell, (H, W)."""
    numbers = np.arange(1, cells.count + 1)
    diffuse = np.atleast_1d(ndimage.sum_labels(cytoplasm, cells.labels, numbers))
    condensed = np.zeros(cells.count)
    for granule, (_, signal) in zip(layer.granules, layer.signal, strict=True):
        condensed[granule.cell - 1] += signal.sum()
    left = 1 - np.minimum(condensed / np.maximum(diffuse + condensed, 1e-9), MOST_CONDENSED)
    return np.asarray(cytoplasm * np.concatenate([[1.0], left])[cells.labels])


def _distance_um(grid: Grid, nuclei: NDArray[np.int32]) -> Array:
    """Distance of each pixel to the next nucleus; a large number where there is none."""
    if not nuclei.any():
        return np.full(grid.shape, 4 * CLOSE_TO_NUCLEUS_UM)
    distance: Array = ndimage.distance_transform_edt(nuclei == 0)
    return distance * grid.pixel_size_um


@dataclass(frozen=True)
class _Site:
    """The cytoplasm of one cell.

    `room` (h, w) is the distance in um to what is no cytoplasm; `cumulative` (h * w,) sums up how
    likely a granule is in each pixel.
    """

    grid: Grid
    cell: int
    window: Window
    room: Array
    cumulative: Array

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """A random place in um."""
        pick = np.searchsorted(self.cumulative, rng.uniform() * self.cumulative[-1])
        row, column = divmod(min(int(pick), self.room.size - 1), self.room.shape[1])
        shift = rng.uniform(-0.5, 0.5, 2)
        y = (self.window[0].start + row + shift[0]) * self.grid.pixel_size_um
        x = (self.window[1].start + column + shift[1]) * self.grid.pixel_size_um
        return float(y), float(x)

    def fits(self, granule: Granule, others: list[Granule], partner: Granule | None) -> bool:
        """Whether a granule lies in the cytoplasm, with a gap to all others but its partner."""
        row = round(self.grid.px(granule.y)) - self.window[0].start
        column = round(self.grid.px(granule.x)) - self.window[1].start
        if not (0 <= row < self.room.shape[0] and 0 <= column < self.room.shape[1]):
            return False
        if self.room[row, column] < 0.9 * granule.radius:
            return False
        gap = 1.5 * self.grid.pixel_size_um
        return all(
            other is partner
            or np.hypot(granule.y - other.y, granule.x - other.x)
            > 1.15 * (granule.radius + other.radius) + gap
            for other in others
        )


def _fill(rng: np.random.Generator, site: _Site, diameters: Array) -> list[Granule]:
    """Put granules into one cell, some side by side; what does not fit in 30 tries is left out."""
    placed: list[Granule] = []
    if site.cumulative[-1] <= 0:
        return placed
    for diameter in diameters:
        granule = _shape(rng, float(diameter) / 2, site.cell)
        beside = rng.uniform() < TOUCHING
        partner = placed[rng.integers(len(placed))] if placed and beside else None
        for _ in range(30):
            if partner is None:
                y, x = site.draw(rng)
            else:
                heading = rng.uniform(0, 2 * np.pi)
                reach = 0.92 * (granule.radius + partner.radius)
                y = partner.y + reach * np.sin(heading)
                x = partner.x + reach * np.cos(heading)
            granule = replace(granule, y=float(y), x=float(x))
            if site.fits(granule, placed, partner):
                placed.append(granule)
                break
    return placed


def _shape(rng: np.random.Generator, radius: float, cell: int) -> Granule:
    """A granule of a given size, not yet placed."""
    level = rng.choice(CONCENTRATION, p=CONCENTRATION_SHARE)
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    return Granule(
        y=0.0,
        x=0.0,
        radius=radius,
        # Large granules have fused from several and are less round.
        aspect=1 + min(rng.gamma(1.5, radius / 2), 1.2),
        angle=angle,
        bump=rng.normal(0, 0.07),
        phase=phase,
        concentration=float(level * np.exp(rng.normal(0, CONCENTRATION_SPREAD))),
        cell=cell,
    )


def _draw(
    grid: Grid, cells: Cells, expression: Array, granules: list[Granule], rough: tuple[Array, Array]
) -> GranuleLayer:
    labels = np.zeros(grid.shape, dtype=np.int32)
    depth = np.full(grid.shape, np.inf)
    signal: list[tuple[Window, Array]] = []
    cytoplasm = cells.cytoplasm
    for number, granule in enumerate(granules, start=1):
        window = granule.window(grid)
        distance = granule.relative_distance(grid, window)
        distance = distance * (1 + 0.06 * rough[0][window])
        allowed = cytoplasm[window] & (cells.labels[window] == granule.cell)
        owned = allowed & (distance <= 1) & (distance < depth[window])
        labels[window][owned] = number
        depth[window][owned] = distance[owned]
        cover = np.clip(0.5 + (1 - distance) * grid.px(granule.radius), 0, 1) * allowed
        height = 0.4 + 0.6 * np.sqrt(np.clip(1 - distance**2, 0, 1))
        # What lies above one pixel: concentration times the granule's height, in cell depths.
        column = granule.concentration * 2 * granule.radius / CELL_DEPTH_UM
        inner = 1 + 0.08 * rough[1][window]
        signal.append((window, expression[granule.cell - 1] * column * cover * height * inner))
    return GranuleLayer(granules, labels, signal)
