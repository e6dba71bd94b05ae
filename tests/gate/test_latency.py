"""Latency by a clock that stands still unless a model runs, at the speed the machine has then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sgseg.gate.latency import compare_latency

IMAGE = (np.zeros((100, 200), np.uint16), 0.2)


class Machine:
    """Runs models; each pair of calls finds it busier than the one before."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, tuple[int, ...], float | None]] = []

    def model(self, name: str, seconds: float) -> Any:
        machine = self

        class Model:
            def shown(self, pixels: Any) -> Any:
                return pixels

            def predict(self, pixels: Any, *, pixel_size_um: float | None) -> None:
                busy = 1 + len(machine.calls) // 2
                machine.calls.append((name, pixels.shape, pixel_size_um))
                machine.now += seconds * busy

        return Model()


def compare(machine: Machine, *images: Any, mine: float = 3.0, **options: Any) -> Any:
    models = machine.model("challenger", mine), machine.model("champion", 2.0)
    return compare_latency(*models, images or [IMAGE], clock=lambda: machine.now, **options)


def test_the_ratio_is_that_of_the_pairs_however_busy_the_machine_is() -> None:
    machine = Machine()
    found = compare(machine, most=1.5, passes=3)
    assert (found.ratio, found.pairs, found.passed) == (1.5, 3, True)
    # 0.02 megapixels, the middle one of 1, 2 and 3 times 3 s: 6 / 0.02; of the other 4 / 0.02.
    assert (found.challenger, found.champion) == (300.0, 200.0)
    assert [call[0] for call in machine.calls] == [
        *("champion", "challenger"),
        *("challenger", "champion"),
        *("champion", "challenger"),
    ]
    assert {call[1:] for call in machine.calls} == {((100, 200), 0.2)}


def test_slower_than_allowed() -> None:
    found = compare(Machine(), most=1.4)
    assert not found.passed
    assert found.said.startswith("The challenger takes 1.50 times as long as the champion")
    assert found.said.endswith("the limit is 1.4.")
    assert compare(Machine(), mine=0.1, most=1.0).ratio == pytest.approx(0.05)


def test_of_large_images_a_part_is_timed_and_of_many_the_first() -> None:
    machine = Machine()
    large = (np.zeros((30, 40), np.uint16), None)
    # 500 px: 22 rows of 22. Nothing is left for the second one.
    compare(machine, large, IMAGE, most=2.0, passes=1, max_px=500)
    assert {call[1] for call in machine.calls} == {(22, 22)}
    machine = Machine()
    small = (np.zeros((10, 20), np.uint16), None)
    compare(machine, small, small, small, most=2.0, passes=1, max_px=500)
    assert [call[1] for call in machine.calls] == [(10, 20)] * 4
