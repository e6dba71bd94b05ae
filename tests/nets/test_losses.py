"""Losses: values worked out by hand, and independent implementations in float64 as oracles."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numpy.typing import NDArray
from scipy import ndimage

from sgseg.nets.losses import LOSSES, build_loss

Floats = NDArray[np.float64]
Oracle = Callable[[Floats, Floats], float]


def batch(*images: list[float]) -> NDArray[np.float32]:
    """Images of 2 x 2 px as (N, 2, 2, 1)."""
    return np.array(images, dtype=np.float32).reshape(-1, 2, 2, 1)


def value(name: str, truth: Any, probability: Any, **parameters: float) -> Floats:
    return np.asarray(build_loss(name, **parameters)(truth, probability), dtype=np.float64)


def gradient(loss: Callable[..., Any], truth: Any, probability: Any) -> NDArray[np.float32]:
    p = tf.Variable(probability)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss(truth, p))
    return np.asarray(tape.gradient(total, p))


# Oracles, of one image (H, W). --------------------------------------------------------------------


def both(t: Floats, p: Floats) -> Floats:
    """The papers' product on 0/1 truth, and what Wang et al. put in its place on soft truth."""
    return np.where(t % 1 == 0, t * p, (t + p - abs(t - p)) / 2)


def cross_entropy(t: Floats, p: Floats, w: float = 1) -> float:
    return float(np.mean(-w * t * np.log(p) - (1 - t) * np.log1p(-p)))


def dice(t: Floats, p: Floats) -> float:
    return 1 - (2 * both(t, p).sum() + 1) / (t.sum() + p.sum() + 1)


def focal(t: Floats, p: Floats, gamma: float, alpha: float) -> float:
    balance = np.where(
        t == 1, alpha, np.where(t == 0, 1 - alpha, alpha * t + (1 - alpha) * (1 - t))
    )
    entropy = -t * np.log(p) - (1 - t) * np.log1p(-p)
    return float(np.mean(balance * abs(t - p) ** gamma * entropy))


def tversky(t: Floats, p: Floats, alpha: float, beta: float) -> float:
    tp = both(t, p).sum()
    fp, fn = p.sum() - tp, t.sum() - tp
    return 1 - (tp + 0.5) / (tp + alpha * fp + beta * fn + 0.5)


def jaccard_when_wrong(truth: set[int], wrong: set[int]) -> float:
    found = truth ^ wrong
    return 1 - len(truth & found) / len(truth | found) if truth | found else 0.0


def lovasz_in_order(t: Floats, p: Floats, order: tuple[int, ...]) -> float:
    truth = {int(i) for i in np.flatnonzero(t >= 0.5)}
    logit = np.log(p / (1 - p)).ravel()
    total, wrong, before = 0.0, set[int](), 0.0
    for i in order:
        wrong.add(i)
        now = jaccard_when_wrong(truth, wrong)
        total += max(0.0, 1 - logit[i] * (1 if i in truth else -1)) * (now - before)
        before = now
    return total


def lovasz(t: Floats, p: Floats) -> float:
    sign, logit = np.where(t >= 0.5, 1, -1).ravel(), np.log(p / (1 - p)).ravel()
    order = sorted(range(t.size), key=lambda i: sign[i] * logit[i])
    return lovasz_in_order(t, p, tuple(order))


def widest(y: Floats, window: int) -> Floats:
    return ndimage.maximum_filter(y, window, mode="constant", cval=-np.inf)


def boundary(t: Floats, p: Floats, weight: float, reach_px: int) -> float:
    true, found = (widest(1 - y, 3) - (1 - y) for y in (t, p))
    near_true, near_found = (widest(edge, 2 * reach_px + 1) for edge in (true, found))
    precision = (both(near_true, found).sum() + 1) / (found.sum() + 1)
    recall = (both(true, near_found).sum() + 1) / (true.sum() + 1)
    f1 = 2 / (1 / precision + 1 / recall)
    return cross_entropy(t, p) + dice(t, p) + weight * (1 - f1)


