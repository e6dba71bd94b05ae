"""How far two conditions are apart, from one number per replicate. Pure arithmetic: no tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

MIN_REPLICATES = 3
"""Below, neither p-value nor interval: an interval says what its p-value would."""
NO_SPREAD = 1e-9
"""A standard error below this part of the values is rounding, not variation."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence limits; NaN where there is none."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Effect:
    """A condition against a reference, the replicate being the unit.

    Attributes
    ----------
    n, n_reference : int
        Replicates with a value; pairs, twice, in a paired comparison.
    difference : Interval
        Mean of the condition minus mean of the reference, in the measure's unit.
    ratio : Interval
        Geometric mean of the condition over that of the reference.
    hedges_g : Interval
        The difference in standard deviations between replicates, see `hedges_g`.
    t, df, p : float
        Two-sided t-test on the replicates' values, before any correction.
    reasons : tuple of str
        Why something above is missing (NaN).
    """

    n: int
    n_reference: int
    difference: Interval = Interval()
    ratio: Interval = Interval()
    hedges_g: Interval = Interval()
    t: float = math.nan
    df: float = math.nan
    p: float = math.nan
    reasons: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Contrast:
    """A difference of means with its standard error and degrees of freedom."""

    difference: float
    standard_error: float
    df: float

    def interval(self, confidence: float) -> Interval:
        """`difference` +- t_(1 - alpha / 2, df) x `standard_error`."""
        reach = float(stats.t.ppf(0.5 + confidence / 2, self.df)) * self.standard_error
        return Interval(self.difference, self.difference - reach, self.difference + reach)


def paired(values: Array, reference: Array) -> Contrast:
    """Mean of the differences within pairs, (n,) and (n,); n - 1 degrees of freedom."""
    within = values - reference
    n = len(within)
    return Contrast(float(within.mean()), float(within.std(ddof=1) / math.sqrt(n)), n - 1)


def welch(values: Array, reference: Array) -> Contrast:
    """Difference of two independent means, variances unequal; doi:10.1093/biomet/34.1-2.28."""
    parts = [float(x.var(ddof=1)) / len(x) for x in (values, reference)]
    # Both scaled, so that the square of a tiny variance is not lost.
    largest = max(parts) or 1.0
    shares = [part / largest for part in parts]
    freedom = sum(
        share**2 / (len(x) - 1) for share, x in zip(shares, (values, reference), strict=True)
    )
    df = sum(shares) ** 2 / freedom if freedom else math.nan
    return Contrast(float(values.mean() - reference.mean()), math.sqrt(sum(parts)), df)


def compare(
    values: Sequence[float] | Array,
    reference: Sequence[float] | Array,
    *,
    is_paired: bool,
    confidence: float = 0.95,
    with_ratio: bool = True,
) -> Effect:
    """Difference, ratio and effect size of two conditions, with a t-test.

    Parameters
    ----------
    values, reference : (n,), (m,)
        One value per replicate, NaN where a replicate has none: it is left out, in a paired
        comparison with its partner.
    is_paired : bool
        Entry k of both is the same replicate (n = m), see `paired`; otherwise `welch`.
    confidence : float
        Of the intervals, in (0, 1).
    with_ratio : bool
        False for a measure that has no natural zero or may be negative.

    Notes
    -----
    All three intervals are based on t with the degrees of freedom of the test. That of the ratio is
    one of a difference of logarithms, hence geometric means; there is none where a value is not
    above zero. With less than three replicates (pairs) there is the bare difference.
    """
    mine, theirs = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    mine_is, theirs_is = np.isfinite(mine), np.isfinite(theirs)
    if is_paired:
        mine_is = theirs_is = mine_is & theirs_is
    mine, theirs = mine[mine_is], theirs[theirs_is]
    n, m = len(mine), len(theirs)
    if not (n and m):
        return Effect(n, m, reasons=("no replicate has a value on both sides",))
    difference = float(mine.mean() - theirs.mean())
    if min(n, m) < MIN_REPLICATES:
        return Effect(n, m, Interval(difference), reasons=(_too_few(n, m, is_paired=is_paired),))
    contrast = paired(mine, theirs) if is_paired else welch(mine, theirs)
    scale = max(np.abs(mine).max(), np.abs(theirs).max())
    if contrast.standard_error <= NO_SPREAD * scale:
        reason = "no variation between replicates: a t-test has no meaning"
        return Effect(n, m, Interval(difference), reasons=(reason,))
    t = contrast.difference / contrast.standard_error
    reasons: tuple[str, ...] = ()
    ratio = Interval()
    if with_ratio and min(mine.min(), theirs.min()) <= 0:
        reasons = ("no ratio: a replicate's value is not above zero",)
    elif with_ratio:
        ratio = _ratio(mine, theirs, is_paired=is_paired, confidence=confidence)
    return Effect(
        n,
        m,
        contrast.interval(confidence),
        ratio,
        hedges_g(mine, theirs, contrast, confidence),
        t,
        contrast.df,
        float(2 * stats.t.sf(abs(t), contrast.df)),
        reasons,
    )


