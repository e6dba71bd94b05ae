"""Where the dots of a SuperPlot lie: side by side where there are many of one value."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
BINS = 32


def spread(values: Array) -> Array:
    """Sideways place of each value, (n,) -> (n,) in [-0.5, 0.5]: the outline of a violin.

    The density of the values times a low-discrepancy sequence (van der Corput, base 2) along their
    order: even, and the same for the same values.
    """
    n = len(values)
    low, high = (float(values.min()), float(values.max())) if n else (0.0, 0.0)
    if high <= low:
        width = np.ones(n)
    else:
        counts, edges = np.histogram(values, BINS, (low, high))
        smooth = np.convolve(counts, [0.25, 0.5, 0.25], "same")
        middles = (edges[:-1] + edges[1:]) / 2
        width = np.interp(values, middles, smooth / smooth.max())
    # So that a handful of values is not drawn as wide as a thousand.
    width *= min(1.0, np.sqrt(n / 40))
    places = np.empty(n)
    places[np.argsort(values, kind="stable")] = van_der_corput(n) - 0.5
    return places * width


def van_der_corput(n: int) -> Array:
    """First n terms of 1/2, 1/4, 3/4, 1/8, ...: the binary digits of 1 to n, mirrored."""
    numbers, result, digit = np.arange(1, n + 1), np.zeros(n), 0.5
    while numbers.any():
        result += digit * (numbers % 2)
        numbers, digit = numbers // 2, digit / 2
    return result


def thinned(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most about `most` rows, evenly through the order of `value` in each replicate."""
    step = -(-len(rows) // most) if len(rows) else 1
    if step == 1:
        return rows
    parts = [
        part.sort_values("value", kind="stable").iloc[step // 2 :: step]
        for _, part in rows.groupby("replicate", sort=True)
    ]
    return pd.concat(parts)