CASES: list[tuple[str, dict[str, float], Oracle]] = [
    ("bce", {"positive_weight": 1.0}, cross_entropy),
    ("bce", {"positive_weight": 3.0}, lambda t, p: cross_entropy(t, p, 3)),
    ("bce", {"positive_weight": 0.5}, lambda t, p: cross_entropy(t, p, 0.5)),
    ("dice", {}, dice),
    ("bce_dice", {"positive_weight": 1.0}, lambda t, p: cross_entropy(t, p) + dice(t, p)),
    ("bce_dice", {"positive_weight": 3.0}, lambda t, p: cross_entropy(t, p, 3) + dice(t, p)),
    ("focal", {"gamma": 2.0, "alpha": 0.25}, lambda t, p: focal(t, p, 2, 0.25)),
    ("focal", {"gamma": 0.5, "alpha": 0.7}, lambda t, p: focal(t, p, 0.5, 0.7)),
    ("tversky", {"alpha": 0.3, "beta": 0.7}, lambda t, p: tversky(t, p, 0.3, 0.7)),
    ("tversky", {"alpha": 1.0, "beta": 0.2}, lambda t, p: tversky(t, p, 1, 0.2)),
    (
        "focal_tversky",
        {"alpha": 0.3, "beta": 0.7, "gamma": 4 / 3},
        lambda t, p: (tversky(t, p, 0.3, 0.7) + 1e-6) ** 0.75 - 1e-6**0.75,
    ),
    ("lovasz_hinge", {}, lovasz),
    ("boundary", {"weight": 1.0, "reach_px": 1}, lambda t, p: boundary(t, p, 1, 1)),
    ("boundary", {"weight": 0.3, "reach_px": 0}, lambda t, p: boundary(t, p, 0.3, 0)),
]
NAMES = sorted(LOSSES)


def test_every_loss_has_an_oracle() -> None:
    assert {name for name, _, _ in CASES} == LOSSES.keys()


@pytest.mark.parametrize(
    ("name", "parameters", "oracle"),
    CASES,
    ids=lambda case: "oracle" if callable(case) else str(case),
)
@settings(max_examples=6)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["0/1", "empty", "full", "soft"]))
def test_values_and_gradients_agree_with_the_oracle(
    name: str, parameters: dict[str, float], oracle: Oracle, seed: int, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    truth = {
        "0/1": (rng.random((2, 3, 4)) < 0.4).astype(np.float64),
        "empty": np.zeros((2, 3, 4)),
        "full": np.ones((2, 3, 4)),
        "soft": rng.choice([0, 0.25, 0.5, 1], (2, 3, 4)),
    }[kind]
    probability = rng.uniform(0.05, 0.95, truth.shape)
    loss = build_loss(name, **parameters)
    t, p = truth[..., None].astype(np.float32), probability[..., None].astype(np.float32)
    expected = [oracle(*image) for image in zip(truth, probability, strict=True)]
    np.testing.assert_allclose(np.asarray(loss(t, p)), expected, rtol=1e-4, atol=1e-6)

    step, differences = 1e-6, np.empty_like(probability)
    for place in np.ndindex(probability.shape):
        up, down = probability.copy(), probability.copy()
        up[place] += step
        down[place] -= step
        image = place[0]
        change = oracle(truth[image], up[image]) - oracle(truth[image], down[image])
        differences[place] = change / (2 * step)
    np.testing.assert_allclose(gradient(loss, t, p)[..., 0], differences, rtol=1e-3, atol=1e-5)


# Values by hand. ----------------------------------------------------------------------------------

TRUTH, PROBABILITY = batch([1, 0, 0, 0]), batch([0.8, 0.4, 0.2, 0.1])


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        # -(ln 0.8 + ln 0.6 + ln 0.8 + ln 0.9) / 4
        #   = (0.223144 + 0.510826 + 0.223144 + 0.105361) / 4 = 1.062473 / 4
        ("bce", {}, 0.265618),
        # (3 * 0.223144 + 0.839331) / 4
        ("bce", {"positive_weight": 3}, 0.377190),
        # TP 0.8, truth 1, probability 1.5:  1 - (2 * 0.8 + 1) / (1 + 1.5 + 1) = 1 - 2.6 / 3.5
        ("dice", {}, 0.257143),
        # 0.265618 + 0.257143
        ("bce_dice", {}, 0.522761),
        # (0.25 * 0.2^2 * 0.223144 + 0.75 (0.4^2 * 0.510826 + 0.2^2 * 0.223144 + 0.1^2 * 0.105361))
        #   / 4 = (0.00223144 + 0.75 * (0.0817322 + 0.00892576 + 0.00105361)) / 4
        ("focal", {"gamma": 2, "alpha": 0.25}, 0.0177536),
        # TP 0.8, FP 0.7, FN 0.2:  1 - 1.3 / (0.8 + 0.3 * 0.7 + 0.7 * 0.2 + 0.5) = 1 - 1.3 / 1.65
        ("tversky", {"alpha": 0.3, "beta": 0.7}, 0.212121),
        # 0.212121^0.75, less 0.000032 for the millionth's root
        ("focal_tversky", {"alpha": 0.3, "beta": 0.7, "gamma": 4 / 3}, 0.312530),
        # Errors 1 - ln(0.8 / 0.2) < 0 of the granule, and of the background 1 + ln(0.4 / 0.6)
        #   = 0.594535, 1 + ln(0.2 / 0.8) < 0, < 0.  One wrong background pixel: IoU 1 / 2.
        ("lovasz_hinge", {}, 0.297267),
    ],
)
def test_values_by_hand(name: str, parameters: dict[str, float], expected: float) -> None:
    assert value(name, TRUTH, PROBABILITY, **parameters) == pytest.approx([expected], rel=1e-5)


