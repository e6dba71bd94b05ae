"""Pearson, Manders and Costes against SciPy and against slow, literal computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from sgseg.errors import InputError
from sgseg.quantify.colocalisation import (
    LEVELS,
    ColocalisationOptions,
    colocalise,
    costes_thresholds,
    manders,
    pearson,
)

from .shapes import disks

SHAPE = (60, 60)
CELLS = disks(SHAPE, [(30, 30, 25)])
GRANULES = disks(SHAPE, [(20, 20, 4), (40, 35, 4)])


def scene(seed: int, *, shared: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two markers: a share of the second one's spots are those of the first."""
    rng = np.random.default_rng(seed)
    cell = CELLS > 0
    first = 100 + 50 * cell + 400 * (GRANULES > 0) + rng.normal(0, 5, SHAPE)
    other = 100 + 80 * cell + shared * 300 * (GRANULES > 0) + rng.normal(0, 5, SHAPE)
    return first, other


@given(
    arrays(np.float64, 12, elements=st.integers(0, 9)),
    arrays(np.float64, 12, elements=st.integers(0, 9)),
)
def test_pearson_against_scipy(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    found = pearson(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-9)


def test_two_pixels_do_not_correlate() -> None:
    assert np.isnan(pearson(np.array([1.0, 2.0]), np.array([1.0, 2.0])))


def test_manders_by_hand() -> None:
    first = np.array([4.0, 3.0, 2.0, 1.0, -5.0])
    second = np.array([0.0, 6.0, 1.0, 3.0, 2.0])
    # M1: second above 2 at the pixels of 3 and 1, of 4 + 3 + 2 + 1 (what is negative is nothing).
    # M2: first above 1 at the pixels of 0, 6 and 1, of 0 + 6 + 1 + 3 + 2.
    assert manders(first, second, 1, 2) == (4 / 10, 7 / 12)
    assert np.isnan(manders(first, second, np.nan, np.nan)).all()
    assert np.isnan(manders(np.zeros(3), np.ones(3), 0, 0)[0])


def test_costes_against_trying_every_threshold() -> None:
    rng = np.random.default_rng(3)
    both = np.concatenate([np.zeros(300), rng.uniform(20, 100, 60)])
    first = both + rng.normal(0, 4, 360)
    second = 0.5 * both + rng.normal(0, 4, 360)
    found, other = costes_thresholds(first, second)
    # The literal definition: down along the line until what is below does not correlate.
    a, b = first - first.mean(), second - second.mean()
    values, vectors = np.linalg.eigh(np.cov(a, b))
    slope = vectors[1, values.argmax()] / vectors[0, values.argmax()]
    intercept = second.mean() - slope * first.mean()
    tried = np.linspace(first.max(), first.min(), 4000)
    for threshold in tried:
        below = (first < threshold) | (second < slope * threshold + intercept)
        if below.sum() < 3 or stats.pearsonr(first[below], second[below]).statistic <= 0:
            break
    assert found == pytest.approx(threshold, abs=2 * np.ptp(first) / LEVELS + np.ptp(first) / 4000)
    assert other == pytest.approx(slope * found + intercept)
    # The bright population is above, most of the noise below.
    assert 5 < found < 25


def test_costes_of_identical_markers_takes_everything() -> None:
    values = np.arange(50, dtype=np.float64)
    threshold, other = costes_thresholds(values, values)
    assert threshold <= 3
    assert other == pytest.approx(threshold)
    assert manders(values, values, threshold, other) == pytest.approx((1, 1), abs=0.01)


@pytest.mark.parametrize(
    ("first", "second"),
    [([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]), ([5.0] * 4, [5.0] * 4), ([1.0], [1.0])],
    ids=["avoid", "constant", "one pixel"],
)
def test_no_threshold_where_markers_do_not_rise_together(
    first: list[float], second: list[float]
) -> None:
    assert np.isnan(costes_thresholds(np.array(first), np.array(second))).all()


def test_granules_that_hold_both_markers() -> None:
    found = colocalise(*scene(1, shared=1.0), GRANULES, CELLS)
    cell = CELLS > 0
    first, other = scene(1, shared=1.0)
    granule = (GRANULES > 0)[cell]
    for name, part in (("all", cell[cell]), ("inside", granule), ("outside", ~granule)):
        expected = stats.pearsonr(first[cell][part], other[cell][part]).statistic
        assert getattr(found, f"pearson_{name}") == pytest.approx(expected)
    assert found.pearson_all > 0.9
    assert abs(found.pearson_outside) < 0.1


def test_fixed_thresholds_are_above_background() -> None:
    # Without noise: background 100, cell 150 and 180, granules 550 and 480 (= +450, +380).
    cell, granule = CELLS > 0, GRANULES > 0
    first = 100.0 + 50 * cell + 400 * granule
    other = 100.0 + 80 * cell + 300 * granule
    options = ColocalisationOptions("fixed", marker_threshold=200, second_threshold=200)
    found = colocalise(first, other, GRANULES, CELLS, options=options)
    n_granule, n_rest = int(granule.sum()), int(cell.sum() - granule.sum())
    assert found.manders_m1 == pytest.approx(450 * n_granule / (450 * n_granule + 50 * n_rest))
    assert found.manders_m2 == pytest.approx(380 * n_granule / (380 * n_granule + 80 * n_rest))
    assert (found.marker_threshold, found.second_threshold) == (200, 200)


def test_a_marker_that_is_elsewhere() -> None:
    found = colocalise(*scene(2, shared=-0.2), GRANULES, CELLS)
    assert found.pearson_all < 0
    assert np.isnan([found.manders_m1, found.manders_m2]).all()


def test_no_cells_and_no_granules() -> None:
    first, other = scene(4, shared=1.0)
    nothing = np.zeros_like(CELLS)
    assert np.isnan(colocalise(first, other, nothing, nothing).pearson_all)
    found = colocalise(first, other, nothing, CELLS)
    assert np.isnan(found.pearson_inside)
    assert found.pearson_outside == found.pearson_all


def test_fixed_needs_both_thresholds() -> None:
    with pytest.raises(InputError, match=r"\(3, None\)"):
        ColocalisationOptions("fixed", marker_threshold=3)
