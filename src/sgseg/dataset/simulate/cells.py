"""Where the cells of a field are, their shapes, and where their nuclei lie. No intensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sgseg.dataset.simulate.grid import Array, Grid, Window, smooth_noise, smoothstep

RADIUS_UM = (12.3, 1.6)  # mean and standard deviation over cells
RADIUS_LIMITS_UM = (9.5, 16.0)
CONFLUENCE = (0.6, 1.0)  # share of the area asked for; not all of it finds a place
MARGIN_UM = 9.0  # cells are placed this far outside the field, so that some are cut by its border
SMALLEST_CELL_UM2 = 6.0  # a corner of a cell below this is left out
CONTACT = 0.55  # thickness of a cell where it touches another, of what it would be
BEND_UM = 0.9  # standard deviation by which an outline strays
REACH = 1.2  # relative distance up to which a cell feels its neighbour
SMALLEST_NUCLEUS = 0.6  # of its usual radius, where there is little room
DIRECTIONS = 256  # samples of an outline


@dataclass(frozen=True)
class Cells:
    """The geometry of a field.

    Attributes
    ----------
    labels : (H, W) int32
        Cells, 1 to n, 0 where there is none.
    nuclei : (H, W) int32
        The nucleus of cell k carries k as well; a cell whose nucleus is outside the field has none.
    nucleus_cover : (H, W) float
        0 to 1, nuclei with a soft rim.
    thickness : (H, W) float
        Height of the cell over the glass, 0 to 1: thick around the nucleus, flat at the edge.
    edge_um : (H, W) float
        Approximate distance to the edge of the cell or to its neighbour; 0 outside.
    full_area_um2 : (n,) float
        What each cell would cover if the field did not cut it.
    """

    labels: NDArray[np.int32]
    nuclei: NDArray[np.int32]
    nucleus_cover: Array
    thickness: Array
    edge_um: Array
    full_area_um2: Array

    @property
    def count(self) -> int:
        return len(self.full_area_um2)

    @property
    def cytoplasm(self) -> NDArray[np.bool_]:
        """(H, W), inside a cell and outside its nucleus."""
        return np.asarray((self.labels > 0) & (self.nuclei == 0))

    def boxes(self) -> list[Window]:
        """The bounding box of each cell, in the order of their numbers."""
        return [window for window in ndimage.find_objects(self.labels) if window is not None]


@dataclass(frozen=True)
class _Body:
    """One cell before it meets its neighbours: a star-shaped outline around (y, x), in um."""

    y: float
    x: float
    radius: float
    outline: Array


def make_cells(rng: np.random.Generator, grid: Grid) -> Cells:
    """Draw the cells of one field: irregular, spread, partly touching, some cut by the border."""
    bodies = _place(rng, grid)
    # The plane itself is bent: outlines are irregular at all scales and neighbours interlock.
    bend_y = BEND_UM * smooth_noise(rng, grid, 2.5) + 0.12 * smooth_noise(rng, grid, 0.5)
    bend_x = BEND_UM * smooth_noise(rng, grid, 2.5) + 0.12 * smooth_noise(rng, grid, 0.5)
    owner, nearest, second, radius = _compete(grid, bodies, bend_y, bend_x)
    owner, kept = _tidy(owner, grid)

    inside = owner > 0
    nearest, second = np.minimum(nearest, REACH), np.minimum(second, REACH)
    to_edge = np.where(inside, np.maximum((1 - nearest) * radius, 0), 0)
    to_neighbour = np.where(inside, (second - nearest) * radius / 2, 0)
    edge = np.minimum(to_edge, to_neighbour)
    dome = 0.28 + 0.72 * np.exp(-((nearest / 0.62) ** 2))
    # Neighbours press against each other: the seam between them is a shallow notch.
    seam = CONTACT + (1 - CONTACT) * smoothstep(to_neighbour / 0.7)
    thickness = np.where(inside, dome * smoothstep(to_edge / 0.9) * seam, 0)

    nuclei, cover = _nuclei(rng, grid, [bodies[index] for index in kept], owner, edge)
    areas = np.array([np.pi * bodies[index].radius ** 2 for index in kept])
    return Cells(owner, nuclei, cover, thickness, edge, areas)


def _place(rng: np.random.Generator, grid: Grid) -> list[_Body]:
    """Throw cells onto the glass; one that would lie on another is thrown again."""
    side = grid.extent_um + 2 * MARGIN_UM
    wanted = max(1, round(rng.uniform(*CONFLUENCE) * side**2 / (np.pi * RADIUS_UM[0] ** 2)))
    bodies: list[_Body] = []
    for _ in range(40 * wanted):
        if len(bodies) == wanted:
            break
        radius = float(np.clip(rng.normal(*RADIUS_UM), *RADIUS_LIMITS_UM))
        if bodies:
            y, x = rng.uniform(-MARGIN_UM, grid.extent_um + MARGIN_UM, 2)
        else:  # the first cell is well inside, so that no field is empty
            y, x = rng.uniform(0.35, 0.65, 2) * grid.extent_um
        others = np.array([(b.y, b.x, b.radius) for b in bodies]).reshape(-1, 3)
        apart = np.hypot(others[:, 0] - y, others[:, 1] - x)
        if (apart > 0.8 * (radius + others[:, 2])).all():
            bodies.append(_Body(float(y), float(x), radius, _outline(rng)))
    return bodies


def _outline(rng: np.random.Generator) -> Array:
    """Distance of the edge from the centre for each direction (DIRECTIONS,), mean 1.

    Low harmonics make the cell oblong and lobed, a few narrow bumps make the corners by which an
    adherent cell holds on to the glass.
    """
    theta = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)
    outline = np.ones(DIRECTIONS)
    for order, spread in ((2, 0.17), (3, 0.09), (4, 0.06), (5, 0.04)):
        outline += rng.normal(0, spread) * np.cos(order * theta + rng.uniform(0, 2 * np.pi))
    for _ in range(rng.integers(0, 4)):
        sharpness = rng.uniform(10, 40)
        bump = np.exp(sharpness * (np.cos(theta - rng.uniform(0, 2 * np.pi)) - 1))
        outline += rng.uniform(0.2, 0.6) * bump
    outline = np.clip(outline, 0.6, 1.8)
    return np.asarray(outline / outline.mean())


def _compete(
    grid: Grid, bodies: list[_Body], bend_y: Array, bend_x: Array
) -> tuple[NDArray[np.int32], Array, Array, Array]:
    """Give each pixel to the cell in whose outline it lies deepest.

    Returns
    -------
    owner, nearest, second, radius : (H, W)
        Number of the cell (from 1), its relative distance (0 at the centre, 1 at the outline),
        that of the runner-up (inf without one) and the radius of the owner in um.
    """
    owner = np.zeros(grid.shape, dtype=np.int32)
    nearest = np.full(grid.shape, np.inf)
    second = np.full(grid.shape, np.inf)
    radius = np.zeros(grid.shape)
    theta = np.linspace(-np.pi, np.pi, DIRECTIONS, endpoint=False)
    for number, body in enumerate(bodies, start=1):
        reach = REACH * body.outline.max() * body.radius + 4 * BEND_UM
        window = grid.window(body.y, body.x, reach)
        dy, dx = grid.offsets(window, body.y, body.x)
        dy, dx = dy + bend_y[window], dx + bend_x[window]
        edge = np.interp(np.arctan2(dy, dx), theta, body.outline, period=2 * np.pi)
        relative = np.hypot(dy, dx) / (body.radius * edge)
        wins = relative < nearest[window]
        second[window] = np.where(wins, nearest[window], np.minimum(second[window], relative))
        nearest[window] = np.where(wins, relative, nearest[window])
        taken = wins & (relative < 1)
        owner[window][taken] = number
        radius[window][taken] = body.radius
    return owner, nearest, second, radius


def _tidy(owner: NDArray[np.int32], grid: Grid) -> tuple[NDArray[np.int32], list[int]]:
    """Keep the largest piece of each cell, leave out slivers, and number the rest from 1.

    Returns
    -------
    labels : (H, W) int32
    kept : list of int
        Index into the bodies of each cell that is left.
    """
    labels = np.zeros_like(owner)
    kept: list[int] = []
    for number, window in enumerate(ndimage.find_objects(owner), start=1):
        if window is None:
            continue
        pieces, _ = ndimage.label(owner[window] == number)
        sizes = np.bincount(pieces.ravel())[1:]
        if sizes.max() * grid.pixel_size_um**2 < SMALLEST_CELL_UM2:
            continue
        kept.append(number - 1)
        labels[window][pieces == 1 + sizes.argmax()] = len(kept)
    return labels, kept


def _nuclei(
    rng: np.random.Generator,
    grid: Grid,
    bodies: list[_Body],
    owner: NDArray[np.int32],
    edge: Array,
) -> tuple[NDArray[np.int32], Array]:
    """One oval, slightly dented nucleus near the middle of each cell, clear of its edge."""
    nuclei = np.zeros(grid.shape, dtype=np.int32)
    cover = np.zeros(grid.shape)
    for number, body in enumerate(bodies, start=1):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        shift = rng.normal(0, 0.07 * body.radius, 2)
        long = body.radius * rng.uniform(0.43, 0.55)
        short = long * rng.uniform(0.66, 0.92)
        dent = rng.normal(0, 0.025)
        y, x = body.y + shift[0], body.x + shift[1]
        window = grid.window(y, x, 1.3 * long)
        dy, dx = grid.offsets(window, y, x)
        along = (dy * np.sin(angle) + dx * np.cos(angle)) / long
        across = (dy * np.cos(angle) - dx * np.sin(angle)) / short
        rim = 1 + dent * np.cos(3 * np.arctan2(across, along) + phase)
        relative = np.hypot(along, across) / rim
        room = (owner[window] == number) & (edge[window] > 0.8)
        # A nucleus is not cut by the edge of its cell: it is smaller in a small one.
        fits = float(np.clip(relative[~room].min(initial=1.0), SMALLEST_NUCLEUS, 1.0))
        depth_um = (fits - relative) * short
        nuclei[window][room & (depth_um >= 0)] = number
        soft = np.where(room, smoothstep(depth_um / 0.8 + 0.5), 0)
        cover[window] = np.maximum(cover[window], soft)
    return nuclei, cover