def test_tversky_with_equal_weights_of_one_half_is_dice() -> None:
    # 1 - (0.8 + 0.5) / (0.8 + 0.5 * 0.7 + 0.5 * 0.2 + 0.5) = 1 - 1.3 / 1.75 = 1 - 2.6 / 3.5
    found = value("tversky", TRUTH, PROBABILITY, alpha=0.5, beta=0.5)
    assert found == pytest.approx(value("dice", TRUTH, PROBABILITY), rel=1e-6)


def test_focal_without_focus_is_half_the_cross_entropy() -> None:
    found = value("focal", TRUTH, PROBABILITY, gamma=0.0, alpha=0.5)
    assert found == pytest.approx(value("bce", TRUTH, PROBABILITY) / 2, rel=1e-6)


def test_alpha_weighs_false_positives_and_beta_false_negatives() -> None:
    truth = batch([1, 1, 0, 0])
    too_much, too_little = batch([1, 1, 1, 0]), batch([1, 0, 0, 0])
    for name in ("tversky", "focal_tversky"):
        wary = {"alpha": 0.9, "beta": 0.1}
        assert value(name, truth, too_much, **wary) > value(name, truth, too_little, **wary)
        keen = {"alpha": 0.1, "beta": 0.9}
        assert value(name, truth, too_much, **keen) < value(name, truth, too_little, **keen)
    # TP 2, FP 1:  0.9 / (2 + 0.9 + 0.5);  TP 1, FN 1:  0.1 / (1 + 0.1 + 0.5)
    found = value("tversky", truth, too_much, alpha=0.9, beta=0.1)
    assert found == pytest.approx([0.9 / 3.4], rel=1e-6)
    found = value("tversky", truth, too_little, alpha=0.9, beta=0.1)
    assert found == pytest.approx([0.1 / 1.6], rel=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 15), st.integers(0, 2**32 - 1))
