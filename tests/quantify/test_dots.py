from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from sgseg.quantify.dots import spread, thinned, van_der_corput


def test_van_der_corput() -> None:
    # 1, 10, 11, 100 in binary, mirrored behind the point: .1, .01, .11, .001.
    assert van_der_corput(4).tolist() == [1 / 2, 1 / 4, 3 / 4, 1 / 8]


@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_dots_stay_in_their_column_and_never_jump(values: list[float]) -> None:
    found = spread(np.array(values, dtype=float))
    assert found.shape == (len(values),)
    assert (np.abs(found) <= 0.5).all()
    assert np.array_equal(found, spread(np.array(values, dtype=float)))


def test_equal_values_lie_apart_and_rare_ones_in_the_middle() -> None:
    values = np.concatenate([np.full(200, 1.0), [5.0]])
    found = spread(values)
    assert len(np.unique(found[:200])) == 200
    assert np.ptp(found[:200]) > 0.9
    assert abs(found[200]) < 0.05


def test_thinning_keeps_the_order_of_values_and_each_replicate() -> None:
    rows = pd.DataFrame({"replicate": ["a"] * 90 + ["b"] * 10, "value": np.arange(100.0)})
    found = thinned(rows, 20)
    # Every fifth, from the third on.
    assert found["value"].tolist() == [2.0 + 5 * k for k in range(18)] + [92.0, 97.0]
    assert thinned(rows, 100) is rows
    assert thinned(rows.iloc[:0], 10).empty
