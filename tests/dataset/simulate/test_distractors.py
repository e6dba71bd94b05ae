from __future__ import annotations

import numpy as np
import pytest

from sgseg.dataset.simulate import distractors
from sgseg.dataset.simulate.cells import make_cells
from sgseg.dataset.simulate.distractors import KINDS, SHOWN, Distractors, make_distractors
from sgseg.dataset.simulate.grid import Grid

GRID = Grid(192, 0.25)


def draw(seed: int, amount: float) -> tuple[np.ndarray, Distractors]:
    rng = np.random.default_rng(seed)
    cells = make_cells(rng, GRID)
    return cells.labels, make_distractors(rng, GRID, cells, np.ones(cells.count), amount)


def test_amount_zero_is_none() -> None:
    _, none = draw(1, 0.0)
    assert not none.signal.any()
    assert not none.kinds.any()


def test_every_kind_occurs_and_more_is_more() -> None:
    seen, few, many = set(), 0.0, 0.0
    for seed in range(6):
        usual = draw(seed, 1.0)[1]
        seen |= set(np.unique(usual.kinds)) - {0}
        few += usual.signal.sum()
        many += draw(seed, 3.0)[1].signal.sum()
    assert seen == set(range(1, len(KINDS) + 1))
    assert many > 1.5 * few


@pytest.mark.parametrize("seed", range(4))
def test_each_lies_where_it_belongs(seed: int) -> None:
    labels, drawn = draw(seed, 2.0)
    assert drawn.signal.min() >= 0
    assert (drawn.signal[drawn.kinds > 0] > SHOWN).all()
    for kind in ("filament", "edge"):
        where = drawn.kinds == 1 + KINDS.index(kind)
        assert (labels[where] > 0).all()
    assert (drawn.debris <= drawn.signal + 1e-12).all()


def test_crumbs_lie_on_the_glass_between_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distractors, "FLOATING_PER_1000_UM2", 0.0)  # those float over cells too
    found = 0.0
    for seed in range(3):
        labels, drawn = draw(seed, 3.0)
        assert not drawn.debris[labels > 0].any()
        found += drawn.debris.sum()
    assert found > 0