def test_lovasz_hinge_is_the_largest_over_all_orders(mask: int, seed: int) -> None:
    # The extension of a submodular set function is the maximum over the orders of the pixels.
    truth = np.array([mask >> i & 1 for i in range(4)], dtype=np.float64).reshape(2, 2)
    p = np.random.default_rng(seed).uniform(0.02, 0.98, (2, 2))
    expected = max(lovasz_in_order(truth, p, order) for order in permutations(range(4)))
    found = value("lovasz_hinge", truth[None, ..., None], p[None, ..., None])
    assert found == pytest.approx([expected], rel=1e-4, abs=1e-6)


def square(*, column: int) -> NDArray[np.float32]:
    image = np.zeros((1, 7, 7, 1), dtype=np.float32)
    image[0, 2:5, column : column + 3] = 1
    return image


@pytest.mark.parametrize(("reach_px", "expected"), [(0, 4 / 9), (1, 0)])
def test_the_boundary_of_a_square_moved_by_one_pixel(reach_px: int, expected: float) -> None:
    # Rings of 8 px share 4: (4 + 1) / (8 + 1) of either. Within 1 px of each other they all lie.
    truth, moved = square(column=2), square(column=3)
    found = value("boundary", truth, moved, weight=2, reach_px=reach_px)
    region = value("bce_dice", truth, moved)
    assert (found - region) / 2 == pytest.approx([expected], abs=1e-6)


def test_the_edge_of_the_image_is_no_boundary() -> None:
    full, nearly = np.ones((1, 5, 5, 1), np.float32), np.full((1, 5, 5, 1), 0.9, np.float32)
    # No boundary in either: precision and recall are (0 + 1) / (0 + 1).
    assert value("boundary", full, nearly) == pytest.approx(value("bce_dice", full, nearly))


# What all of them promise. ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_image_has_its_own_loss(name: str) -> None:
    truth = batch([1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0.5, 0, 1, 0.5])
    probability = batch(
        [0.8, 0.4, 0.2, 0.1], [0.1, 0.4, 0.1, 0.2], [0.3, 0.9, 0.9, 0.9], [0.6, 0.3, 0.6, 0.1]
    )
    loss = build_loss(name)
    together = np.asarray(loss(truth, probability))
    alone = [np.asarray(loss(truth[i : i + 1], probability[i : i + 1]))[0] for i in range(4)]
    assert together.shape == (4,)
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_the_dice_loss_of_one_image_does_not_depend_on_its_neighbours() -> None:
    # Pooled over the batch it would: (2 * (1 + 0) + 1) / (1 + 1 + 4 * 0.5 + 1) for both.
    truth = batch([1, 0, 0, 0], [0, 0, 0, 0])
    probability = batch([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5])
    # identical: 1 - 3 / 3;  empty: 1 - 1 / (2 + 1)
    assert value("dice", truth, probability) == pytest.approx([0, 2 / 3], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mask", [[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
def test_a_perfect_prediction_costs_nothing(name: str, mask: list[float]) -> None:
    # 0 and 1 are clipped by 1e-7, so that the logarithm stays finite.
    assert value(name, batch(mask), batch(mask)) == pytest.approx([0], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_better_prediction_costs_less(name: str) -> None:
    y, x = np.mgrid[:16, :16]
    disk = (np.hypot(y - 7, x - 8) < 4).astype(np.float32)[None, ..., None]
    # From confidently wrong to confidently right.
    losses = [
        float(value(name, disk, 0.5 + share * (disk - 0.5))[0])
        for share in (-0.9, -0.5, 0, 0.2, 0.4, 0.46)
    ]
    assert np.all(np.diff(losses) < 0)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_mask_pulls_the_probability_down(name: str) -> None:
    truth, probability = batch([0, 0, 0, 0]), batch([0.5, 0.6, 0.7, 0.8])
    slope = gradient(build_loss(name), truth, probability)
    assert np.isfinite(slope).all()
    assert slope.sum() > 0.1
    # A boundary also vanishes where the lowest probability rises to its neighbours'.
    assert name == "boundary" or (slope >= 0).all()
    assert value(name, truth, probability) > value(name, truth, probability * 0.5)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"lovasz_hinge", "boundary"}))
