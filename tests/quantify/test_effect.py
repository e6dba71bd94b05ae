from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from sgseg.quantify import effect
from sgseg.quantify.effect import compare, holm, noncentral_cdf, noncentrality

REPLICATES = st.lists(st.integers(1, 1000).map(lambda k: k / 100), min_size=3, max_size=7)


def test_paired_difference_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, sd 1, standard error 1 / sqrt(3); t_(0.975, 2) = 4.302653.
    found = compare([2, 4, 6], [1, 2, 3], is_paired=True)
    assert (found.n, found.n_reference, found.df) == (3, 3, 2)
    assert found.t == pytest.approx(2 * math.sqrt(3))
    assert found.difference.value == pytest.approx(2)
    assert found.difference.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-5)
    assert found.difference.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-5)
    # Each value is twice its partner.
    assert found.ratio == effect.Interval(pytest.approx(2))
    # Variances 4 and 1: 2 / sqrt(2.5); J(2) = Gamma(1) / (sqrt(1) Gamma(1 / 2)) = 1 / sqrt(pi).
    assert found.hedges_g.value == pytest.approx(2 / math.sqrt(2.5) / math.sqrt(math.pi))


def test_independent_difference_by_hand() -> None:
    # Means 4 and 2, variances 4 and 1: standard error sqrt(4 / 3 + 1 / 3);
    # df (5 / 3)^2 / ((4 / 3)^2 / 2 + (1 / 3)^2 / 2) = 25 / 8.5.
    found = compare([2, 4, 6], [1, 2, 3], is_paired=False)
    assert found.df == pytest.approx(25 / 8.5)
    assert found.t == pytest.approx(2 / math.sqrt(5 / 3))
    # Geometric means: the cube roots of 48 and 6.
    assert found.ratio.value == pytest.approx(2)
    assert found.ratio.low < 1 < found.ratio.high


@pytest.mark.filterwarnings("ignore:Precision loss")
@settings(max_examples=40)
@given(mine=REPLICATES, theirs=REPLICATES)
def test_welch_is_scipy_s(mine: list[float], theirs: list[float]) -> None:
    found = compare(mine, theirs, is_paired=False)
    if math.isnan(found.p):
        assert len(set(mine)) == len(set(theirs)) == 1
        return
    expected = stats.ttest_ind(mine, theirs, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.df == pytest.approx(expected.df)
    assert (found.difference.low, found.difference.high) == pytest.approx(interval, abs=1e-6)


@settings(max_examples=40)
@given(pairs=st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=3, max_size=7))
def test_paired_is_scipy_s(pairs: list[tuple[int, int]]) -> None:
    mine, theirs = np.array(pairs, dtype=float).T
    found = compare(mine, theirs, is_paired=True)
    if len(set(mine - theirs)) == 1:
        assert found.reasons == ("no variation between replicates: a t-test has no meaning",)
        return
    expected = stats.ttest_rel(mine, theirs)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    logarithms = stats.ttest_rel(np.log(mine), np.log(theirs))
    if np.ptp(np.log(mine / theirs)) > 1e-6:
        interval = logarithms.confidence_interval(0.95)
        assert np.log([found.ratio.low, found.ratio.high]) == pytest.approx(interval, abs=1e-6)


@settings(max_examples=25)
@given(mine=REPLICATES, theirs=REPLICATES, is_paired=st.booleans())
def test_intervals_agree_with_the_test_and_with_another_unit(
    mine: list[float], theirs: list[float], is_paired: bool
) -> None:
    n = min(len(mine), len(theirs))
    mine, theirs = mine[:n], theirs[:n]
    found = compare(mine, theirs, is_paired=is_paired)
    if math.isnan(found.p) or abs(found.p - 0.05) < 1e-6:
        return
    for interval in (found.difference, found.hedges_g):
        if math.isfinite(interval.value):
            assert (interval.low > 0 or interval.high < 0) == (found.p < 0.05)
    # px of 0.2 um: areas become 0.04 times as large; the other way round signs change.
    scaled = compare(np.array(mine) * 0.04, np.array(theirs) * 0.04, is_paired=is_paired)
    assert scaled.p == pytest.approx(found.p, rel=1e-6)
    assert scaled.hedges_g.low == pytest.approx(found.hedges_g.low, rel=1e-5, abs=1e-6, nan_ok=True)
    turned = compare(theirs, mine, is_paired=is_paired)
    assert turned.difference.low == pytest.approx(-found.difference.high)
    assert turned.ratio.value == pytest.approx(1 / found.ratio.value)