def _too_few(n: int, m: int, *, is_paired: bool) -> str:
    found = f"{n} pair{'s' if n != 1 else ''} of replicates" if is_paired else f"{n} and {m}"
    unit = "" if is_paired else " replicates"
    return f"{found}{unit}: no p-value or interval below {MIN_REPLICATES}"


def _ratio(mine: Array, theirs: Array, *, is_paired: bool, confidence: float) -> Interval:
    logarithms = np.log(mine), np.log(theirs)
    contrast = (paired if is_paired else welch)(*logarithms)
    if not contrast.standard_error > NO_SPREAD:
        return Interval(math.exp(contrast.difference))
    found = contrast.interval(confidence)
    with np.errstate(over="ignore"):
        low, high = np.exp([found.low, found.high])
    return Interval(math.exp(found.value), float(low), float(high))


def hedges_g(values: Array, reference: Array, contrast: Contrast, confidence: float) -> Interval:
    """Standardised difference of means, corrected for small samples, with its interval.

    g = J(df) (mean_1 - mean_2) / sqrt((s_1^2 + s_2^2) / 2), s being standard deviations between
    replicates: the same scale for paired and independent replicates, whichever condition varies
    more. J(df) = Gamma(df / 2) / (sqrt(df / 2) Gamma((df - 1) / 2)) is Hedges' correction
    (doi:10.3102/10769986006002107) with the degrees of freedom of the test. The limits are those
    of the noncentrality of the t-distribution (doi:10.1177/0013164401614002) on the same scale;
    they exclude 0 where those of the difference do.

    A g over replicates is large: replicates differ far less than cells do. It is not to be compared
    with one over cells.
    """
    scale = math.sqrt((float(values.var(ddof=1)) + float(reference.var(ddof=1))) / 2)
    if scale <= NO_SPREAD * max(np.abs(values).max(), np.abs(reference).max()):
        return Interval()
    t = contrast.difference / contrast.standard_error
    unit = contrast.standard_error / scale
    low, high = noncentrality(t, contrast.df, confidence)
    half = contrast.df / 2
    correction = math.exp(special.gammaln(half) - special.gammaln(half - 0.5)) / math.sqrt(half)
    return Interval(correction * contrast.difference / scale, low * unit, high * unit)


def noncentrality(t: float, df: float, confidence: float) -> tuple[float, float]:
    """Limits of the noncentrality under which a t as observed is as likely as the confidence says.

    P(T >= t | low) = P(T <= t | high) = (1 - `confidence`) / 2.
    """
    tail = (1 - confidence) / 2

    def limit(share: float) -> float:
        def miss(delta: float) -> float:
            return noncentral_cdf(t, df, delta) - share

        reach = 8.0 + abs(t)
        low, high = t - reach, t + reach
        while miss(low) < 0:
            low -= reach
        while miss(high) > 0:
            high += reach
        return float(optimize.brentq(miss, low, high, xtol=1e-9, rtol=1e-9))

    return limit(1 - tail), limit(tail)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)


def noncentral_cdf(t: float, df: float, delta: float) -> float:
    """P(T <= t) for noncentral t: the mean of Phi(t s - delta) over s = sqrt(chi2_df / df).

    By quadrature, since `scipy.stats.nct` is NaN far from the middle, and t is often 50 where a
    stress works. The integrand is steep where t s = delta: it is integrated in pieces around.
    """
    half = df / 2
    low, high = np.sqrt(special.gammaincinv(half, (1e-14, 1 - 1e-14)) / half)
    bend, width = (delta / t, 9.0 / abs(t)) if t else (low, 0.0)
    cuts = [low, *np.clip([bend - width, bend, bend + width], low, high), high]
    scale = math.log(2) + half * math.log(half) - special.gammaln(half)
    total = 0.0
    for start, stop in pairwise(cuts):
        if stop > start:
            s = (start + stop) / 2 + (stop - start) / 2 * _NODES
            density = np.exp(scale + (df - 1) * np.log(s) - half * s**2)
            total += float((stop - start) / 2 * (_WEIGHTS * special.ndtr(t * s - delta)) @ density)
    return total


def holm(p: Sequence[float] | Array) -> Array:
    """P-values corrected for being several, (n,) -> (n,); NaN stays NaN and does not count.

    The k-th smallest (from 0) of m times m - k, never below the one before it, at most 1 (Holm
    1979, Scandinavian Journal of Statistics 6:65). The chance that any effect is reported where
    there is none stays below the level, however the tests depend on each other.
    """
    raw = np.asarray(p, dtype=np.float64)
    corrected = np.full(raw.shape, np.nan)
    order = [int(k) for k in np.argsort(raw, kind="stable") if np.isfinite(raw[k])]
    highest = 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, float((len(order) - rank) * raw[k])))
        corrected[k] = highest
    return corrected