def test_an_empty_prediction_of_an_empty_mask_has_no_reason_to_rise(name: str) -> None:
    slope = gradient(build_loss(name), batch([0, 0, 0, 0]), batch([0, 0, 0, 0]))
    assert (slope >= 0).all()


def test_an_empty_mask_has_a_dice_gradient() -> None:
    # loss = 1 - 1 / (S + 1), S = 4 * 0.5 = 2: d loss / d p = 1 / (S + 1)^2 = 1 / 9
    found = gradient(build_loss("dice"), batch([0, 0, 0, 0]), batch([0.5, 0.5, 0.5, 0.5]))
    np.testing.assert_allclose(found, np.full((1, 2, 2, 1), 1 / 9), rtol=1e-5)


SOFT = sorted(set(NAMES) - {"lovasz_hinge"})


@pytest.mark.parametrize("name", SOFT)
@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1))
def test_soft_truth_is_best_met_by_itself(name: str, seed: int, distance: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1 / 3, 0.5, 1], (1, 5, 5, 1))
    other = truth + distance * (rng.random(truth.shape) - truth)
    at_truth, elsewhere = value(name, truth, truth), value(name, truth, other)
    assert at_truth < elsewhere + 1e-6
    if "dice" not in name and name not in ("bce", "boundary"):
        assert at_truth == pytest.approx([0], abs=1e-6)


def test_a_positive_weight_moves_where_soft_truth_is_best_met() -> None:
    # 3 * 0.5 / (3 * 0.5 + 0.5) = 0.75
    p = np.linspace(0.01, 0.99, 99).reshape(-1, 1, 1, 1)  # one image each
    losses = value("bce", np.full_like(p, 0.5), p, positive_weight=3)
    assert p[np.argmin(losses)] == pytest.approx(0.75)


def test_lovasz_takes_the_majority_of_soft_truth() -> None:
    soft, hard = batch([0.5, 0.75, 0.25, 0]), batch([1, 1, 0, 0])
    p = batch([0.6, 0.3, 0.4, 0.7])
    assert value("lovasz_hinge", soft, p) == value("lovasz_hinge", hard, p)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_certainty_right_or_wrong_is_finite(name: str, dtype: str) -> None:
    truth = batch([1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]).astype(dtype)
    probability = batch([0, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1]).astype(dtype)
    found = build_loss(name)(truth, probability)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert np.isfinite(np.asarray(found)).all()
    assert (np.asarray(found) > 0.01).all()
    assert np.isfinite(gradient(build_loss(name), truth, probability)).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bce", np.log(2)),
        # 1 - 1 / (S + 1)
        ("dice", 1 - 1 / 131_073),
        ("bce_dice", np.log(2) + 1 - 1 / 131_073),
        # (1 - 0.25) * 0.5^2 * ln 2
        ("focal", 0.1875 * np.log(2)),
        # 1 - 0.5 / (0.3 S + 0.5)
        ("tversky", 1 - 0.5 / 39_322.1),
        ("focal_tversky", (1 - 0.5 / 39_322.1 + 1e-6) ** 0.75 - 1e-6**0.75),
        # Logit 0: every error is 1.
        ("lovasz_hinge", 1),
        # One probability everywhere has no boundary.
        ("boundary", np.log(2) + 1 - 1 / 131_073),
    ],
)
def test_half_precision_is_summed_in_single(name: str, expected: float) -> None:
    # The sum S over 512 x 512 px at 0.5 is 131,072; the largest float16 is 65,504.
    truth = np.zeros((1, 512, 512, 1), dtype=np.float16)
    probability = np.full(truth.shape, 0.5, dtype=np.float16)
    assert value(name, truth, probability) == pytest.approx([expected], rel=1e-5)


# In training. -------------------------------------------------------------------------------------


