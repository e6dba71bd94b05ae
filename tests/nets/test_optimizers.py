"""Schedules in numbers; first steps, weight decay, clipping and running averages of optimizers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sgseg.nets.optimizers import (
    OPTIMIZERS,
    averaged_weights,
    build_optimizer,
    build_schedule,
    plateau_rate,
)

Arrays = list[NDArray[np.float32]]
NAMES = sorted(OPTIMIZERS)


def at(schedule: Any, step: int) -> float:
    return float(schedule(step))


def single(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


class Weights:
    """As much of a model as an optimizer sees."""

    def __init__(self, *values: NDArray[np.float32]) -> None:
        self.trainable_variables = [keras.Variable(value) for value in values]

    def values(self) -> Arrays:
        return arrays(self.trainable_variables)


def arrays(tensors: Sequence[Any]) -> Arrays:
    return [np.array(tensor) for tensor in tensors]


# Schedules. ---------------------------------------------------------------------------------------


def test_constant_is_the_peak_itself() -> None:
    assert build_schedule("constant", peak=0.01, steps=100) == 0.01


def test_cosine_falls_from_the_peak_to_zero() -> None:
    schedule = build_schedule("cosine", peak=0.01, steps=100)
    # 0.01 * (1 + cos(pi * step / 100)) / 2
    assert at(schedule, 0) == pytest.approx(0.01)
    assert at(schedule, 25) == pytest.approx(0.01 * (1 + np.cos(np.pi / 4)) / 2)
    assert at(schedule, 50) == pytest.approx(0.005)
    assert at(schedule, 100) == pytest.approx(0, abs=1e-9)


def test_cosine_with_warmup_rises_in_equal_parts_first() -> None:
    schedule = build_schedule("cosine", peak=0.01, steps=23, warmup=0.13)
    # round(0.13 * 23) = 3 steps up: 1 / 4, 2 / 4, 3 / 4 of the peak, then 20 steps of cosine.
    assert [at(schedule, step) for step in range(4)] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert at(schedule, 13) == pytest.approx(0.005)
    # (1 + cos(pi * 19 / 20)) / 2 = (1 - 0.987688) / 2
    assert at(schedule, 22) == pytest.approx(0.01 * 0.0061558, rel=1e-4)
    assert at(schedule, 23) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("step", [0, 1, 30, 99])
def test_a_warmup_shorter_than_a_step_is_none(step: int) -> None:
    plain = build_schedule("cosine", peak=0.01, steps=100)
    for warmup in (0.0, 0.004):
        schedule = build_schedule("cosine", peak=0.01, steps=100, warmup=warmup)
        assert at(schedule, step) == at(plain, step)


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


@pytest.mark.parametrize(
    ("name", "parameters"), [("cosine", {}), ("cosine", {"warmup": 0.9}), ("one_cycle", {})]
)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_the_shortest_trainings_have_a_rate(
    name: str, parameters: dict[str, float], steps: int
) -> None:
    schedule = build_schedule(name, peak=0.01, steps=steps, **parameters)
    rates = [at(schedule, step) for step in range(steps + 1)]
    assert all(0 <= rate <= 0.01 + 1e-9 for rate in rates)
    assert rates[0] > 0


def test_plateau_starts_at_the_peak() -> None:
    assert build_schedule("plateau", peak=0.01, steps=100, factor=0.5, patience=3) == 0.01
    assert plateau_rate(0.01, factor=0.5, patience=3, losses=[]) == 0.01


def test_plateau_lowers_the_rate_after_patience_epochs_without_a_new_lowest() -> None:
    losses = [5.0, 4.0, 4.0, 4.5, 3.0, 3.1, 3.0, 3.2, 3.1, 2.0, math.nan, 2.0]
    # waited:      0    0    1    2*   0    1    2*   1    2*   0       1     2*
    # * the rate is halved and the waiting begins again; 3.0 is not lower than 3.0, nor is a NaN.
    lowered = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4]
    found = [plateau_rate(0.8, 0.5, 2, losses[:epoch]) for epoch in range(len(losses) + 1)]
    assert found == [0.8 * 0.5**times for times in lowered]


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 6).map(float), max_size=20),
    st.integers(1, 4),
    st.sampled_from([0.5, 0.25]),
)
def test_plateau_agrees_with_the_callback_of_keras(
    losses: list[float], patience: int, factor: float
) -> None:
    optimizer = keras.optimizers.SGD(0.5)
    callback = keras.callbacks.ReduceLROnPlateau(
        "val_loss", factor=factor, patience=patience, min_delta=0
    )
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
    expected = float(np.asarray(optimizer.learning_rate))
    assert plateau_rate(0.5, factor, patience, losses) == pytest.approx(expected, rel=1e-6)


def test_the_rate_of_a_plateau_can_be_set_between_compiled_steps() -> None:
    rate = build_schedule("plateau", peak=0.5, steps=4, factor=0.5, patience=1)
    weights = Weights(single(0))
    step = compiled("sgd", weights, learning_rate=rate)
    step(single(0.1))
    step.optimizer.learning_rate = plateau_rate(0.5, 0.5, 1, [1.0, 2.0])
    step(single(0.1))
    # -0.5 * 0.1 - 0.25 * 0.1
    assert weights.values()[0] == pytest.approx([-0.075])


def test_an_unknown_schedule_is_named() -> None:
    with pytest.raises(ValueError, match=r"'plateau'.*Received: 'linear'"):
        build_schedule("linear", peak=0.01, steps=100)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("one_cycle", {"warmup": 0.1}, r"'one_cycle' are \[\]\. Received: \['warmup'\]"),
        ("cosine", {"factor": 0.1}, r"'cosine' are \['warmup'\]\. Received: \['factor'\]"),
        ("cosine", {"warmup": 1.0}, r"warmup must be in \[0, 1\)\. Received: 1\.0"),
        ("plateau", {"factor": 0.5}, r"'plateau' needs \['patience'\]"),
        ("plateau", {"factor": 1.0, "patience": 2}, r"factor must be in \(0, 1\)"),
        ("plateau", {"factor": 0.5, "patience": 0}, "patience must be at least 1. Received: 0"),
    ],
)
def test_a_schedule_names_what_it_cannot_use(
    name: str, parameters: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_schedule(name, peak=0.01, steps=100, **parameters)


# Optimizers. --------------------------------------------------------------------------------------


class Step:
    """An optimizer and its step, compiled once: what it reads while compiling would be frozen."""

    def __init__(self, optimizer: Any, apply: Any) -> None:
        self.optimizer = optimizer
        self._apply = apply

    def __call__(self, *gradients: NDArray[np.float32]) -> None:
        self._apply([tf.constant(gradient) for gradient in gradients])


def compiled(name: str, weights: Weights, **options: Any) -> Step:
    optimizer = build_optimizer(name, **options)
    optimizer.build(weights.trainable_variables)
    return Step(optimizer, tf.function(optimizer.apply))


@pytest.mark.parametrize(
    ("name", "options", "moved"),
    [
        # Adam: m / sqrt(v) of one gradient is its sign.
        ("adam", {}, -0.01),
        ("adamw", {}, -0.01),
        # Nadam: u1 = 0.9 (1 - 0.5 * 0.96) = 0.468, u2 = 0.9 (1 - 0.5 * 0.96^2) = 0.48528;
        # 1 + 0.1 u2 / (1 - u1 u2) = 1 + 0.048528 / 0.772889 of the sign
        ("nadam", {}, -0.01 * 1.062788),
        ("sgd", {}, -0.01 * 0.5),
        # Nesterov: (1 + momentum) times the gradient
        ("sgd", {"momentum": 0.9}, -0.01 * 0.5 * 1.9),
        # g / sqrt(0.1 g^2) = sqrt(10)
        ("rmsprop", {}, -0.01 * 3.162278),
        ("rmsprop", {"momentum": 0.5}, -0.01 * 3.162278),
        ("lion", {}, -0.01),
    ],
)
def test_the_first_step(name: str, options: dict[str, float], moved: float) -> None:
    weights = Weights(single(0))
    build_optimizer(name, learning_rate=0.01, **options).apply(
        [single(0.5)], weights.trainable_variables
    )
    assert weights.values()[0] == pytest.approx([moved], rel=1e-4)


def test_momentum_goes_on_without_a_gradient() -> None:
    for name, expected in (
        # Nesterov: v = -0.005, w = 0.9 v - 0.005;  then v = -0.0045, w += 0.9 v
        ("sgd", -0.0095 - 0.9 * 0.0045),
        # the first increment, and 0.9 of it
        ("rmsprop", -0.01 * 3.162278 * 1.9),
    ):
        weights = Weights(single(0))
        optimizer = build_optimizer(name, learning_rate=0.01, momentum=0.9)
        for gradient in (0.5, 0.0):
            optimizer.apply([single(gradient)], weights.trainable_variables)
        assert weights.values()[0] == pytest.approx([expected], rel=1e-4)


def test_adam_follows_a_schedule() -> None:
    optimizer = build_optimizer(
        "adam", learning_rate=build_schedule("one_cycle", peak=0.01, steps=100)
    )
    weights = Weights(single(0))
    optimizer.apply([single(0.5)], weights.trainable_variables)
    # 0.01 / 25, and the rate of step 1
    assert weights.values()[0] == pytest.approx([-0.0004], rel=1e-4)
    assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(0.000784)


def test_adam_without_weight_decay_is_the_one_of_keras() -> None:
    found = build_optimizer("adam", learning_rate=0.01, weight_decay=0.0)
    expected = keras.optimizers.Adam(0.01, clipnorm=1.0)
    assert type(found) is keras.optimizers.Adam
    assert found.get_config() | {"name": ""} == expected.get_config() | {"name": ""}


@pytest.mark.parametrize("name", NAMES)
def test_a_large_gradient_is_clipped_to_norm_one(name: str) -> None:
    clipped, small = Weights(single(0, 0)), Weights(single(0, 0))
    for weights, gradient in ((clipped, single(300, 400)), (small, single(0.6, 0.8))):
        optimizer = build_optimizer(name, learning_rate=0.01)
        for each in (gradient, single(0.1, -0.1)):
            optimizer.apply([each], weights.trainable_variables)
    # 300, 400 has norm 500 and becomes 0.6, 0.8: both go the same way afterwards.
    np.testing.assert_allclose(clipped.values()[0], small.values()[0], rtol=1e-5)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Layers with every kind of weight, some of them named like weights."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(4, 3, bias_initializer="ones", name="beta_gate"),
            keras.layers.BatchNormalization(beta_initializer="ones", name="bias"),
            keras.layers.GroupNormalization(2, beta_initializer="ones", name="kernel"),
            keras.layers.Conv2D(1, 1, bias_initializer="ones", name="gamma"),
        ]
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights_average", [0.0, 0.9])
def test_weight_decay_takes_its_share_of_kernels_alone(
    network: keras.Model, name: str, weights_average: float
) -> None:
    before = arrays(network.trainable_variables)
    optimizer = build_optimizer(
        name, learning_rate=0.5, weight_decay=0.1, weights_average=weights_average
    )
    optimizer.build(network.trainable_variables)
    optimizer.apply([np.zeros_like(value) for value in before])
    for variable, old in zip(network.trainable_variables, before, strict=True):
        # 1 - 0.5 * 0.1
        share = 0.95 if variable.name == "kernel" else 1
        np.testing.assert_allclose(np.asarray(variable), share * old, rtol=1e-6)
        assert np.abs(old).max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_without_weight_decay_nothing_shrinks(network: keras.Model, name: str) -> None:
    before = arrays(network.trainable_variables)
    optimizer = build_optimizer(name, learning_rate=0.5)
    optimizer.apply([np.zeros_like(value) for value in before], network.trainable_variables)
    after = arrays(network.trainable_variables)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_whole_number_is_a_learning_rate() -> None:
    weights = Weights(single(0))
    build_optimizer("sgd", learning_rate=1).apply([single(0.5)], weights.trainable_variables)
    assert weights.values()[0] == pytest.approx([-0.5])


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match=r"'adamw'.*Received: 'ftrl'"):
        build_optimizer("ftrl", learning_rate=0.01)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adam", {"momentum": 0.9}, r"'adam' are \['weight_decay'\]\. Received: \['momentum'\]"),
        ("sgd", {"nesterov": False}, r"\['momentum', 'weight_decay'\]\. Received: \['nesterov'\]"),
        ("adamw", {"weight_decay": -0.1}, "weight_decay must be at least 0. Received: -0.1"),
        ("sgd", {"momentum": 1.0}, r"momentum must be in \[0, 1\)\. Received: 1\.0"),
        ("adam", {"weights_average": 1.0}, r"weights_average must be in \[0, 1\)"),
    ],
)
def test_an_optimizer_names_what_it_cannot_use(
    name: str, options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_optimizer(name, learning_rate=0.01, **options)


# Running averages of the weights. -----------------------------------------------------------------


def test_the_average_starts_with_short_memory() -> None:
    weights = Weights(single(0))
    step = compiled("sgd", weights, learning_rate=1.0, weights_average=0.3)
    averages = []
    for move in (1.0, 1.0, -0.5, 0.5, 1.0):
        step(single(-move))
        averages.append(float(arrays(averaged_weights(step.optimizer, weights))[0][0]))
    # weights 1, 2, 1.5, 2, 3
    first = 1.0
    second = 2 / 11 * first + 9 / 11 * 2.0  # (1 + 1) / (10 + 1)
    third = 3 / 12 * second + 9 / 12 * 1.5  # (1 + 2) / (10 + 2)
    fourth = 0.3 * third + 0.7 * 2.0  # 4 / 13 is above 0.3
    fifth = 0.3 * fourth + 0.7 * 3.0
    assert averages == pytest.approx([first, second, third, fourth, fifth], rel=1e-6)
    assert weights.values()[0] == pytest.approx([3.0])


def test_a_long_average_forgets_the_first_weights() -> None:
    weights = Weights(single(0))
    step = compiled("sgd", weights, learning_rate=1.0, weights_average=0.999)
    step(single(-1))  # to 1
    step(single(1))  # and back to 0, for good
    for _ in range(348):
        step(single(0))
    # The share of the first is the product of (1 + k) / (10 + k), k = 1..349: 10! / (351 ... 359),
    # about 4e-17; with a momentum of 0.999 from the first step on it is 0.999^349 = 0.705.
    (found,) = arrays(averaged_weights(step.optimizer, weights))
    assert 0 < found[0] < 1e-15


@pytest.mark.parametrize("name", NAMES)
def test_an_average_does_not_change_the_training(name: str) -> None:
    rng = np.random.default_rng(3)
    start, gradients = rng.normal(size=(2, 3)), rng.normal(size=(4, 2, 3))
    ends = []
    for weights_average in (0.0, 0.9):
        weights = Weights(start.astype(np.float32))
        optimizer = build_optimizer(name, learning_rate=0.1, weights_average=weights_average)
        for gradient in gradients:
            optimizer.apply([gradient.astype(np.float32)], weights.trainable_variables)
        ends.append(weights.values()[0])
    assert np.array_equal(*ends)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights_average", [0.0, 0.9])
def test_a_training_resumes_from_the_variables_bit_by_bit(
    name: str, weights_average: float
) -> None:
    rng = np.random.default_rng(4)
    start = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 2), (2,))]
    gradients = [
        [rng.normal(size=value.shape).astype(np.float32) for value in start] for _ in range(7)
    ]

    def begin() -> tuple[Weights, Any]:
        weights = Weights(*start)
        optimizer = build_optimizer(
            name,
            learning_rate=build_schedule("one_cycle", peak=0.1, steps=7),
            weights_average=weights_average,
            weight_decay=0.1,
        )
        optimizer.build(weights.trainable_variables)
        return weights, optimizer

    unbroken, optimizer = begin()
    for gradient in gradients[:4]:
        optimizer.apply(gradient)
    saved = unbroken.values(), arrays(optimizer.variables)
    for gradient in gradients[4:]:
        optimizer.apply(gradient)

    resumed, other = begin()
    for variables, values in zip(
        (resumed.trainable_variables, other.variables), saved, strict=True
    ):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    for gradient in gradients[4:]:
        other.apply(gradient)

    for before, after in (
        (unbroken.values(), resumed.values()),
        (arrays(averaged_weights(optimizer, unbroken)), arrays(averaged_weights(other, resumed))),
        (arrays(optimizer.variables), arrays(other.variables)),
    ):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    are_averaged = not np.array_equal(
        unbroken.values()[0], arrays(averaged_weights(optimizer, unbroken))[0]
    )
    assert are_averaged == (weights_average > 0)


@pytest.mark.parametrize("weights_average", [0.0, 0.9])
def test_before_the_first_step_the_average_is_the_weights(weights_average: float) -> None:
    weights = Weights(single(1, 2))
    optimizer = build_optimizer("adam", learning_rate=0.1, weights_average=weights_average)
    optimizer.build(weights.trainable_variables)
    assert arrays(averaged_weights(optimizer, weights))[0].tolist() == [1, 2]


def test_an_average_that_was_read_does_not_move_on() -> None:
    weights = Weights(single(0))
    optimizer = build_optimizer("sgd", learning_rate=1.0, weights_average=0.9)
    optimizer.apply([single(-1)], weights.trainable_variables)
    read = averaged_weights(optimizer, weights)
    optimizer.apply([single(-1)])
    assert arrays(read)[0] == pytest.approx([1.0])
    # 2 / 11 * 1 + 9 / 11 * 2
    assert arrays(averaged_weights(optimizer, weights))[0] == pytest.approx([20 / 11])


def test_an_averaging_optimizer_tells_its_momentum() -> None:
    config = build_optimizer("lion", learning_rate=0.1, weights_average=0.98).get_config()
    assert (config["use_ema"], config["ema_momentum"]) == (True, 0.98)
