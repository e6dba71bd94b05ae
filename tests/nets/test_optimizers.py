"""Schedules at their start, peak and end; the optimizer's clipping."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from sgseg.nets.optimizers import build_optimizer, build_schedule


def at(schedule: Any, step: int) -> float:
    return float(schedule(step))


def test_constant_is_the_peak_itself() -> None:
    assert build_schedule("constant", peak=0.01, steps=100) == 0.01


def test_cosine_falls_from_the_peak_to_zero() -> None:
    schedule = build_schedule("cosine", peak=0.01, steps=100)
    # 0.01 * (1 + cos(pi * step / 100)) / 2
    assert at(schedule, 0) == pytest.approx(0.01)
    assert at(schedule, 25) == pytest.approx(0.01 * (1 + np.cos(np.pi / 4)) / 2)
    assert at(schedule, 50) == pytest.approx(0.005)
    assert at(schedule, 100) == pytest.approx(0, abs=1e-9)


def test_one_cycle_rises_for_a_quarter_and_falls() -> None:
    schedule = build_schedule("one_cycle", peak=0.01, steps=100)
    assert at(schedule, 0) == pytest.approx(0.01 / 25)
    # linearly: 0.0004 + (0.01 - 0.0004) / 5
    assert at(schedule, 5) == pytest.approx(0.00232)
    assert at(schedule, 25) == pytest.approx(0.01)
    assert at(schedule, 100) == pytest.approx(0.01 / 1000)
    rates = [at(schedule, step) for step in range(101)]
    assert max(rates) == pytest.approx(0.01)
    assert np.all(np.diff(rates[:26]) > 0)
    assert np.all(np.diff(rates[25:]) < 0)


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_the_shortest_trainings_have_a_rate(name: str, steps: int) -> None:
    schedule = build_schedule(name, peak=0.01, steps=steps)
    rates = [at(schedule, step) for step in range(steps + 1)]
    assert all(0 <= rate <= 0.01 + 1e-9 for rate in rates)
    assert rates[0] > 0


def test_an_unknown_schedule_is_named() -> None:
    with pytest.raises(ValueError, match="'linear'"):
        build_schedule("linear", peak=0.01, steps=100)


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match="'sgd'"):
        build_optimizer("sgd", learning_rate=0.01)


def test_adam_moves_by_the_learning_rate_and_follows_a_schedule() -> None:
    optimizer = build_optimizer(
        "adam", learning_rate=build_schedule("one_cycle", peak=0.01, steps=100)
    )
    weight = keras.Variable([0.0])
    optimizer.apply([np.array([0.5], dtype=np.float32)], [weight])
    # Adam's first step is the learning rate times the gradient's sign: 0.01 / 25.
    assert float(weight[0]) == pytest.approx(-0.0004, rel=1e-4)
    assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(0.000784)  # of step 1


def test_a_large_gradient_is_clipped_to_norm_one() -> None:
    clipped, small = keras.Variable([0.0, 0.0]), keras.Variable([0.0, 0.0])
    for weight, gradient in ((clipped, [300.0, 400.0]), (small, [0.6, 0.8])):
        optimizer = build_optimizer("adam", learning_rate=0.01)
        optimizer.build([weight])
        optimizer.apply([np.array(gradient, dtype=np.float32)])
        optimizer.apply([np.array([0.1, -0.1], dtype=np.float32)])
    # 300, 400 has norm 500 and becomes 0.6, 0.8: both go the same way afterwards.
    np.testing.assert_allclose(np.asarray(clipped), np.asarray(small), rtol=1e-5)
