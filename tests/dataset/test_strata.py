"""Strata, and whole groups chosen to hold a share of each."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sgseg.dataset.strata import choose_groups, counts_by_group, strata

from .lab import manifest_of


def test_condition_and_thirds_of_the_foreground() -> None:
    # Of 12 images with granules each third has 4; the 4 empty ones are a level of their own.
    fractions = [0.0] * 4 + [0.01 * (1 + number) for number in range(12)]
    labels = strata(manifest_of(condition=["a"] * 16, foreground_fraction=fractions), smallest=4)
    assert Counter(labels) == {"a / 0": 4, "a / 1": 4, "a / 2": 4, "a / 3": 4}


def test_rare_strata_are_joined_within_their_condition_first() -> None:
    fractions = [0.01, 0.02, 0.03, 0.01, 0.02, 0.03, *[0.01] * 6]
    manifest = manifest_of(
        condition=["a"] * 3 + ["b"] * 3 + ["c"] * 6, foreground_fraction=fractions
    )
    labels = strata(manifest, smallest=3)
    assert list(labels) == ["a"] * 3 + ["b"] * 3 + [labels[-1]] * 6
    # With 6 to a stratum, a and b are too small and become one.
    assert len(set(strata(manifest, smallest=6))) == 2


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 0.1, 0.2, 0.3])), min_size=1),
    st.integers(1, 8),
)
def test_no_stratum_is_rare_if_there_are_enough_images(
    rows: list[tuple[str, float]], smallest: int
) -> None:
    conditions, fractions = zip(*rows, strict=True)
    manifest = manifest_of(condition=list(conditions), foreground_fraction=list(fractions))
    counts = Counter(strata(manifest, smallest=smallest))
    assert sum(counts.values()) == len(rows)
    assert len(counts) == 1 or min(counts.values()) >= smallest


def test_counts_by_hand() -> None:
    names, counts = counts_by_group(
        pd.Series(["g2", "g1", "g2", "g2"]), np.array(["x", "y", "y", "y"])
    )
    assert names == ["g1", "g2"]
    assert counts.tolist() == [[0, 1], [1, 2]]


def choose(
    counts: list[list[int]], fraction: float, names: list[str] | None = None, **options: object
) -> NDArray[np.bool_]:
    n = len(counts)
    given_ = {
        "chosen": np.zeros(n, bool),
        "allowed": np.ones(n, bool),
        "at_most": n,
        "seed": "1",
        **options,
    }
    names = names or [f"g{number}" for number in range(n)]
    return choose_groups(names, np.array(counts, float), fraction=fraction, **given_)


def test_each_stratum_gets_its_share() -> None:
    # 20 single images, 10 of each stratum: a fifth is 2 and 2.
    counts = [[1, 0], [0, 1]] * 10
    chosen = choose(counts, 0.2)
    assert np.array(counts)[chosen].sum(axis=0).tolist() == [2, 2]


def test_the_total_comes_as_close_as_whole_groups_allow() -> None:
    # A third of 12 images is 4: the group of 4, not those of 5 and 3.
    assert choose([[5], [3], [4]], 1 / 3).tolist() == [False, False, True]


def test_nothing_for_a_fraction_of_zero_and_something_for_a_small_one() -> None:
    assert not choose([[1]] * 5, 0.0).any()
    assert choose([[1]] * 5, 0.01).sum() == 1


def test_what_is_chosen_stays_and_what_is_not_allowed_is_not_taken() -> None:
    chosen = np.array([True, False, False, False])
    allowed = np.array([False, False, True, True])
    result = choose([[1]] * 4, 0.5, chosen=chosen, allowed=allowed)
    assert result[0]
    assert not result[1]
    assert result.sum() == 2
    # Too much already: nothing is given back, nothing added.
    full = np.array([True, True, True, False])
    assert choose([[1]] * 4, 0.25, chosen=full).tolist() == full.tolist()


def test_at_most_so_many() -> None:
    assert choose([[1]] * 10, 0.9, at_most=3).sum() == 3


def test_the_first_is_one_of_those_wanted() -> None:
    wanted = np.array([False, False, True, False])
    assert choose([[1]] * 4, 0.25, first=wanted).tolist() == wanted.tolist()
    nobody = np.zeros(4, bool)
    assert choose([[1]] * 4, 0.25, first=nobody).sum() == 1


def test_equal_groups_are_chosen_by_the_seed_whatever_others_there_are() -> None:
    names = [f"g{number}" for number in range(30)]
    chosen = {seed: choose([[1]] * 30, 0.1, seed=seed) for seed in ("1", "2", "3")}
    assert len({tuple(item) for item in chosen.values()}) == 3
    # Groups that were not chosen are taken away: the choice is the same.
    keep = [name for name, is_in in zip(names, chosen["1"], strict=True) if is_in]
    fewer = keep + [name for name in names if name not in keep][::2]
    again = choose([[1]] * len(fewer), 3 / len(fewer), names=fewer)
    assert {name for name, is_in in zip(fewer, again, strict=True) if is_in} == set(keep)


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.6])
def test_an_honest_share_of_many_groups(fraction: float) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, (60, 3)) + (np.arange(60) % 3)[:, None]
    chosen = choose(counts.tolist(), fraction)
    share = counts[chosen].sum(axis=0) / counts.sum(axis=0)
    assert np.abs(share - fraction).max() < 0.05