@pytest.mark.parametrize(
    ("mine", "theirs", "is_paired", "reason"),
    [
        ([1, 2], [3, 4], True, "2 pairs of replicates: no p-value or interval below 3"),
        ([1], [2], True, "1 pair of replicates: no p-value or interval below 3"),
        ([1, 2, 3], [3, 4], False, "3 and 2 replicates: no p-value or interval below 3"),
        ([1, 2, math.nan], [3, 4, 5], True, "2 pairs of replicates"),
        ([1, 1, 1], [0, 0, 0], False, "no variation between replicates"),
        ([1.1, 2.2, 3.3], [0.1, 1.2, 2.3], True, "no variation between replicates"),
        ([1, 2, 3], [math.nan] * 3, False, "no replicate has a value on both sides"),
    ],
)
def test_what_cannot_be_tested_says_why(
    mine: list[float], theirs: list[float], is_paired: bool, reason: str
) -> None:
    found = compare(mine, theirs, is_paired=is_paired)
    assert reason in found.reasons[0]
    assert math.isnan(found.p)
    for interval in (found.difference, found.ratio, found.hedges_g):
        assert math.isnan(interval.low)


def test_a_replicate_without_value_is_left_out() -> None:
    with_gap = compare([1, math.nan, 4, 9], [2, 5, 7, 8], is_paired=True)
    assert with_gap == compare([1, 4, 9], [2, 7, 8], is_paired=True)
    # Independent: the partner stays.
    with_gap = compare([1, math.nan, 4, 9], [2, 5, 7, 8], is_paired=False)
    assert with_gap == compare([1, 4, 9], [2, 5, 7, 8], is_paired=False)


def test_no_ratio_to_zero_but_a_difference() -> None:
    found = compare([1, 2, 4], [0, 0, 0.5], is_paired=False)
    assert math.isnan(found.ratio.value)
    assert found.reasons == ("no ratio: a replicate's value is not above zero",)
    assert math.isfinite(found.p)
    assert compare([1, 2, 4], [0, 0, 0.5], is_paired=False, with_ratio=False).reasons == ()


@pytest.mark.parametrize(
    ("t", "df", "delta"), [(2, 3, 1), (-7, 4, -3), (0, 3, 1.2), (60, 3, 106), (20, 100, 18)]
)
def test_noncentral_t_is_scipy_s_and_its_definition(t: float, df: float, delta: float) -> None:
    found = noncentral_cdf(t, df, delta)
    assert found == pytest.approx(stats.nct.cdf(t, df, delta), abs=1e-7)
    # T = (Z + delta) / sqrt(V / df): P(T <= t) is the mean of P(Z <= t sqrt(v / df) - delta).
    direct, _ = integrate.quad(
        lambda v: stats.norm.cdf(t * math.sqrt(v / df) - delta) * stats.chi2.pdf(v, df),
        0,
        stats.chi2.ppf(1 - 1e-12, df),
        limit=400,
        points=[df * (delta / t) ** 2] if t and 0 < df * (delta / t) ** 2 < 40 * df else None,
    )
    assert found == pytest.approx(direct, abs=1e-6)


@pytest.mark.parametrize(("t", "df"), [(0.0, 2), (3.1, 3), (57.0, 3), (-800.0, 2.4)])
def test_limits_of_the_noncentrality(t: float, df: float) -> None:
    low, high = noncentrality(t, df, 0.9)
    assert noncentral_cdf(t, df, low) == pytest.approx(0.95, abs=1e-6)
    assert noncentral_cdf(t, df, high) == pytest.approx(0.05, abs=1e-6)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # Four days that shift both conditions; the true difference is 2, in standard deviations of
    # the replicates (sqrt(0.6 + 0.4) = 1) as well. 100 x 0.95 = 95, standard deviation 2.2.
    rng = np.random.default_rng(0)
    difference = g = 0
    for _ in range(100):
        day = rng.normal(0, math.sqrt(0.6), 4)
        mine, theirs = day + rng.normal([[2], [0]], math.sqrt(0.4), (2, 4))
        found = compare(mine, theirs, is_paired=True, with_ratio=False)
        difference += found.difference.low <= 2 <= found.difference.high
        g += found.hedges_g.low <= 2 <= found.hedges_g.high
    assert 89 <= difference <= 100
    assert 89 <= g <= 100


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.5.
    assert holm([0.02, 0.5, math.nan, 0.01, 0.03]) == pytest.approx(
        [0.06, 0.5, math.nan, 0.04, 0.06], nan_ok=True
    )
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    # A hypothesis is rejected if each set of hypotheses that holds it is, by Bonferroni.
    for k, found in enumerate(holm(p)):
        sets = [
            chosen
            for size in range(1, len(p) + 1)
            for chosen in itertools.combinations(range(len(p)), size)
            if k in chosen
        ]
        expected = max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets)
        assert found == pytest.approx(expected)
