"""metrics.json: one tree of finite numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sgseg.evaluation.disagreement import ImageDisagreement
from sgseg.evaluation.metrics import metrics_tree
from sgseg.evaluation.results import Evaluation, Scored
from sgseg.evaluation.summary import ImageCounts

from .cases import evaluation_of, image_counts, of_test, params_with


def counts(group: str, tp: int, fp: int, fn: int) -> ImageCounts:
    return image_counts((tp, fp, fn, 90), (tp, fp, fn, float(tp)), image_id=group, group=group)


def an_evaluation(test: list[ImageCounts]) -> Evaluation:
    development = Scored(
        [counts("a", 8, 2, 0), counts("b", 4, 0, 4), counts("c", 0, 0, 0)], [0, 1, 1]
    )
    seen = ImageDisagreement(
        "t", "t", 0.25, 0.75, np.array([0.1, 0.2, 0.3, 0.9]), np.array([True, True, True, False])
    )
    return evaluation_of(development, of_test(*test), disagreement=[seen] if test else [])


def leaves(tree: Any) -> Iterator[Any]:
    for value in tree.values():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield value


def test_the_tree() -> None:
    ceiling = {"pairs": 3, "iou": 0.54, "object_f1": None}
    tree = metrics_tree(an_evaluation([counts("t", 3, 1, 0)]), params_with(), ceiling)
    # Fold 0: F1 = 16 / (16 + 2) = 0.889. Fold 1, pooled: 8 / (8 + 4) = 0.667.
    assert tree["folds"]["0"]["object_f1"] == pytest.approx(16 / 18, abs=1e-6)
    assert tree["folds"]["1"]["object_f1"] == pytest.approx(8 / 12, abs=1e-6)
    # Mean and sample standard deviation of two values x, y: |x - y| / sqrt(2).
    assert tree["cv"]["object_f1"] == {
        "mean": pytest.approx((16 / 18 + 8 / 12) / 2, abs=1e-6),
        "std": pytest.approx((16 / 18 - 8 / 12) / math.sqrt(2), abs=1e-6),
    }
    # Foreground IoU is a mean over images: fold 1 has 4 / 8 and an empty image found empty.
    assert tree["folds"]["1"]["foreground_iou"] == (0.5 + 1) / 2
    # Out of fold all counts are pooled: TP 12, FP 2, FN 4.
    assert tree["out_of_fold"]["object_f1"]["value"] == pytest.approx(24 / 30, abs=1e-6)
    assert tree["test_members"]["1"]["object_f1"] == pytest.approx(6 / 7, abs=1e-6)
    assert tree["operating_point"] == {"threshold": 0.5, "min_area_px": 4}
    assert tree["baseline_point"]["deviations"] == 3.0
    assert tree["label_ceiling"] == {"pairs": 3, "iou": 0.54}
    assert tree["tuned_on_itself"] == tree["baseline_tuned_on_itself"] == tree["out_of_fold"]
    assert tree["averaging"]["all_8_test_object_f1"] == {"value": pytest.approx(6 / 7, abs=1e-6)}
    # The wrong granule is the most uncertain one; one group says nothing about others.
    assert tree["uncertainty"] == {
        "granule_auc": {"value": 1.0},
        "right_granules": 3,
        "wrong_granules": 1,
        "images": 1,
    }


def test_a_score_that_a_fold_lacks_has_no_mean() -> None:
    tree = metrics_tree(an_evaluation([]), params_with(), None)
    # Only fold 1 has an empty image.
    assert "false_per_empty" not in tree["folds"]["0"]
    assert tree["folds"]["1"]["false_per_empty"] == 0
    assert "false_per_empty" not in tree["cv"]


def test_without_test_set_or_ceiling_their_sections_are_missing() -> None:
    tree = metrics_tree(an_evaluation([]), params_with(), None)
    absent = {"test", "test_members", "baseline_test", "label_ceiling", "uncertainty"}
    assert not absent & tree.keys()
    assert not [name for name in tree["averaging"] if "test" in name]


def test_every_number_is_finite_and_rounded() -> None:
    tree = metrics_tree(an_evaluation([counts("t", 3, 1, 0)]), params_with(), None)
    numbers = list(leaves(tree))
    assert len(numbers) > 100
    assert all(isinstance(n, int | float) and math.isfinite(n) for n in numbers)
    assert all(round(n, 6) == n for n in numbers)
    assert json.loads(json.dumps(tree, allow_nan=False)) == tree


def test_the_evaluation_is_left_alone() -> None:
    evaluation = an_evaluation([])
    metrics_tree(evaluation, params_with(), None)["operating_point"]["threshold"] = 0.9
    assert evaluation.point.threshold == 0.5
