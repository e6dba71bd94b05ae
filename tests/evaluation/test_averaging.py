"""What averaging gains: differences on the same images, worked out by hand."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from sgseg.evaluation.averaging import AVERAGED, GAINS, averaging_scores
from sgseg.evaluation.operating import OperatingPoint
from sgseg.evaluation.results import Evaluation, NetworkScores, Scored
from sgseg.evaluation.summary import paired_difference

from .cases import evaluation_of, image_counts, of_test


def scored(*objects: tuple[int, int, int], groups: str = "abcdef", iou: int = 5) -> Scored:
    """Images of 10 px of truth or prediction, `iou` of them in both."""
    return Scored(
        [
            image_counts((iou, 10 - iou, 0, 90), (*counts, 1.0), image_id=group, group=group)
            for counts, group in zip(objects, groups, strict=False)
        ],
        [0] * len(objects),
    )


def networks(out_of_fold: Scored, test: Scored, *members: Scored) -> NetworkScores:
    point = OperatingPoint(0.5, 4)
    points = {0: point, 1: point}
    alone = dict(enumerate(members))
    return NetworkScores(point, points, out_of_fold, out_of_fold, test, alone)


@pytest.fixture
def evaluation() -> Evaluation:
    one = networks(
        scored((6, 4, 0), (2, 0, 2)),  # TP 8, FP 4, FN 2: F1 16 / 22
        scored((8, 2, 0)),  # F1 16 / 18
        scored((6, 4, 0), iou=4),  # F1 12 / 16 = 0.75
        scored((5, 0, 10), iou=6),  # F1 10 / 20 = 0.5
    )
    eight = networks(
        scored((8, 2, 0), (2, 0, 2)),  # TP 10, FP 2, FN 2: F1 20 / 24
        scored((9, 1, 0)),  # F1 18 / 19
        scored((8, 2, 0), iou=4),  # F1 16 / 18
        scored((6, 4, 0), iou=6),  # F1 12 / 16 = 0.75
    )
    return evaluation_of(eight.out_of_fold, eight.test, networks={1: one, 8: eight})


def test_scores_of_every_way_to_average(evaluation: Evaluation) -> None:
    tree = averaging_scores(evaluation, resamples=20, seed=1)
    assert tree["one_1_out_of_fold_object_f1"] == {"value": pytest.approx(16 / 22, abs=1e-6)}
    assert tree["one_8_out_of_fold_object_f1"] == {"value": pytest.approx(20 / 24, abs=1e-6)}
    assert tree["all_1_test_object_f1"] == {"value": pytest.approx(16 / 18, abs=1e-6)}
    assert tree["all_8_test_object_f1"] == {"value": pytest.approx(18 / 19, abs=1e-6)}
    # Of the members, each alone: mean, and sample standard deviation |x - y| / sqrt(2).
    assert tree["one_1_test_object_f1"] == {
        "value": pytest.approx((0.75 + 0.5) / 2),
        "std": pytest.approx(0.25 / math.sqrt(2), abs=1e-6),
    }
    assert tree["one_8_test_object_f1"]["value"] == pytest.approx((16 / 18 + 0.75) / 2, abs=1e-6)
    assert tree["one_1_test_foreground_iou"] == {
        "value": pytest.approx((0.4 + 0.6) / 2),
        "std": pytest.approx(0.2 / math.sqrt(2), abs=1e-6),
    }
    # An ensemble has nothing out of fold: its members have seen those images.
    assert not [name for name in tree if name.startswith("all") and "out_of_fold" in name]


def test_gains(evaluation: Evaluation) -> None:
    tree = averaging_scores(evaluation, resamples=20, seed=1)
    one, eight = (0.75 + 0.5) / 2, (16 / 18 + 0.75) / 2
    expected = {
        "orientations_out_of_fold": 20 / 24 - 16 / 22,
        "orientations_test": eight - one,
        "members_test": 18 / 19 - eight,  # at the 8 orientations in use
        "both_test": 18 / 19 - one,
    }
    assert expected.keys() == GAINS.keys()
    for name, value in expected.items():
        assert tree[f"gain_{name}_object_f1"]["value"] == pytest.approx(value, abs=1e-6)
    # One group of test images says nothing about others; two of development images do.
    assert tree["gain_members_test_object_f1"]["low"] is None
    assert tree["gain_orientations_out_of_fold_object_f1"]["low"] is not None


def with_ious(groups: str, *tenths: int) -> Scored:
    """Images of an IoU of so many tenths."""
    return of_test(
        *(
            image_counts((iou, 10 - iou, 0, 90), (1, 0, 0, 1.0), image_id=str(k), group=group)
            for k, (group, iou) in enumerate(zip(groups, tenths, strict=True))
        )
    )


def test_a_gain_that_is_the_same_everywhere_is_certain() -> None:
    # IoU 0.3, 0.5 and 0.8 on one side, 0.1 more on the other: however they are drawn, 0.1.
    better, base = with_ious("abc", 4, 6, 9), with_ious("abc", 3, 5, 8)
    gain = paired_difference([better.counts], [base.counts], names=AVERAGED, resamples=100, seed=1)
    assert gain["foreground_iou"] == {"value": 0.1, "low": 0.1, "high": 0.1}
    assert gain["object_f1"] == {"value": 0, "low": 0, "high": 0}


def test_the_interval_is_that_of_all_data_sets_that_can_be_drawn() -> None:
    better, base = with_ious("aabc", 4, 4, 8, 7), with_ious("aabc", 3, 3, 5, 8)
    found = paired_difference(
        [better.counts], [base.counts], names=AVERAGED, resamples=4000, seed=1
    )["foreground_iou"]
    # Gains in IoU of 0.1 for both images of group a, 0.3 and -0.1; 27 ways to draw 3 groups of 3.
    gains = {"a": [0.1, 0.1], "b": [0.3], "c": [-0.1]}
    drawn = [np.mean(gains[x] + gains[y] + gains[z]) for x, y, z in product("abc", repeat=3)]
    low, high = np.percentile(np.repeat(drawn, 1000), [2.5, 97.5])
    assert found["value"] == pytest.approx(0.1)
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))


def test_no_images_no_gain() -> None:
    assert paired_difference([[]], [[]], names=AVERAGED, resamples=10, seed=1) == {}
    empty = evaluation_of(scored((1, 0, 0)), of_test())
    tree = averaging_scores(empty, resamples=10, seed=1)
    assert tree
    assert all("test" not in name for name in tree)
