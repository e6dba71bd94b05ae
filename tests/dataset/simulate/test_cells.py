from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from sgseg.dataset.simulate.cells import SMALLEST_CELL_UM2, make_cells
from sgseg.dataset.simulate.grid import Grid


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([64, 100, 160]),
    pixel_size=st.sampled_from([0.1, 0.2, 0.5]),
)
def test_geometry_is_consistent(seed: int, size: int, pixel_size: float) -> None:
    grid = Grid(size, pixel_size)
    cells = make_cells(np.random.default_rng(seed), grid)
    count = cells.labels.max()
    assert count == cells.count == len(cells.boxes()) >= 1
    assert set(np.unique(cells.labels)) - {0} == set(range(1, count + 1))
    for number in range(1, count + 1):
        mine = cells.labels == number
        assert ndimage.label(mine)[1] == 1
        assert mine.sum() * pixel_size**2 >= SMALLEST_CELL_UM2
    nuclei = cells.nuclei > 0
    np.testing.assert_array_equal(cells.nuclei[nuclei], cells.labels[nuclei])
    assert (cells.nucleus_cover[nuclei] >= 0.5).all()
    assert not (cells.nucleus_cover[cells.labels == 0] > 0).any()
    outside = cells.labels == 0
    assert not cells.thickness[outside].any()
    assert not cells.edge_um[outside].any()
    assert cells.thickness.min() >= 0
    assert cells.thickness.max() <= 1


def test_a_nucleus_is_thick_and_keeps_away_from_the_edge(rng: np.random.Generator) -> None:
    grid = Grid(256, 0.2)
    cells = make_cells(rng, grid)
    nuclei = cells.nuclei > 0
    assert nuclei.any()
    assert cells.edge_um[nuclei].min() > 0.8
    rim = (cells.labels > 0) & (cells.edge_um < 1)
    assert np.median(cells.thickness[nuclei]) > 2 * np.median(cells.thickness[rim])


def test_distance_to_the_edge_agrees_with_a_distance_transform(rng: np.random.Generator) -> None:
    grid = Grid(256, 0.2)
    cells = make_cells(rng, grid)
    exact = np.zeros(grid.shape)
    for number in range(1, cells.count + 1):
        inside = np.pad(cells.labels == number, 1, mode="edge")
        exact += grid.pixel_size_um * ndimage.distance_transform_edt(inside)[1:-1, 1:-1]
    near = (cells.labels > 0) & (exact < 2)
    # the outline is not a circle, so that the relative distance is a guide, not a measure
    assert np.corrcoef(cells.edge_um[near], exact[near])[0, 1] > 0.6


def test_cells_touch_and_leave_gaps_and_are_cut_by_the_border() -> None:
    grid = Grid(256, 0.2)
    touching, cut, covered = 0, 0, []
    for seed in range(4):
        labels = make_cells(np.random.default_rng(seed), grid).labels
        side_by_side = (
            (labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] > 0) & (labels[:, :-1] > 0)
        )
        touching += int(side_by_side.any())
        cut += len(np.unique(labels[0])) - 1
        covered.append((labels > 0).mean())
    assert touching >= 2
    assert cut >= 2
    assert min(covered) > 0.3
    assert max(covered) < 0.95
