"""Losses: values worked out by hand, gradients against an independent implementation in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sgseg.nets.losses import LOSSES, bce_dice, binary_cross_entropy, dice_loss

Floats = NDArray[np.float64]


def batch(*images: list[float]) -> NDArray[np.float32]:
    """Images of 2 x 2 px as (N, 2, 2, 1)."""
    return np.array(images, dtype=np.float32).reshape(-1, 2, 2, 1)


def reference_bce(t: Floats, p: Floats) -> Floats:
    return -(t * np.log(p) + (1 - t) * np.log1p(-p)).mean(axis=(1, 2, 3))


def reference_dice(t: Floats, p: Floats) -> Floats:
    both, either = (t * p).sum(axis=(1, 2, 3)), (t + p).sum(axis=(1, 2, 3))
    return 1 - (2 * both + 1) / (either + 1)


REFERENCES: list[tuple[Callable[..., Any], Callable[[Floats, Floats], Floats]]] = [
    (binary_cross_entropy, reference_bce),
    (dice_loss, reference_dice),
    (bce_dice, lambda t, p: reference_bce(t, p) + reference_dice(t, p)),
]


def gradient(loss: Callable[..., Any], truth: Any, probability: Any) -> NDArray[np.float32]:
    p = tf.Variable(probability)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss(truth, p))
    return np.asarray(tape.gradient(total, p))


def test_binary_cross_entropy_is_the_mean_over_pixels() -> None:
    truth, probability = batch([1, 0, 0, 0]), batch([0.8, 0.4, 0.2, 0.1])
    # -(ln 0.8 + ln 0.6 + ln 0.8 + ln 0.9) / 4
    #   = (0.223144 + 0.510826 + 0.223144 + 0.105361) / 4 = 1.062473 / 4
    assert np.asarray(binary_cross_entropy(truth, probability)) == pytest.approx(
        [0.265618], rel=1e-5
    )


def test_dice_loss_counts_probability_mass() -> None:
    truth, probability = batch([1, 0, 0, 0]), batch([0.8, 0.4, 0.2, 0.1])
    # both 0.8, truth 1, probability 1.5:  1 - (2 * 0.8 + 1) / (1 + 1.5 + 1) = 1 - 2.6 / 3.5
    assert np.asarray(dice_loss(truth, probability)) == pytest.approx([0.257143], rel=1e-5)


def test_bce_dice_is_the_sum() -> None:
    truth, probability = batch([1, 0, 0, 0]), batch([0.8, 0.4, 0.2, 0.1])
    # 0.265618 + 0.257143
    assert np.asarray(bce_dice(truth, probability)) == pytest.approx([0.522761], rel=1e-5)


@pytest.mark.parametrize("loss", [binary_cross_entropy, dice_loss, bce_dice])
def test_each_image_has_its_own_loss(loss: Callable[..., Any]) -> None:
    truth = batch([1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1])
    probability = batch([0.8, 0.4, 0.2, 0.1], [0.1, 0.1, 0.1, 0.1], [0.3, 0.9, 0.9, 0.9])
    together = np.asarray(loss(truth, probability))
    alone = [np.asarray(loss(truth[i : i + 1], probability[i : i + 1]))[0] for i in range(3)]
    assert together.shape == (3,)
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_the_dice_loss_of_one_image_does_not_depend_on_its_neighbours() -> None:
    # Pooled over the batch it would: (2 * (1 + 0) + 1) / (1 + 1 + 4 * 0.5 + 1) for both.
    truth = batch([1, 0, 0, 0], [0, 0, 0, 0])
    probability = batch([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5])
    # identical: 1 - 3 / 3;  empty: 1 - 1 / (2 + 1)
    assert np.asarray(dice_loss(truth, probability)) == pytest.approx([0, 2 / 3], abs=1e-6)


@pytest.mark.parametrize("mask", [[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
def test_a_perfect_prediction_costs_nothing(mask: list[float]) -> None:
    assert np.asarray(dice_loss(batch(mask), batch(mask))) == pytest.approx([0], abs=1e-6)
    # 0 and 1 are clipped by 1e-7, so that the logarithm stays finite.
    assert np.asarray(binary_cross_entropy(batch(mask), batch(mask))) == pytest.approx(
        [0], abs=1e-6
    )


def test_a_confidently_wrong_pixel_has_a_finite_cross_entropy() -> None:
    loss = float(np.asarray(binary_cross_entropy(batch([1, 0, 0, 0]), batch([0, 0, 0, 0])))[0])
    # one pixel in four at -ln 1e-7 = 16.118
    assert loss == pytest.approx(16.118 / 4, rel=1e-3)


def test_an_empty_mask_has_a_dice_gradient() -> None:
    # loss = 1 - 1 / (S + 1), S = 4 * 0.5 = 2: d loss / d p = 1 / (S + 1)^2 = 1 / 9
    found = gradient(dice_loss, batch([0, 0, 0, 0]), batch([0.5, 0.5, 0.5, 0.5]))
    np.testing.assert_allclose(found, np.full((1, 2, 2, 1), 1 / 9), rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(REFERENCES), st.sampled_from([0.0, 0.3, 1.0]))
def test_values_and_gradients_agree_with_finite_differences(
    seed: int,
    pair: tuple[Callable[..., Any], Callable[[Floats, Floats], Floats]],
    share: float,
) -> None:
    loss, reference = pair
    rng = np.random.default_rng(seed)
    truth = (rng.random((2, 3, 4, 1)) < share).astype(np.float64)
    probability = rng.uniform(0.05, 0.95, truth.shape)
    t, p = truth.astype(np.float32), probability.astype(np.float32)
    np.testing.assert_allclose(np.asarray(loss(t, p)), reference(truth, probability), rtol=1e-4)

    step, differences = 1e-6, np.empty_like(probability)
    for place in np.ndindex(probability.shape):
        up, down = probability.copy(), probability.copy()
        up[place] += step
        down[place] -= step
        differences[place] = (reference(truth, up) - reference(truth, down)).sum() / (2 * step)
    np.testing.assert_allclose(gradient(loss, t, p), differences, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_half_precision_is_summed_in_single(name: str) -> None:
    # The sum over 512 x 512 px at 0.5 is 131,072; the largest float16 is 65,504.
    truth = np.zeros((1, 512, 512, 1), dtype=np.float16)
    probability = np.full(truth.shape, 0.5, dtype=np.float16)
    # bce: ln 2;  dice: 1 - 1 / 131,073
    expected = {"bce": np.log(2), "bce_dice": np.log(2) + 1 - 1 / 131_073}[name]
    loss = np.asarray(LOSSES[name](truth, probability))
    assert loss.dtype == np.float32
    assert loss == pytest.approx([expected], rel=1e-5)


def test_keras_averages_over_the_images() -> None:
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Identity()])
    model.compile(loss=dice_loss)
    truth = batch([1, 0, 0, 0], [0, 0, 0, 0])
    probability = batch([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5])
    # (0 + 2 / 3) / 2
    assert model.evaluate(probability, truth, verbose=0) == pytest.approx(1 / 3, rel=1e-5)