def former_bce_dice(truth: Any, probability: Any) -> Any:
    """The loss of the first release, as it was."""
    truth = ops.cast(truth, "float32")
    probability = ops.cast(probability, "float32")
    entropy = ops.mean(keras.losses.binary_crossentropy(truth, probability), axis=(1, 2))
    shared = ops.sum(truth * probability, axis=(1, 2, 3))
    either = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
    return entropy + (1.0 - (2.0 * shared + 1.0) / (either + 1.0))


def trained(loss: Callable[..., Any]) -> list[NDArray[np.float32]]:
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), loss, jit_compile=False)
    rng = np.random.default_rng(6)
    images = 20 * rng.normal(size=(4, 8, 8, 1)).astype(np.float32)  # some pixels are saturated
    masks = (rng.random(images.shape) < 0.2).astype(np.float32)
    masks[0] = 0
    for _ in range(5):
        model.train_on_batch(images, masks)
    return [np.asarray(weight) for weight in model.weights]


def test_bce_dice_trains_to_the_weights_of_the_former_one_bit_by_bit() -> None:
    before, now = trained(former_bce_dice), trained(build_loss("bce_dice", positive_weight=1.0))
    assert all(np.array_equal(a, b) for a, b in zip(before, now, strict=True))


@pytest.mark.parametrize(
    ("name", "parameters", "slope"),
    [
        ("bce", {"positive_weight": 1.0}, -1.0),
        ("bce", {"positive_weight": 3.0}, -3.0),
        # 0.25 * 1^2 * -1
        ("focal", {"gamma": 2.0, "alpha": 0.25}, -0.25),
    ],
)
def test_a_hopelessly_wrong_pixel_still_learns(
    name: str, parameters: dict[str, float], slope: float
) -> None:
    # A logit of -40 is a probability of 4e-18; clipped at 1e-7 it would have no gradient.
    head = keras.layers.Conv2D(
        1, 1, activation="sigmoid", bias_initializer=keras.initializers.Constant(-40)
    )
    model = keras.Sequential([keras.Input((2, 2, 1)), head])
    model.compile(keras.optimizers.SGD(1.0), build_loss(name, **parameters), run_eagerly=True)
    model.train_on_batch(np.zeros((1, 2, 2, 1)), np.ones((1, 2, 2, 1)))
    assert float(np.asarray(head.bias)[0]) == pytest.approx(-40 - slope, rel=1e-5)


def test_keras_averages_over_the_images() -> None:
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Identity()])
    model.compile(loss=build_loss("dice"), run_eagerly=True)
    truth = batch([1, 0, 0, 0], [0, 0, 0, 0])
    probability = batch([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5])
    # (0 + 2 / 3) / 2
    assert model.test_on_batch(probability, truth) == pytest.approx(1 / 3, rel=1e-5)


# Names and values. --------------------------------------------------------------------------------


def test_an_unknown_loss_is_named() -> None:
    with pytest.raises(ValueError, match=r"'bce_dice'.*Received: 'hinge'"):
        build_loss("hinge")


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(ValueError, match=r"'focal' are \['alpha', 'gamma'\].*\['beta'\]"):
        build_loss("focal", gamma=2.0, beta=0.3)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("bce", {"positive_weight": 0.0}, "positive_weight must be above 0. Received: 0.0"),
        ("bce_dice", {"positive_weight": -1.0}, "positive_weight must be above 0"),
        ("focal", {"gamma": -0.1}, "gamma must be at least 0"),
        ("focal", {"alpha": 1.0}, r"alpha must be in \(0, 1\)"),
        ("tversky", {"alpha": 0.0}, "alpha must be above 0"),
        ("tversky", {"beta": 0.0}, "beta must be above 0"),
        ("focal_tversky", {"beta": 0.0}, "beta must be above 0"),
        ("focal_tversky", {"gamma": 0.0}, "gamma must be above 0"),
        ("boundary", {"weight": -1.0}, "weight must be at least 0"),
        ("boundary", {"reach_px": 1.5}, "reach_px must be 0, 1, 2"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    name: str, parameters: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_loss(name, **parameters)
