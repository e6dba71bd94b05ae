"""How far a second marker goes with the SG marker: in the cells, inside and outside of granules.

Pearson's correlation asks whether the two brightnesses rise together; Manders' coefficients, how
much of one marker lies where the other one is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem
from sgseg.quantify.per_cell import background_level

LEVELS = 4096
FEWEST_PX = 3
Values = NDArray[np.float64]


@dataclass(frozen=True)
class ColocalisationOptions:
    """From which brightness on a marker is there, for Manders' coefficients.

    Attributes
    ----------
    threshold : {"costes", "fixed"}
        `costes`: found in each field, see `costes_thresholds`. `fixed`: as given.
    marker_threshold, second_threshold : float, optional
        For `fixed`: above background, in counts of the image; needed there.
    """

    threshold: Literal["costes", "fixed"] = "costes"
    marker_threshold: float | None = None
    second_threshold: float | None = None

    def __post_init__(self) -> None:
        fixed = (self.marker_threshold, self.second_threshold)
        if self.threshold == "fixed" and None in fixed:
            what = f"only the thresholds {fixed} are given"
            expected = "one for each of the two markers"
            remedy = "Give both in counts above background, or take threshold 'costes'."
            raise InputError(Problem("colocalisation threshold 'fixed'", what, expected, remedy))


@dataclass(frozen=True)
class Colocalisation:
    """Coefficients of one field; NaN where there is nothing to compute them from.

    Attributes
    ----------
    pearson_all, pearson_inside, pearson_outside : float in [-1, 1]
        Over the pixels of cells, of those in granules, and of those outside of granules.
    manders_m1 : float in [0, 1]
        Share of the SG marker, above background, where the second marker exceeds its threshold.
    manders_m2 : float in [0, 1]
        Share of the second marker where the SG marker exceeds its threshold.
    marker_threshold, second_threshold : float
        The ones in use, above background.
    """

    pearson_all: float
    pearson_inside: float
    pearson_outside: float
    manders_m1: float
    manders_m2: float
    marker_threshold: float
    second_threshold: float


def colocalise(
    marker: NDArray[Any],
    second: NDArray[Any],
    granules: NDArray[np.integer],
    cells: NDArray[np.integer],
    *,
    options: ColocalisationOptions | None = None,
) -> Colocalisation:
    """Colocalisation of two markers in the cells of one field.

    Parameters
    ----------
    marker, second : (H, W), any range, aligned with each other.
    granules, cells : (H, W) labels, 0 is background.
    options : defaults where None.

    Notes
    -----
    Pixels outside of cells are left out: two markers that are both absent there would pass for
    correlated. Pearson and Manders as in Manders et al. 1993,
    doi:10.1111/j.1365-2818.1993.tb03313.x, with the thresholds of Costes et al. 2004,
    doi:10.1529/biophysj.103.038422; the background of either marker (`background_level`) is taken
    off first, and what is below it counts as nothing. Blur mixes neighbouring pixels, and bleed
    from one channel into the other correlates them: neither is corrected here.
    """
    options = options or ColocalisationOptions()
    inside = cells > 0
    first = marker[inside].astype(np.float64) - background_level(marker, cells)
    other = second[inside].astype(np.float64) - background_level(second, cells)
    in_granule = granules[inside] > 0
    if options.marker_threshold is not None and options.second_threshold is not None:
        thresholds = options.marker_threshold, options.second_threshold
    else:
        thresholds = costes_thresholds(first, other)
    m1, m2 = manders(first, other, *thresholds)
    return Colocalisation(
        pearson(first, other),
        pearson(first[in_granule], other[in_granule]),
        pearson(first[~in_granule], other[~in_granule]),
        m1,
        m2,
        *thresholds,
    )


def pearson(first: Values, second: Values) -> float:
    """Pearson's correlation of two arrays (n,), in [-1, 1].

    NaN for fewer than 3 pixels or where one of them is constant.
    """
    if len(first) < FEWEST_PX:
        return float("nan")
    a, b = first - first.mean(), second - second.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / scale, -1, 1)) if scale > 0 else float("nan")


def manders(
    first: Values, second: Values, first_threshold: float, second_threshold: float
) -> tuple[float, float]:
    """Manders' M1 and M2 of two arrays (n,) above background, each in [0, 1].

    M1 = sum of `first` where `second` > its threshold / sum of `first`; M2 the same exchanged.
    Negative values count as 0; NaN for a marker without signal or a threshold that is NaN.
    doi:10.1111/j.1365-2818.1993.tb03313.x
    """

    def share(values: Values, other: Values, threshold: float) -> float:
        signal = np.maximum(values, 0)
        total = float(signal.sum())
        if total <= 0 or np.isnan(threshold):
            return float("nan")
        return min(1.0, float(signal[other > threshold].sum()) / total)

    return share(first, second, second_threshold), share(second, first, first_threshold)


def costes_thresholds(first: Values, second: Values) -> tuple[float, float]:
    """Thresholds of two arrays (n,) below which they do not correlate.

    Along the line second = slope * first + intercept, fitted by orthogonal regression, the pair of
    thresholds comes down from the brightest pixel until the pixels below (`first` below its
    threshold or `second` below its own) have a Pearson correlation of 0 or less (Costes et al.
    2004, doi:10.1529/biophysj.103.038422). All of 4096 steps are tried.

    Returns
    -------
    (threshold of first, threshold of second); NaN where the line does not rise, as it does not for
    markers that avoid each other. Where the dimmest pixels correlate still, those of the dimmest.
    """
    line = _orthogonal_line(first, second)
    if line is None:
        return float("nan"), float("nan")
    slope, intercept = line
    # A pixel is below the thresholds at T where T > key: first < T or second < slope T + intercept.
    key = np.minimum(first, (second - intercept) / slope)
    low, high = float(key.min()), float(key.max())
    if not high > low:
        return float("nan"), float("nan")
    step = np.minimum(((key - low) * (LEVELS / (high - low))).astype(np.intp), LEVELS - 1)
    # Centred, so that the differences of large sums below keep their digits.
    a, b = first - first.mean(), second - second.mean()
    n, sum_a, sum_b, sum_aa, sum_bb, sum_ab = (
        np.cumsum(np.bincount(step, weights=weights, minlength=LEVELS))
        for weights in (None, a, b, a * a, b * b, a * b)
    )
    covariance = n * sum_ab - sum_a * sum_b
    spread = (n * sum_aa - sum_a**2) * (n * sum_bb - sum_b**2)
    # Fewer than three pixels, or equal ones, correlate with nothing.
    free = (covariance <= 0) | (n < FEWEST_PX) | (spread <= 0)
    steps_below = int(np.flatnonzero(free)[-1]) + 1 if free.any() else 0
    threshold = low + steps_below * (high - low) / LEVELS
    return threshold, slope * threshold + intercept


def _orthogonal_line(first: Values, second: Values) -> tuple[float, float] | None:
    """Slope and intercept of the main axis of a cloud of points; None unless it rises."""
    if len(first) < FEWEST_PX:
        return None
    a, b = first - first.mean(), second - second.mean()
    var_a, var_b, cov = float(a @ a), float(b @ b), float(a @ b)
    if cov <= 0:
        return None
    difference = var_b - var_a
    slope = (difference + np.sqrt(difference**2 + 4 * cov**2)) / (2 * cov)
    return float(slope), float(second.mean() - slope * first.mean())
