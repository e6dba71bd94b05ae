"""The table that a run ends with."""

from __future__ import annotations

from sgseg.evaluation.table import (
    AVERAGING_COLUMNS,
    COLUMNS,
    HEADLINE,
    as_text,
    averaging_rows,
    gain_rows,
    measured,
    score_rows,
)

METRICS = {
    "cv": {"object_f1": {"mean": 0.8125, "std": 0.0625}},
    "out_of_fold": {
        "object_f1": {"value": 0.8, "low": 0.744, "high": 0.876},
        "roc_auc": {"value": 0.9876},
        "count_error": {"low": 1.0, "high": 2.0},
    },
    "test": {"object_f1": {"value": 1.0, "low": 1.0, "high": 1.0}},
    "baseline_out_of_fold": {"object_f1": {"value": 0.70049}},
    "label_ceiling": {"object_f1": 0.88, "iou": 0.54, "dice": 0.7, "pairs": 12},
}


def test_a_row_per_score_and_a_cell_per_column() -> None:
    names = {"object_f1": "object F1", "roc_auc": "ROC AUC", "count_error": "count"}
    assert score_rows(METRICS, names) == [
        [
            "object F1",
            "0.812 ± 0.062",
            "0.800 [0.74, 0.88]",
            "1.000 [1.00, 1.00]",
            "0.700",
            "",
            "0.880",
        ],
        ["ROC AUC", "", "0.988", "", "", "", ""],
        ["count", "", "", "", "", "", ""],
    ]


def test_the_label_ceiling_stands_beside_the_score_it_limits() -> None:
    ceiling = {row[0]: row[-1] for row in score_rows(METRICS, HEADLINE) if row[-1]}
    assert ceiling == {
        HEADLINE["object_f1"]: "0.880",
        HEADLINE["foreground_iou"]: "0.540",
        HEADLINE["foreground_dice"]: "0.700",
    }


def test_nothing_measured_gives_empty_cells() -> None:
    for metrics in ({}, {"label_ceiling": None}, {"cv": {}, "label_ceiling": {}}):
        rows = score_rows(metrics, HEADLINE)
        assert [row[0] for row in rows] == list(HEADLINE.values())
        assert not any(cell for row in rows for cell in row[1:])
        assert measured(rows) == []


def test_a_score_that_was_not_measured_can_be_left_out() -> None:
    names = {"object_f1": "object F1", "roc_auc": "ROC AUC", "count_error": "count"}
    assert [row[0] for row in measured(score_rows(METRICS, names))] == ["object F1", "ROC AUC"]


def test_text_is_aligned() -> None:
    text = as_text([["F1", "0.8 ± 0.1"], ["precision", ""]], columns=("score", "folds"))
    assert text.splitlines() == [
        "score          folds",
        "---------  ---------",
        "F1         0.8 ± 0.1",
        "precision           ",
    ]


def test_all_lines_are_of_one_length() -> None:
    lines = as_text(score_rows(METRICS, HEADLINE)).splitlines()
    assert len(lines) == 2 + len(HEADLINE)
    assert len({len(line) for line in lines}) == 1
    assert as_text([]).splitlines()[0] == "  ".join(COLUMNS)


AVERAGED = {
    "folds": {"0": {}, "1": {}, "2": {}},
    "averaging": {
        "one_1_out_of_fold_object_f1": {"value": 0.7049},
        "one_1_test_object_f1": {"value": 0.6, "std": 0.0125},
        "all_8_test_foreground_iou": {"value": 0.5},
        "gain_members_test_object_f1": {"value": 0.0104, "low": -0.0306, "high": 0.05},
        "gain_members_test_foreground_iou": {"value": -0.02},
    },
}


def test_a_row_for_each_way_to_average() -> None:
    milliseconds = {"one_1": 41.7, "all_8": 1000.2}
    assert averaging_rows(AVERAGED, milliseconds, in_use=("all", 1)) == [
        ["1 network, 1 orientation", "0.705", "", "0.600 ± 0.013", "", "42 (1.0 x)"],
        ["1 network, 8 orientations", "", "", "", "", ""],
        ["**all 3 networks, 1 orientation** (in use)", "", "", "", "", ""],
        ["all 3 networks, 8 orientations", "", "", "", "0.500", "1000 (24.0 x)"],
    ]
    for row in averaging_rows(AVERAGED, {}, in_use=("one", 8)):
        assert len(row) == len(AVERAGING_COLUMNS)


def test_gains_have_a_sign_and_those_that_are_not_known_no_row() -> None:
    names = {"members_test": "all members", "both_test": "both"}
    assert gain_rows(AVERAGED, names) == [["all members", "+0.010 [-0.031, +0.050]", "-0.020"]]
    assert gain_rows({}, names) == []
