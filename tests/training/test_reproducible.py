"""Seeding."""

from __future__ import annotations

import random

import keras
import numpy as np

from sgseg.training.reproducible import make_reproducible


def draw(*seed: int) -> tuple[float, float, float]:
    make_reproducible(*seed)
    backend = float(np.asarray(keras.random.uniform((), seed=keras.random.SeedGenerator())))
    return random.random(), float(np.random.random()), backend  # noqa: NPY002


def test_the_same_seed_gives_the_same_numbers_everywhere() -> None:
    assert draw(1, 2) == draw(1, 2)


def test_seed_and_fold_both_count() -> None:
    draws = [draw(*seed) for seed in ((1, 2), (2, 1), (1, 3), (0, 1002), (2**32 - 1, 0))]
    assert len(set(draws)) == len(draws)
    assert all(len(set(column)) == len(draws) for column in zip(*draws, strict=True))
