"""Scores for the report follow from what the gate counted on each image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sgseg.gate.decision import Check, Decision, ImageScores, Model, UsedImage
from sgseg.retrain.results import counts_of, in_words, interval, other_rows, part_rows, score_rows


def an_image(
    name: str, granules: int, mine: tuple[int, int], theirs: tuple[int, int] | None, **changes: Any
) -> UsedImage:
    """Found and false granules by challenger and champion."""

    def scores(found: int, false: int) -> ImageScores:
        total = 2 * found + false + granules - found
        f1 = 2 * found / total if total else 1.0
        return ImageScores(round(f1, 6), changes.get("iou", 0.5), found, false)

    group = changes.get("group", name)
    champion = None if theirs is None else scores(*theirs)
    return UsedImage(name, group, "m1", "m2", granules, scores(*mine), champion)


def a_model(**scores: float) -> Model:
    found = {name: {"value": v, "low": v - 0.1, "high": v + 0.1} for name, v in scores.items()}
    return Model("d" * 32, 0.5, 4, 1, 8, 30, {"data": "d1", "commit": "c0ffee"}, found)


def a_decision(*images: UsedImage, **changes: Any) -> Decision:
    plain = Decision(
        outcome="keep",
        verdict="tie",
        reasons=["A tie."],
        warnings=[],
        challenger=a_model(object_f1=0.8, pooled_iou=0.7),
        champion=a_model(object_f1=0.7, pooled_iou=0.6),
        checks=[],
        images=list(images),
        left_out=[],
        rule={"on_tie": "more_data"},
        settings={"object_iou": 0.3, "resamples": 200, "seed": 1},
        data={"manifest.csv": "m", "roles.csv": "r"},
    )
    return replace(plain, **changes)


IMAGES = (
    an_image("a", 10, (8, 2), (6, 2)),
    an_image("b", 4, (4, 0), (2, 0)),
    an_image("c", 0, (0, 3), (0, 5)),
)


def test_counts_are_those_of_the_gate() -> None:
    (counts,) = counts_of(IMAGES[:1], "challenger")
    assert (counts.objects.tp, counts.objects.fp, counts.objects.fn) == (8, 2, 2)
    assert counts.pixels.iou == pytest.approx(0.5)
    assert counts_of([an_image("a", 1, (1, 0), None)], "champion") == []


def test_both_models_by_condition() -> None:
    parts = {"a": "stressed", "b": "stressed", "c": "control"}
    control, stressed = part_rows(a_decision(*IMAGES), parts)
    # 12 of 14 found and 2 false: 24 / (24 + 2 + 2); champion 8 and 2: 16 / (16 + 2 + 6).
    assert stressed.f1 == f"{16 / 24:.3f} → {24 / 28:.3f}"
    assert stressed.difference == f"{24 / 28 - 16 / 24:+.3f}"
    assert (stressed.images, stressed.granules, stressed.false) == (2, 14, "2 → 2")
    # Nothing to find: no F1, but false granules.
    assert (control.f1, control.difference, control.false) == ("", "", "5 → 3")


def test_an_interval_from_three_groups_on() -> None:
    images = [an_image(name, 10, (8 + n, 2), (6, 2)) for n, name in enumerate("abc")]
    (three,) = part_rows(a_decision(*images), {})
    (two,) = part_rows(a_decision(*(replace(i, group="g") for i in images[:2]), images[2]), {})
    assert (three.name, "[" in three.difference) == ("unknown", True)
    assert "[" not in two.difference


def test_a_first_model_stands_alone() -> None:
    images = [an_image("a", 10, (8, 2), None)]
    decision = a_decision(*images, champion=None)
    (row,) = part_rows(decision, {"a": "x"})
    assert (row.f1, row.difference, row.false) == ("0.800", "", "2")
    assert [(r.champion, r.difference) for r in score_rows(decision)] == [("", ""), ("", "")]


def test_each_score_with_its_difference() -> None:
    change = {"value": 0.1, "low": 0.02, "high": 0.2}
    check = Check("margin", "pooled_iou", 0.7, 0.6, change, 0.05, True, "said")
    rows = {row.title: row for row in score_rows(a_decision(*IMAGES, checks=[check]))}
    # Pixels are not in decision.json: this one comes from the check.
    pooled = rows["foreground IoU, pixels of all images"]
    assert (pooled.difference, pooled.said) == ("+0.100 [+0.020, +0.200]", "better")
    # 24 / (24 + 5 + 2) and 16 / (16 + 7 + 6).
    assert rows["object F1"].difference.startswith(f"{24 / 31 - 16 / 29:+.3f}")


@pytest.mark.parametrize(
    ("score", "low", "high", "said"),
    [
        ("object_f1", 0.1, 0.2, "better"),
        ("object_f1", -0.2, -0.1, "worse"),
        ("count_error", 0.1, 0.2, "worse"),
        ("false_per_empty", -0.2, -0.1, "better"),
        ("object_f1", -0.1, 0.1, "may be chance"),
        ("object_f1", None, None, "no interval"),
    ],
)
def test_a_difference_in_words(
    score: str, low: float | None, high: float | None, said: str
) -> None:
    assert in_words(score, {"value": 0.1, "low": low, "high": high}) == said


def test_out_of_fold_baseline_and_labellers() -> None:
    score = {"value": 0.5, "low": 0.4, "high": 0.6}
    rows = other_rows(
        {"out_of_fold": {"object_f1": score}},
        {},
        {"baseline_test": {"foreground_iou": score}, "label_ceiling": {"object_f1": 0.88}},
    )
    assert rows == [
        ["object F1", "0.500 [0.400, 0.600]", "", "", "", "0.880"],
        ["foreground IoU, mean of images", "", "", "", "0.500 [0.400, 0.600]", ""],
    ]
    assert other_rows({}, {}, {}) == []


def test_an_interval_as_text() -> None:
    assert interval({"value": 0.5, "low": None, "high": None}) == "0.500"
    assert interval({"value": None}) == ""
    assert interval(None) == ""
