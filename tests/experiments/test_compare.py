"""Scores and differences, with the arithmetic written out."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgseg.evaluation.data import DataSet
from sgseg.evaluation.summary import ImageCounts, paired_difference
from sgseg.experiments.compare import (
    SHOWN,
    as_cell,
    as_row,
    ceiling_scores,
    classical,
    with_intervals,
)
from sgseg.scores import Confusion, ObjectCounts

from .lab import GROUPS, tiny_params, write_bench


def counts(image_id: str, group: str, found: int, of: int) -> ImageCounts:
    """An image in which so many granules of so many were found; a pixel each."""
    objects = ObjectCounts(found, 0, of - found, float(found))
    return ImageCounts(image_id, group, Confusion(found, 0, of - found, 100), objects, objects)


def test_a_gain_is_the_difference_of_the_scores() -> None:
    better = [counts("a", "x", 3, 4), counts("b", "y", 2, 2)]
    worse = [counts("b", "y", 1, 2), counts("a", "x", 1, 4)]
    gain = paired_difference([better], [worse], names=SHOWN, resamples=100, seed=1)
    # F1 = 2 TP / (2 TP + FP + FN): 2 * 5 / (10 + 1) - 2 * 2 / (4 + 4)
    assert gain["object_f1"]["value"] == pytest.approx(10 / 11 - 4 / 8, abs=1e-6)
    # mean IoU: (3/4 + 2/2) / 2 - (1/4 + 1/2) / 2
    assert gain["foreground_iou"]["value"] == pytest.approx(0.875 - 0.375, abs=1e-6)


def test_the_interval_of_a_gain_holds_no_more_than_what_differs() -> None:
    # Groups of very different difficulty; the second method finds one granule more in each.
    easy_to_hard = [counts(str(n), str(n), n, 11) for n in range(10)]
    one_more = [counts(str(n), str(n), n + 1, 11) for n in range(10)]
    params = tiny_params(evaluate__bootstrap=500)
    single = with_intervals(one_more, params)["foreground_iou"]
    gain = paired_difference([one_more], [easy_to_hard], names=SHOWN, resamples=500, seed=1)[
        "foreground_iou"
    ]
    # In every resample the mean IoU differs by 1/11.
    assert [gain["value"], gain["low"], gain["high"]] == pytest.approx([1 / 11] * 3, abs=1e-6)
    assert single["low"] is not None
    assert single["high"] is not None
    assert single["high"] - single["low"] > 0.2


def test_a_gain_is_drawn_over_groups() -> None:
    # Image 1 to 4 are of one group, in which all is gained: a resample has it all or not at all.
    better = [counts(str(n), "x" if n else "y", 1, 1) for n in range(5)]
    worse = [counts(str(n), "x" if n else "y", 1 - (n > 0), 1) for n in range(5)]
    gain = paired_difference([better], [worse], names=SHOWN, resamples=400, seed=1)[
        "foreground_iou"
    ]
    assert gain == {"value": 0.8, "low": 0.0, "high": 1.0}


def test_a_single_group_has_no_interval() -> None:
    one = [counts("a", "x", 1, 2)]
    gain = paired_difference([one], [one], names=SHOWN, resamples=10, seed=1)
    assert gain["object_f1"] == {"value": 0.0, "low": None, "high": None}


def test_only_the_same_images_can_be_compared() -> None:
    one, other = ([[counts(name, "x", 1, 1)]] for name in "ab")
    with pytest.raises(ValueError, match="same images"):
        paired_difference(one, other, names=SHOWN, resamples=10, seed=1)


def test_the_classical_method_is_scored_on_every_held_out_image(tmp_path: Path) -> None:
    bench, params = write_bench(tmp_path), tiny_params()
    data = DataSet(bench.dataset, bench.roles, params.split.folds)
    found = classical(params, data)
    assert {c.image_id: c.group for c in found} == GROUPS
    # Two granules of 3 x 3 px each, three times as bright as the cell: no method may miss them.
    assert [c.objects.tp for c in found] == [2] * 6


def test_the_ceiling_is_what_ingest_measured() -> None:
    ceiling = {"pairs": 3, "iou": 0.54, "dice": 0.7, "object_f1": 0.88, "object_iou": 0.3}
    scores = ceiling_scores({"ceiling": ceiling})
    assert {name: entry["value"] for name, entry in scores.items()} == {
        "object_f1": 0.88,
        "foreground_iou": 0.54,
        "foreground_dice": 0.7,
    }
    assert ceiling_scores({"ceiling": None}) == {}


def test_numbers_as_text_and_as_columns() -> None:
    entry = {"value": 0.79, "low": 0.7249, "high": 0.851}
    assert as_cell(entry) == "0.790 [0.72, 0.85]"
    assert as_cell(entry, interval=False) == "0.790"
    gain = {"value": -0.02, "low": -0.05, "high": 0.013}
    assert as_cell(gain, signed=True) == "-0.020 [-0.050, +0.013]"
    assert as_cell({"value": 0.5, "low": None, "high": None}) == "0.500"
    assert as_cell(None) == as_cell({"value": None, "low": None, "high": None}) == ""
    assert as_row({"object_f1": entry}, "_gain") == {
        "object_f1_gain": 0.79,
        "object_f1_gain_low": 0.7249,
        "object_f1_gain_high": 0.851,
    }
