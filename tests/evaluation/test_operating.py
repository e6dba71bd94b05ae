"""Threshold and minimum area: the best on some images, used on others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sgseg.evaluation.operating import (
    OperatingPoint,
    Quality,
    best_point,
    cross_fitted,
    qualities_of_map,
)
from sgseg.inference.segment import to_labels
from sgseg.scores import ObjectCounts, count_objects, count_pixels

SHAPE = (8, 9)
MAPS = arrays(np.float32, SHAPE, elements=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
TRUTHS = arrays(np.int32, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 2, 5]))


@given(MAPS, TRUTHS)
@settings(max_examples=50)
def test_every_point_is_what_segmenting_there_gives(
    found: NDArray[np.float32], truth: NDArray[np.int32]
) -> None:
    thresholds, areas = [0.2, 0.5, 0.95], [1, 3, 100]
    table = qualities_of_map(
        found, truth, thresholds=thresholds, min_areas_px=areas, object_iou=0.3
    )
    assert list(table) == [OperatingPoint(t, a) for t in thresholds for a in areas]
    for point, quality in table.items():
        labels = to_labels(found, threshold=point.threshold, min_area_px=point.min_area_px)
        expected = count_objects(truth, labels, iou=0.3)
        assert quality.objects.iou_sum == pytest.approx(expected.iou_sum)
        assert (quality.objects.tp, quality.objects.fp, quality.objects.fn) == (
            expected.tp,
            expected.fp,
            expected.fn,
        )
        assert quality.iou == count_pixels(truth > 0, labels > 0).iou


def quality(tp: int, fp: int, fn: int, iou: float = 0.0) -> Quality:
    return Quality(ObjectCounts(tp, fp, fn, float(tp)), iou)


def test_objects_are_pooled_before_points_are_compared() -> None:
    # F1 at "a": pooled 2 x 12 / (2 x 12 + 8 + 0) = 0.75; mean of images (1.0 + 0.71) / 2 = 0.86
    #    at "b": pooled 2 x 16 / (2 x 16 + 4 + 0) = 0.89; mean of images (0.0 + 0.94) / 2 = 0.47
    tables = [
        {"a": quality(2, 0, 0), "b": quality(0, 2, 0)},
        {"a": quality(10, 8, 0), "b": quality(16, 2, 0)},
    ]
    assert best_point(tables) == "b"


def test_object_f1_and_mean_iou_weigh_the_same() -> None:
    # TP, FP, FN are pooled; F1 + mean IoU of the two images:
    # "a": 2 x 4 / (2 x 4 + 2 + 0) = 0.8,  (0.3 + 0.5) / 2 = 0.4,  sum 1.2
    # "b": 2 x 3 / (2 x 3 + 1 + 1) = 0.75, (0.9 + 0.1) / 2 = 0.5,  sum 1.25
    # "c": 2 x 4 / (2 x 4 + 0 + 1) = 0.89, (0.2 + 0.3) / 2 = 0.25, sum 1.14
    tables = [
        {"a": quality(2, 1, 0, 0.3), "b": quality(1, 0, 1, 0.9), "c": quality(2, 0, 1, 0.2)},
        {"a": quality(2, 1, 0, 0.5), "b": quality(2, 1, 0, 0.1), "c": quality(2, 0, 0, 0.3)},
    ]
    assert best_point(tables) == "b"


def test_of_equal_points_the_first_wins() -> None:
    assert best_point([{"b": quality(1, 1, 0, 0.5), "a": quality(1, 0, 1, 0.5)}]) == "b"


def test_a_generator_of_tables_is_enough() -> None:
    assert best_point({"only": quality(1, 0, 0)} for _ in range(2)) == "only"


def test_a_fold_s_point_comes_from_the_other_folds() -> None:
    # Each image prefers the point of its own fold's name; of two others the clearer one wins.
    tables = {
        f"{fold}{k}": {
            p: quality(9, 0, 0) if p == fold else quality(weight, 9, 9) for p in range(3)
        }
        for fold, weight in ((0, 1), (1, 2), (2, 3))
        for k in range(2)
    }
    fold_of = {image: int(image[0]) for image in tables}
    # TP of the two images of each other fold, pooled:
    # for fold 0: point 1 18 + 6, point 2 4 + 18, point 0 4 + 6;
    # for fold 1: point 0 18 + 6, point 2 2 + 18; for fold 2: point 0 18 + 4, point 1 2 + 18.
    assert cross_fitted(tables, fold_of) == {0: 1, 1: 0, 2: 0}


@given(st.lists(st.integers(0, 20), min_size=6, max_size=6))
def test_a_fold_s_own_images_have_no_say(counts: list[int]) -> None:
    others = {
        "b": {"x": quality(3, 1, 1), "y": quality(2, 1, 1)},
        "c": {"x": quality(1, 5, 1), "y": quality(2, 5, 1)},
    }
    own = {"x": quality(*counts[:3]), "y": quality(*counts[3:])}
    fold_of = {"a": 0, "b": 1, "c": 2}
    # Pooled over b and c: x TP 4, FP 6, FN 2 and y TP 4, FP 6, FN 2: equal, so the first.
    assert cross_fitted({"a": own, **others}, fold_of)[0] == "x"
