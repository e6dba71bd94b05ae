from __future__ import annotations

import numpy as np

from sgseg.dataset.simulate import stains
from sgseg.dataset.simulate.cells import make_cells
from sgseg.dataset.simulate.grid import Grid

GRID = Grid(256, 0.2)


def test_marker_is_in_cells_only_darker_in_the_nucleus_and_as_bright_as_expressed(
    rng: np.random.Generator,
) -> None:
    cells = make_cells(rng, GRID)
    none = np.zeros(GRID.shape)
    expression = np.ones(cells.count)
    once = stains.cytoplasm(np.random.default_rng(3), GRID, cells, expression, none)
    assert not once[cells.labels == 0].any()
    middle = (cells.nuclei == 0) & (cells.thickness > 0.7)
    assert once[cells.nuclei > 0].mean() < 0.7 * once[middle].mean()
    # the same draw with the first cell expressing three times as much
    expression[0] = 3.0
    thrice = stains.cytoplasm(np.random.default_rng(3), GRID, cells, expression, none)
    np.testing.assert_allclose(thrice, np.where(cells.labels == 1, 3 * once, once))


def test_nucleoli_lie_in_nuclei_and_dim_the_dye(rng: np.random.Generator) -> None:
    cells = make_cells(rng, GRID)
    nucleoli = stains.nucleoli(rng, GRID, cells)
    assert nucleoli.max() > 0.9
    assert not nucleoli[cells.nuclei == 0].any()
    plain = stains.chromatin(np.random.default_rng(5), GRID, cells, np.zeros(GRID.shape))
    dimmed = stains.chromatin(np.random.default_rng(5), GRID, cells, nucleoli)
    # a whole nucleolus takes half of the dye away
    np.testing.assert_allclose(dimmed, plain * (1 - 0.5 * nucleoli))
    assert not plain[cells.labels == 0].any()
