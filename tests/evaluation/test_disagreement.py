"""Whether disagreement tells right from wrong: ranks by hand and against SciPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from sgseg.evaluation.disagreement import (
    ImageDisagreement,
    auc,
    compare,
    is_matched,
    spearman,
    summarise_disagreement,
)
from sgseg.scores import match_counts

IOUS = arrays(
    np.float64,
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    elements=st.sampled_from([0.0, 0.2, 0.3, 0.4, 0.6]),
)
TIED = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.booleans()), max_size=12)


def test_chance_that_the_wrong_one_is_higher() -> None:
    # Wrong 0.5 and 0.2, right 0.2 and 0.1. Of 4 pairs: 0.5 > 0.2, 0.5 > 0.1, 0.2 = 0.2, 0.2 > 0.1.
    values, wrong = np.array([0.5, 0.2, 0.2, 0.1]), np.array([True, True, False, False])
    assert auc(values, wrong) == 3.5 / 4


@given(TIED)
def test_auc_is_that_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    values, positive = np.array([v for v, _ in pairs]), np.array([p for _, p in pairs], dtype=bool)
    if positive.any() and not positive.all():
        assert auc(values, positive) == pytest.approx(roc_auc_score(positive, values))
    else:
        assert auc(values, positive) is None


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0])] * 2), max_size=9))
def test_spearman_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array([x for x, _ in pairs]), np.array([y for _, y in pairs])
    if len(pairs) > 2 and len(set(a)) > 1 and len(set(b)) > 1:
        assert spearman(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)
    else:
        assert spearman(a, b) is None


@given(IOUS)
def test_as_many_are_matched_as_are_counted(ious: NDArray[np.float64]) -> None:
    matched = is_matched(ious, iou=0.3)
    assert matched.shape == (ious.shape[1],)
    assert matched.sum() == match_counts(ious, iou=0.3).tp


def test_which_are_matched() -> None:
    # Rows are true. The first predicted overlaps both true ones, the second only the first, the
    # third too little: two matches are possible if the first goes to the second true one.
    ious = np.array([[0.8, 0.4, 0.1], [0.3, 0.0, 0.0]])
    assert is_matched(ious, iou=0.3).tolist() == [True, True, False]
    assert is_matched(ious, iou=0.5).tolist() == [True, False, False]


def test_one_image() -> None:
    truth = np.array([[1, 1, 0, 0, 0]], np.int32)
    predicted = np.array([[1, 1, 0, 2, 0]], np.int32)
    members = [predicted > 0, predicted == 1]
    found = compare("a", "g", truth=truth, predicted=predicted, masks=iter(members), object_iou=0.5)
    assert (found.image_id, found.group) == ("a", "g")
    assert found.is_right.tolist() == [True, False]
    assert found.granules.tolist() == [0, 0.5]  # only one of two finds the second
    assert found.iou == pytest.approx(2 / 3)
    assert found.uncertainty == pytest.approx(1 - (1 + 2 / 3) / 2)


def image(name: str, uncertainty: float, iou: float, **granules: list[float]) -> ImageDisagreement:
    right, wrong = granules.get("right", []), granules.get("wrong", [])
    return ImageDisagreement(
        name,
        name,
        uncertainty,
        iou,
        np.array(right + wrong, dtype=np.float64),
        np.array([True] * len(right) + [False] * len(wrong), dtype=bool),
    )


IMAGES = [
    image("a", 0.1, 0.9, right=[0.1, 0.2], wrong=[0.5]),
    image("b", 0.2, 0.7, right=[0.3], wrong=[0.2]),
    image("c", 0.4, 0.8, right=[0.1]),
]


def test_summary() -> None:
    found = summarise_disagreement(IMAGES, resamples=200, seed=1)
    # Right 0.1, 0.2, 0.3, 0.1; wrong 0.5 beats all 4, wrong 0.2 beats 2 and ties with 1.
    assert found["granule_auc"]["value"] == pytest.approx((4 + 2.5) / 8)
    # Ranks 1, 2, 3 of uncertainty and 3, 1, 2 of IoU: 1 - 6 (4 + 1 + 1) / (3 x 8) = -0.5.
    assert found["image_spearman"]["value"] == pytest.approx(-0.5)
    assert (found["right_granules"], found["wrong_granules"], found["images"]) == (4, 2, 3)
    for name in ("granule_auc", "image_spearman"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert found == summarise_disagreement(IMAGES, resamples=200, seed=1)


def test_intervals_are_over_groups() -> None:
    # Two images of one group are drawn together or not at all: what is drawn is always the same.
    together = [
        ImageDisagreement(i.image_id, "one", i.uncertainty, i.iou, i.granules, i.is_right)
        for i in IMAGES
    ]
    found = summarise_disagreement(together, resamples=20, seed=1)
    assert found["granule_auc"] == {"value": 0.8125, "low": None, "high": None}


def test_what_cannot_be_said_is_none() -> None:
    all_right = [image("a", 0.1, 0.9, right=[0.1]), image("b", 0.1, 0.8, right=[0.2])]
    found = summarise_disagreement(all_right, resamples=20, seed=1)
    assert found["granule_auc"] == {"value": None, "low": None, "high": None}
    assert found["image_spearman"] == {"value": None, "low": None, "high": None}
    assert (found["right_granules"], found["wrong_granules"]) == (2, 0)
    nothing = summarise_disagreement([image("a", 0.0, 1.0)], resamples=20, seed=1)
    assert (nothing["right_granules"], nothing["wrong_granules"], nothing["images"]) == (0, 0, 1)
    assert summarise_disagreement([], resamples=20, seed=1) == {}
