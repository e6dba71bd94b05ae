"""Pixel scores against scikit-learn, and the ways in which other metrics are known to lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from sgseg.nets.metrics import BINS, PER_LOGIT, PixelScores


def scores(*pairs: tuple[NDArray, NDArray]) -> dict[str, float]:
    metric = PixelScores()
    for truth, probability in pairs:
        metric.update_state(truth, probability)
    return {name: float(value) for name, value in metric.result().items()}


def one_percent() -> NDArray[np.float32]:
    truth = np.zeros((1, 20, 20, 1), dtype=np.float32)
    truth[0, 4:6, 4:6] = 1  # 4 of 400 px
    return truth


def test_scores_by_hand() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0], dtype=np.float32)
    found = np.array([0.9, 0.6, 0.2, 0.7, 0.3, 0.1, 0.1, 0.1], dtype=np.float32)
    # above 0.5: 0.9 and 0.6 rightly (TP 2), 0.7 wrongly (FP 1), 0.2 is missed (FN 1), TN 4
    # AUC: of 3 x 5 pairs, 0.9 wins 5, 0.6 wins 4 (not against 0.7), 0.2 wins 3 (against 0.1 x 3)
    assert scores((truth, found)) == pytest.approx(
        {
            "accuracy": 6 / 8,
            "iou": 2 / 4,
            "dice": 4 / 6,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "auc": 12 / 15,
        }
    )


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.02, 0.9),
    st.floats(-12, 4),
    st.integers(1, 4),
)
def test_scores_agree_with_scikit_learn(
    seed: int, share: float, mean_logit: float, n_batches: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random((4 * n_batches, 8, 8, 1)) < share).astype(np.float32)
    truth[0, 0, :2, 0] = 0, 1  # both classes occur
    logit = rng.normal(mean_logit, 2, truth.shape) + 1.5 * truth
    probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
    batches = zip(np.split(truth, n_batches), np.split(probability, n_batches), strict=True)
    found = scores(*batches)

    t, p = truth.ravel() > 0, probability.ravel()
    options = {"zero_division": 1.0}
    assert found["accuracy"] == pytest.approx(accuracy_score(t, p > 0.5), abs=1e-6)
    assert found["iou"] == pytest.approx(jaccard_score(t, p > 0.5, **options), abs=1e-6)
    assert found["dice"] == pytest.approx(f1_score(t, p > 0.5, **options), abs=1e-6)
    assert found["precision"] == pytest.approx(precision_score(t, p > 0.5, **options), abs=1e-6)
    assert found["recall"] == pytest.approx(recall_score(t, p > 0.5, **options), abs=1e-6)
    # Probabilities of one bin count as equal: pairs closer than its width may count half.
    logit = np.log(p / (1 - p))
    close = np.abs(logit[t][:, None] - logit[~t]) < 1 / PER_LOGIT
    assert found["auc"] == pytest.approx(roc_auc_score(t, p), abs=close.mean() / 2 + 1e-6)


def test_auc_is_exact_for_one_probability_per_bin() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(5000) < 0.2
    logits = (rng.integers(-200, 200, 5000) + 0.5) / 16
    probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
    assert scores((truth, probability))["auc"] == pytest.approx(
        roc_auc_score(truth, probability), abs=1e-6
    )


def test_batches_accumulate_as_counts() -> None:
    rng = np.random.default_rng(1)
    # One image full of granules, one with a single pixel: a mean of the images' scores differs.
    truths = [np.ones((1, 6, 6, 1)), np.zeros((1, 6, 6, 1))]
    truths[1][0, 0, 0] = 1
    probabilities = [rng.random((1, 6, 6, 1)) for _ in truths]
    pairs = list(zip(truths, probabilities, strict=True))
    whole = scores((np.concatenate(truths), np.concatenate(probabilities)))
    assert scores(*pairs) == whole
    assert whole["iou"] != pytest.approx(np.mean([scores(pair)["iou"] for pair in pairs]))


def test_reset_forgets() -> None:
    metric = PixelScores()
    metric.update_state(one_percent(), 1 - one_percent())
    metric.reset_state()
    metric.update_state(one_percent(), one_percent())
    assert float(metric.result()["iou"]) == 1.0


def test_predicting_nothing_scores_nothing() -> None:
    # Averaged with the background's IoU it would be (0 + 396 / 400) / 2 = 0.495.
    found = scores((one_percent(), np.full((1, 20, 20, 1), 0.01)))
    assert (found["iou"], found["dice"], found["recall"]) == (0.0, 0.0, 0.0)
    assert found["auc"] == 0.5
    assert found["accuracy"] == pytest.approx(0.99)


def test_the_background_is_not_averaged_in() -> None:
    truth, probability = one_percent(), np.zeros((1, 20, 20, 1))
    probability[0, 4:6, 4:5] = 0.9
    # TP 2, FN 2, FP 0: 2 / 4; with the background's 396 / 398 it would be 0.747
    assert scores((truth, probability))["iou"] == 0.5


def test_a_fractional_mask_is_foreground_and_not_a_perfect_score() -> None:
    # A coloured mask read as gray and divided by 255 is 0.26.
    mask = one_percent() * 0.26
    assert scores((mask, np.zeros((1, 20, 20, 1))))["iou"] == 0.0
    assert scores((mask, np.ones((1, 20, 20, 1))))["iou"] == pytest.approx(4 / 400)
    assert scores((mask, one_percent()))["iou"] == 1.0


def test_nothing_there_and_nothing_found_is_right() -> None:
    found = scores((np.zeros((1, 5, 5, 1)), np.zeros((1, 5, 5, 1))))
    assert found == {
        "accuracy": 1.0,
        "iou": 1.0,
        "dice": 1.0,
        "precision": 1.0,
        "recall": 1.0,
        "auc": 0.5,
    }


def test_nothing_there_and_something_found_is_wrong() -> None:
    probability = np.zeros((1, 5, 5, 1))
    probability[0, 0, 0] = 0.9
    found = scores((np.zeros((1, 5, 5, 1)), probability))
    # TP 0, FP 1, FN 0, TN 24
    assert (found["iou"], found["dice"], found["precision"]) == (0.0, 0.0, 0.0)
    assert (found["recall"], found["accuracy"]) == (1.0, pytest.approx(24 / 25))


def test_no_pixel_at_all_is_a_number() -> None:
    assert all(np.isfinite(list(scores().values())))


def test_auc_ranks_tiny_probabilities() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random(20_000) < 0.01
    probability = (1e-5 * np.exp(rng.normal(0, 1, 20_000) + 2 * truth)).astype(np.float32)
    expected = roc_auc_score(truth, probability)
    assert expected > 0.85
    assert scores((truth, probability))["auc"] == pytest.approx(expected, abs=2e-3)


def test_half_precision_neither_overflows_nor_becomes_nan() -> None:
    # 102,400 pixels; the largest float16 is 65,504.
    truth = np.ones((1, 320, 320, 1), dtype=np.float16)
    probability = np.full(truth.shape, 0.75, dtype=np.float16)
    assert scores((truth, probability))["iou"] == 1.0


def test_counts_pass_32_bits() -> None:
    metric = PixelScores()
    counts = np.zeros(2 * BINS, dtype=np.int64)
    counts[0] = 5_000_000_000  # background, rightly
    counts[BINS - 1] = 1_000_000_000  # background, wrongly
    metric.counts.assign(counts)
    metric.update_state(np.zeros(8), np.zeros(8))
    # TN / (TN + FP) = 5 / 6
    assert float(metric.result()["accuracy"]) == pytest.approx(5 / 6)


HALF = np.float32(0.5)


@pytest.mark.parametrize(
    ("probability", "is_found"),
    [
        (0.0, False),
        (np.nextafter(HALF, np.float32(0)), False),
        (HALF, False),
        (np.nextafter(HALF, np.float32(1)), True),
        (1.0, True),
    ],
)
def test_a_pixel_is_found_above_one_half(probability: float, is_found: bool) -> None:
    assert scores((np.ones(1), np.array([probability], np.float32)))["recall"] == float(is_found)


def test_a_network_that_lost_its_numbers_is_scored_without_a_crash() -> None:
    found = scores((np.array([0.0, 1.0]), np.array([np.nan, np.nan])))
    assert found["recall"] == 0.0
