"""Timing with a clock that stands still unless a network runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgseg.evaluation.data import DataSet
from sgseg.evaluation.timing import machine, measure

from .cases import field, roles, write_dataset


class Slow:
    """Takes 2 s per member and orientation, 100 times as long in its first pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[int, int, tuple[int, ...]]] = []

    def probability(
        self, pixels: Any, *, pixel_size_um: Any, members: list[int] | None, orientations: int
    ) -> None:
        n = 3 if members is None else len(members)
        self.calls.append((n, orientations, pixels.shape))
        warm = sum(call == self.calls[-1] for call in self.calls) > 1
        self.now += 2 * n * orientations * (1 if warm else 100)


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., DataSet]:
    def make(*shapes: tuple[int, int]) -> DataSet:
        rng = np.random.default_rng(0)
        fields = {
            f"i{k}": (
                rng.integers(0, 99, shape).astype(np.uint16),
                np.zeros(shape, np.int32),
            )
            for k, shape in enumerate(shapes)
        }
        fields["t"] = field(1)
        folder = write_dataset(tmp_path / "dataset", fields)
        return DataSet(folder, roles({name: 0 for name in fields if name != "t"}, ["t"]), [0, 1])

    return make


def test_milliseconds_per_megapixel(data: Callable[..., DataSet]) -> None:
    slow = Slow()
    # 100 x 200 px are 0.02 megapixels: 2 s are 2000 ms / 0.02 = 100,000 ms per megapixel.
    timing = measure(slow, data((100, 200)), passes=3, clock=lambda: slow.now)  # type: ignore[arg-type]
    assert timing.milliseconds_per_megapixel == {
        "one_1": 1e5,
        "one_8": 8e5,
        "all_1": 3e5,
        "all_8": 24e5,
    }
    assert (timing.images, timing.megapixels, timing.passes) == (1, 0.02, 3)
    assert timing.cores >= 1
    assert timing.machine == machine() != ""
    # Settings take turns.
    assert [call[:2] for call in slow.calls] == [(1, 1), (1, 8), (3, 1), (3, 8)] * 3


@pytest.mark.parametrize(
    ("shapes", "timed"),
    [
        ([(10, 20), (10, 20), (10, 30)], [(10, 20), (10, 20)]),  # 200 + 200, and 300 is too much
        (
            [(30, 40), (10, 10)],
            [(22, 22)],
        ),  # 22 = sqrt(500) rows of 500 // 22 px
        ([(5, 400)], [(5, 100)]),
        ([(400, 5)], [(22, 5)]),
    ],
)
def test_as_many_images_as_are_soon_done(
    shapes: list[tuple[int, int]], timed: list[tuple[int, int]], data: Callable[..., DataSet]
) -> None:
    slow = Slow()
    timing = measure(slow, data(*shapes), passes=1, max_px=500, clock=lambda: slow.now)  # type: ignore[arg-type]
    assert [shape for n, o, shape in slow.calls if (n, o) == (1, 1)] == timed
    assert timing.images == len(timed)
    assert timing.megapixels == pytest.approx(sum(h * w for h, w in timed) / 1e6)
