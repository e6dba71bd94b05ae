"""Scores against scikit-learn, and intervals against a distribution that is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.metrics import average_precision_score, roc_auc_score

from sgseg.evaluation.summary import (
    BINS,
    average_precision,
    count_image,
    operating_points,
    point_scores,
    probability_histogram,
    roc_auc,
    score,
    summarise,
)
from sgseg.scores import Confusion, ObjectCounts

from .cases import image_counts

FEW = settings(max_examples=40)
# Ties on purpose; in the middle of bins, where binning loses nothing.
MID_BINS = st.sampled_from([(k + 0.5) / BINS for k in (0, 1, 2, 400, 500, 998, 999)])


@st.composite
def truth_and_probability(draw: st.DrawFn) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    truth = draw(arrays(bool, shape))
    assume(truth.any() and not truth.all())
    return truth, draw(arrays(np.float32, shape, elements=MID_BINS.map(np.float32)))


@given(truth_and_probability())
@FEW
def test_curves_equal_those_of_scikit_learn(
    maps: tuple[NDArray[np.bool_], NDArray[np.float32]],
) -> None:
    truth, probability = maps
    histogram = probability_histogram(truth, probability).astype(float)
    flat = truth.ravel(), probability.ravel()
    assert roc_auc(histogram) == pytest.approx(roc_auc_score(*flat))
    assert average_precision(histogram) == pytest.approx(average_precision_score(*flat))


def test_curves_of_probabilities_of_any_value_are_close_to_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(40_000) < 0.02
    probability = np.clip(rng.normal(0.3 + 0.3 * truth, 0.2), 0, 1).astype(np.float32)
    histogram = probability_histogram(truth, probability).astype(float)
    # 1,000 bins: two probabilities closer than 0.001 may count as equal.
    assert roc_auc(histogram) == pytest.approx(roc_auc_score(truth, probability), abs=1e-3)
    assert average_precision(histogram) == pytest.approx(
        average_precision_score(truth, probability), abs=5e-3
    )


def test_histogram_holds_every_pixel_once() -> None:
    truth = np.array([[False, False, True], [True, True, False]])
    probability = np.array([[0.0, 1.0, 1.0], [0.0, 0.5004, 0.0015]], np.float32)
    histogram = probability_histogram(truth, probability)
    assert histogram.shape == (2, BINS)
    # Background: 0.0, 1.0 (in the last bin, as it is not above it) and 0.0015 (bin 1).
    assert {int(i): int(histogram[0, i]) for i in np.flatnonzero(histogram[0])} == {
        0: 1,
        1: 1,
        999: 1,
    }
    assert {int(i): int(histogram[1, i]) for i in np.flatnonzero(histogram[1])} == {
        0: 1,
        500: 1,
        999: 1,
    }


def test_operating_points_by_hand() -> None:
    histogram = np.zeros((2, BINS))
    histogram[:, 0], histogram[:, 500], histogram[:, 999] = (7, 1), (2, 3), (1, 4)
    tp, fp = operating_points(histogram)
    # From the top: 4 of 5 are granule, then 4 + 3 of 5 + 5, then all 8 of 18.
    assert (tp[0], fp[0]) == (4, 1)
    assert (tp[499], fp[499]) == (4 + 3, 1 + 2)
    assert (tp[-1], fp[-1]) == (8, 10)


def test_curves_of_one_class_are_not_defined() -> None:
    one_class = np.zeros((2, BINS))
    one_class[0, 10] = 5
    assert np.isnan(roc_auc(one_class))
    assert np.isnan(average_precision(one_class))
    assert np.isnan(roc_auc(one_class[::-1]))
    # All is granule: every precision is 1.
    assert average_precision(one_class[::-1]) == 1


def test_counts_of_an_image() -> None:
    truth = np.array([[1, 1, 0, 2, 2, 0]], np.int32)
    predicted = np.array([[1, 1, 0, 0, 2, 2]], np.int32)
    probability = np.linspace(0, 1, 6, dtype=np.float32)[None]
    counts = count_image(
        "a", "g", truth=truth, predicted=predicted, object_iou=0.3, probability=probability
    )
    # Object 1 with IoU 2/2; object 2 with 1/3, which is a match at 0.3 and none at 0.5.
    assert counts.pixels == Confusion(tp=3, fp=1, fn=1, tn=1)
    assert counts.objects == ObjectCounts(tp=2, fp=0, fn=0, iou_sum=1 + 1 / 3)
    assert counts.objects_50 == ObjectCounts(tp=1, fp=1, fn=1, iou_sum=1.0)
    assert counts.histogram is not None
    assert counts.histogram.sum(axis=1).tolist() == [2, 4]
    assert not counts.is_empty
    empty = count_image("b", "g", truth=truth * 0, predicted=predicted, object_iou=0.3)
    assert empty.is_empty
    assert empty.histogram is None


TWO = [
    image_counts((3, 1, 1, 5), (2, 1, 0, 1.5), objects_50=(1, 2, 1, 0.9), image_id="a"),
    # An empty control with two false granules.
    image_counts((0, 4, 0, 6), (0, 2, 0, 0.0), image_id="b"),
]


def test_scores_by_hand() -> None:
    found = {name: float(value[0]) for name, value in score(TWO, np.ones((1, 2))).items()}
    assert found == pytest.approx(
        {
            # Means of the two images.
            "foreground_iou": (3 / 5 + 0 / 4) / 2,
            "foreground_dice": (6 / 8 + 0 / 4) / 2,
            # Pooled: TP 3, FP 1 + 4, FN 1, TN 5 + 6.
            "pooled_iou": 3 / 9,
            "precision": 3 / 8,
            "recall": 3 / 4,
            "accuracy": (3 + 11) / 20,
            # Pooled objects: TP 2, FP 1 + 2, FN 0; at 0.5: TP 1, FP 2 + 2, FN 1.
            "object_precision": 2 / 5,
            "object_recall": 2 / 2,
            "object_f1": 4 / (4 + 3 + 0),
            "object_precision_50": 1 / 5,
            "object_recall_50": 1 / 2,
            "object_f1_50": 2 / (2 + 4 + 1),
            "panoptic_quality": 0.9 / (1 + 4 / 2 + 1 / 2),
            # |3 - 2| and |2 - 0| granules too many; the second image is the only empty one.
            "count_error": (1 + 2) / 2,
            "false_per_empty": 2 / 1,
        }
    )


def test_errors_of_the_count_do_not_cancel() -> None:
    counts = [image_counts(objects=(1, 2, 0, 1.0)), image_counts(objects=(1, 0, 2, 1.0))]
    assert point_scores(counts)["count_error"] == 2


def test_nothing_anywhere_and_nothing_found() -> None:
    scores = point_scores([image_counts(), image_counts()])
    ones = [name for name, value in scores.items() if value == 1]
    zeros = [name for name, value in scores.items() if value == 0]
    assert sorted(zeros) == ["count_error", "false_per_empty"]
    assert sorted(ones + zeros) == sorted(scores)


def test_false_granules_in_empty_images_need_an_empty_image() -> None:
    assert point_scores(TWO[:1])["false_per_empty"] is None
    assert point_scores(TWO)["false_per_empty"] == 2


@given(arrays(np.int64, 3, elements=st.integers(0, 3)), st.integers(0, 2**31))
@FEW
def test_a_weight_is_the_number_of_times_an_image_occurs(
    weights: NDArray[np.int64], seed: int
) -> None:
    assume(weights.any())
    rng = np.random.default_rng(seed)
    counts = [
        image_counts(
            tuple(int(n) for n in rng.integers(0, 9, 4)),  # type: ignore[arg-type]
            (*(int(n) for n in rng.integers(0, 5, 3)), 1.0),  # type: ignore[arg-type]
            histogram=rng.integers(0, 5, (2, BINS)),
        )
        for _ in weights
    ]
    weighted = score(counts, weights[None].astype(float))
    repeated = [c for c, n in zip(counts, weights, strict=True) for _ in range(n)]
    plain = score(repeated, np.ones((1, len(repeated))))
    assert weighted.keys() == plain.keys()
    for name in plain:
        assert weighted[name] == pytest.approx(plain[name], nan_ok=True), name


def test_curves_are_pooled_over_images_that_all_have_probabilities() -> None:
    rng = np.random.default_rng(1)
    histograms = rng.integers(0, 5, (2, 2, BINS))
    counts = [image_counts(histogram=h) for h in histograms]
    found = point_scores(counts)["roc_auc"]
    assert found == pytest.approx(float(roc_auc(histograms.sum(0).astype(float))), abs=1e-6)
    assert "roc_auc" not in point_scores([counts[0], image_counts()])


def bernoulli(n: int, hits: int, *, copies: int = 1) -> list[object]:
    """Images of which `hits` are segmented perfectly and the others not at all."""
    return [
        image_counts((1, 0, 0, 1) if k < hits else (0, 1, 1, 0), group=f"group {k}")
        for k in range(n)
        for _ in range(copies)
    ]


@pytest.mark.parametrize(("n", "hits"), [(20, 10), (40, 30)])
def test_intervals_of_a_share_are_binomial(n: int, hits: int) -> None:
    # The mean of n images that score 0 or 1, drawn with replacement: Binomial(n, hits / n) / n.
    summary = summarise(bernoulli(n, hits), resamples=5000, seed=3)["foreground_iou"]  # type: ignore[arg-type]
    assert summary["value"] == hits / n
    low, high = binom.ppf([0.025, 0.975], n, hits / n) / n
    # 5000 resamples may miss a percentile by one step of 1 / n.
    assert summary["low"] == pytest.approx(low, abs=1.01 / n)
    assert summary["high"] == pytest.approx(high, abs=1.01 / n)


def test_copies_add_no_certainty() -> None:
    def width(counts: object) -> float:
        entry = summarise(counts, resamples=4000, seed=3)["foreground_iou"]  # type: ignore[arg-type]
        return float(entry["high"] or 0) - float(entry["low"] or 0)

    # 20 groups of 4 copies: the interval of 20 images, twice as wide as that of 80.
    grouped, single, independent = bernoulli(20, 10, copies=4), bernoulli(20, 10), bernoulli(80, 40)
    assert width(grouped) == pytest.approx(width(single))
    assert width(grouped) == pytest.approx(2 * width(independent), rel=0.15)


def test_an_interval_holds_the_value_and_does_not_depend_on_the_run() -> None:
    counts = [
        image_counts((k, 3, 10 - k, 50), (k, 2, 10 - k, k * 0.7), group=f"g{k}") for k in range(11)
    ]
    first = summarise(counts, resamples=500, seed=7)
    assert first == summarise(counts, resamples=500, seed=7)
    assert first != summarise(counts, resamples=500, seed=8)
    for name, entry in first.items():
        if entry["value"] is not None and name != "false_per_empty":
            assert entry["low"] <= entry["value"] <= entry["high"], name  # type: ignore[operator]


def test_one_group_has_no_interval() -> None:
    counts = [image_counts((k, 1, 1, 1), image_id=str(k)) for k in range(3)]
    entry = summarise(counts, resamples=100, seed=0)["foreground_iou"]
    # 0/2, 1/3 and 2/4
    assert entry == {
        "value": pytest.approx((1 / 3 + 1 / 2) / 3, abs=1e-6),
        "low": None,
        "high": None,
    }


def test_resamples_in_which_a_score_is_not_defined_are_left_out() -> None:
    # Of two groups one is empty: a quarter of the resamples holds no empty image.
    counts = [
        image_counts((1, 0, 0, 1), (1, 0, 0, 1.0), group="full"),
        image_counts((0, 1, 0, 1), (0, 3, 0, 0.0), group="empty"),
    ]
    entry = summarise(counts, resamples=200, seed=0)["false_per_empty"]
    assert entry == {"value": 3, "low": 3, "high": 3}


def test_no_image_has_no_score() -> None:
    assert summarise([], resamples=10, seed=0) == {}
