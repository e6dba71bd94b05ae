from __future__ import annotations

import numpy as np
import pytest

from sgseg.config import Condition
from sgseg.dataset.simulate.cells import Cells, make_cells
from sgseg.dataset.simulate.granules import (
    CONCENTRATION,
    Granule,
    GranuleLayer,
    deplete,
    make_granules,
)
from sgseg.dataset.simulate.grid import Array, Grid

GRID = Grid(256, 0.2)


def granules(
    seed: int, positive: float, per_cell: float, *, diameter: float = 0.9, spread: float = 0.35
) -> tuple[Cells, GranuleLayer]:
    rng = np.random.default_rng(seed)
    cells = make_cells(rng, GRID)
    layer = make_granules(
        rng,
        GRID,
        cells,
        np.ones(cells.count),
        condition=Condition(positive_cells=positive, granules_per_cell=per_cell),
        diameter_um=diameter,
        diameter_spread=spread,
    )
    return cells, layer


def test_no_positive_cell_no_granule() -> None:
    _, layer = granules(1, 0.0, 20.0)
    assert not layer.granules
    assert not layer.labels.any()
    assert not layer.total(GRID).any()


def test_granules_lie_in_the_cytoplasm_of_their_own_cell() -> None:
    cells, layer = granules(2, 1.0, 15.0)
    assert len(layer.granules) > 20
    covered = layer.labels > 0
    assert cells.cytoplasm[covered].all()
    owner = np.array([0] + [granule.cell for granule in layer.granules])
    np.testing.assert_array_equal(owner[layer.labels[covered]], cells.labels[covered])


def test_diameters_are_log_normal() -> None:
    logs = np.log(
        [
            2 * granule.radius
            for seed in range(6)
            for granule in granules(seed, 1.0, 25.0)[1].granules
        ]
    )
    # About 900 granules: the standard error of a mean is 0.35 / 30 = 0.012. Large ones find a place
    # less often, and the tails are cut, which takes a little off both.
    assert len(logs) > 400
    assert logs.mean() == pytest.approx(np.log(0.9), abs=0.05)
    assert logs.std() == pytest.approx(0.35, abs=0.05)
    skewness = np.mean((logs - logs.mean()) ** 3) / logs.std() ** 3
    assert (
        abs(skewness) < 0.4
    )  # the logarithm is symmetric; that of the diameters themselves is 1.1


def test_drawn_area_is_that_of_the_outline() -> None:
    # Not cut, alone, and of one size: an oval of diameter 2 um covers pi * 1^2 / 0.2^2 = 78.5 px.
    areas = []
    for seed in range(6):
        _, layer = granules(seed, 1.0, 1.0, diameter=2.0, spread=0.0)
        areas += list(np.bincount(layer.labels.ravel())[1:])
    assert len(areas) > 10
    assert np.median(areas) == pytest.approx(78.5, rel=0.12)


def test_granules_come_in_several_brightness_levels() -> None:
    found = [g.concentration for seed in range(3) for g in granules(seed, 1.0, 25.0)[1].granules]
    nearest = np.abs(np.log(np.array(found)[:, None] / np.array(CONCENTRATION))).argmin(axis=1)
    shares = np.bincount(nearest, minlength=3) / len(found)
    assert shares.min() > 0.15


def test_some_touch_and_most_do_not() -> None:
    touching = total = 0
    for seed in range(3):
        labels = granules(seed, 1.0, 15.0)[1].labels
        pairs = set()
        for a, b in ((labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])):
            meet = (a != b) & (a > 0) & (b > 0)
            pairs |= {tuple(sorted(pair)) for pair in zip(a[meet], b[meet], strict=True)}
        touching += len({number for pair in pairs for number in pair})
        total += labels.max()
    assert 0.02 < touching / total < 0.5


def test_a_cut_cell_shows_its_part_of_the_granules() -> None:
    whole, cut = [], []
    for seed in range(6):
        cells, layer = granules(seed, 1.0, 15.0)
        shown = np.bincount(cells.labels.ravel())[1:] * 0.04 / cells.full_area_um2
        count = np.bincount([g.cell for g in layer.granules], minlength=cells.count + 1)[1:]
        whole += list(count[shown > 0.8])
        cut += list(count[shown < 0.3])
    assert np.mean(whole) > 2 * np.mean(cut)


def strip(expression: float) -> tuple[Cells, GranuleLayer, Array]:
    """One cell of 10 px with 1 of diffuse marker each, and one granule holding `expression`."""
    shape = (1, 12)
    labels = np.array([[0] + [1] * 10 + [0]], dtype=np.int32)
    zeros = np.zeros(shape)
    cells = Cells(labels, np.zeros(shape, np.int32), zeros, zeros, zeros, np.array([1.0]))
    granule = Granule(0, 0, 1, 1, 0, 0, 0, 1, cell=1)
    window = (slice(0, 1), slice(3, 4))
    layer = GranuleLayer([granule], zeros.astype(np.int32), [(window, np.array([[expression]]))])
    return cells, layer, (labels > 0).astype(float)


@pytest.mark.parametrize(
    ("in_granule", "left"),
    [
        (2.5, 0.8),  # 2.5 of 12.5 is condensed, 20 %
        (90.0, 0.4),  # 90 of 100 would be; no more than 60 % is taken
    ],
)
def test_what_is_in_granules_is_missing_around_them(in_granule: float, left: float) -> None:
    cells, layer, cytoplasm = strip(in_granule)
    cytoplasm[0, 0] = 5.0  # outside of the cell, untouched
    diffuse = deplete(cells, layer, cytoplasm)
    np.testing.assert_allclose(diffuse, [[5.0] + [left] * 10 + [0.0]])
