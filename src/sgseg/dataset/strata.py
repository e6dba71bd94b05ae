"""Which images are alike (strata), and whole groups chosen so that all kinds get their share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

REST = "other"


def strata(manifest: pd.DataFrame, *, smallest: int) -> NDArray[np.str_]:
    """Condition and amount of foreground of each image, as one label.

    Amounts are none, and thirds of those that have any. A stratum of less than `smallest` images is
    joined with the others of its condition, then with other conditions: it could not be in every
    part anyway.

    Parameters
    ----------
    manifest : with columns condition and foreground_fraction
    smallest : number of parts that each stratum should be divided into

    Returns
    -------
    array (n,) of labels
    """
    fraction = manifest["foreground_fraction"].to_numpy(dtype=float)
    present = fraction[fraction > 0]
    edges = np.quantile(present, (1 / 3, 2 / 3)) if len(present) else np.empty(0)
    level = np.where(fraction > 0, 1 + np.digitize(fraction, edges), 0)
    condition = manifest["condition"].to_numpy(dtype=str)
    labels = np.array([f"{a} / {b}" for a, b in zip(condition, level, strict=True)], dtype=object)
    labels = np.where(_rare(labels, smallest), condition, labels)
    labels = np.where(_rare(labels, smallest), REST, labels)
    if _rare(labels, smallest).any() and len(set(labels)) > 1:
        names, counts = np.unique(labels[labels != REST], return_counts=True)
        labels[labels == REST] = names[counts.argmin()]
    return labels.astype(str)


def _rare(labels: NDArray[np.object_], smallest: int) -> NDArray[np.bool_]:
    _, position, counts = np.unique(labels.astype(str), return_inverse=True, return_counts=True)
    return np.asarray(counts[position] < smallest)


def counts_by_group(
    groups: pd.Series[str], labels: NDArray[np.str_]
) -> tuple[list[str], NDArray[np.float64]]:
    """Names of the groups, sorted, and (groups, strata) number of images."""
    names, row = np.unique(groups.to_numpy(dtype=str), return_inverse=True)
    kinds, column = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(kinds)))
    np.add.at(counts, (row, column), 1)
    return [str(name) for name in names], counts


def choose_groups(
    names: Sequence[str],
    counts: NDArray[np.float64],
    *,
    fraction: float,
    seed: str,
    chosen: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    first: NDArray[np.bool_] | None = None,
    at_most: int,
) -> NDArray[np.bool_]:
    """Choose whole groups until they hold about `fraction` of all images, and of each stratum.

    One group after another is taken, each time the one that brings the strata closest to their
    share, as long as the total comes closer to its own.

    Parameters
    ----------
    names : n names of groups
    counts : (n, strata) images
    fraction : [0, 1] of all images
    seed : decides between groups that serve equally well, the same way whatever other groups exist
    chosen : (n,) groups that are in already, and stay
    allowed : (n,) groups that may be taken
    first : (n,) groups of which the first must be one if none is chosen and any of them is allowed
    at_most : number of groups to take

    Returns
    -------
    array (n,) of bool
        Chosen groups. If `fraction` is above 0 it is at least one, where one is allowed.
    """
    chosen = chosen.copy()
    if fraction <= 0:
        return chosen
    goal = fraction * counts.sum(axis=0)
    tie = np.array(
        [int(hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:8], 16) for name in names]
    )
    order = np.argsort(tie, kind="stable")
    sizes = counts.sum(axis=1)
    for _ in range(at_most):
        have = counts[chosen].sum(axis=0)
        open_ = allowed & ~chosen
        if not chosen.any() and first is not None and (open_ & first).any():
            open_ &= first
        if chosen.any():
            missing = goal.sum() - have.sum()
            open_ &= np.abs(missing - sizes) < abs(missing)
        candidates = order[open_[order]]
        if not len(candidates):
            break
        miss = ((have + counts[candidates] - goal) ** 2).sum(axis=1)
        chosen[candidates[int(miss.argmin())]] = True
    return chosen
