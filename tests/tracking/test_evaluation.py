"""Scores go to the run of the cross-validation and to those of its folds, once per evaluation."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sgseg.errors import InputError
from sgseg.tracking import CrossValidation, log_evaluation, write_evaluation
from sgseg.tracking.evaluation import fold_scores, note, parent_scores
from sgseg.tracking.store import open_store

from .tracked import PNG, snapshot, train

SCORES: dict[str, Any] = {
    "cv": {"iou": {"mean": 0.5, "std": 0.1}},
    "out_of_fold": {"iou": {"value": 0.52, "low": 0.4, "high": 0.6}, "auc": {"value": None}},
    "test": {"iou": {"value": 0.55, "low": 0.3, "high": 0.7}},
    "baseline_out_of_fold": {"iou": {"value": 0.45, "low": 0.4, "high": 0.5}},
    "baseline_test": {"iou": {"value": 0.44, "low": 0.3, "high": 0.5}},
    "label_ceiling": {"iou": 0.54},
    "folds": {"0": {"iou": 0.4}, "1": {"iou": 0.6}},
    "test_members": {"1": {"iou": 0.65}},
    "operating_point": {"threshold": 0.6},
}


def evaluate(root: Path, trained: Sequence[Path], **changes: Any) -> Path:
    """Write what the stage `evaluate` writes."""
    folder, evaluated = root / "reports/evaluation", root / "models/evaluated"
    for path in (folder, evaluated):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(SCORES | changes))
    (folder / "report.html").write_text("<p>report</p>")
    (folder / "gallery_best.png").write_bytes(PNG)
    (folder / "roc.png").write_bytes(PNG)
    (folder / "curves.csv").write_text("fpr,tpr\n0,0\n")
    (folder / "images.csv").write_text("image_id,iou\nx,0.5\n")
    (evaluated / "bundle.json").write_text("{}")
    (evaluated / "member_0.onnx").write_bytes(b"weights")
    write_evaluation(folder, trained)
    return folder


def _log(root: Path) -> str:
    done = log_evaluation(root / "reports/evaluation", root / "models/evaluated", root=root)
    assert done is not None
    return done.what


def test_names_of_scores() -> None:
    assert parent_scores(SCORES) == {
        "cv_iou_mean": 0.5,
        "cv_iou_std": 0.1,
        "oof_iou": 0.52,
        "test_iou": 0.55,
        "baseline_oof_iou": 0.45,
        "baseline_test_iou": 0.44,
        "label_ceiling_iou": 0.54,
        "operating_point_threshold": 0.6,
    }
    assert fold_scores(SCORES, "1") == {"oof_iou": 0.6, "test_iou": 0.65}
    assert fold_scores(SCORES, "7") == {}
    without = parent_scores({"out_of_fold": {"iou": float("nan")}, "label_ceiling": None})
    assert without == {}


def test_the_table_on_the_page_of_a_run() -> None:
    scores = {
        "cv": {"foreground_iou": {"mean": 0.5, "std": 0.1}},
        "out_of_fold": {"foreground_iou": {"value": 0.52, "low": 0.4, "high": 0.6}},
        "label_ceiling": {"iou": 0.54},
    }
    title, empty, head, rule, row = note(scores).splitlines()
    assert (title, empty) == ("### Scores", "")
    assert [cell.removesuffix("&emsp;") for cell in head.split(" | ")[1:3]] == [
        "folds, mean ± sd",
        "out of fold [95 %]",
    ]
    assert head.count(" | ") == rule.count(" | ") == row.count(" | ") == 6
    assert "0.500&nbsp;±&nbsp;0.100" in row
    assert "0.520&nbsp;[0.40,&nbsp;0.60]" in row
    assert row.endswith("0.540 |")


def test_scores_and_files_of_an_evaluation(root: Path, cv: CrossValidation) -> None:
    folders = [train(root, cv, fold) for fold in (0, 1)]
    evaluate(root, folders)
    assert _log(root) == "put back"
    seen = snapshot(root)
    assert [item[::2] for item in seen[cv.name]["metrics"]["cv_iou_mean"]] == [(0, 0.5)]
    assert [item[::2] for item in seen["fold 1"]["metrics"]["oof_iou"]] == [(0, 0.6)]
    assert set(seen[cv.name]["artifacts"]) == {
        "bundle/bundle.json",
        "bundle/member_0.onnx",
        "curves/curves.csv",
        "curves/roc.png",
        "galleries/gallery_best.png",
        "report/images.csv",
        "report/metrics.json",
        "report/report.html",
    }
    assert seen[cv.name]["tags"]["mlflow.note.content"].startswith("### Scores")
    assert seen[cv.name]["status"] == "FINISHED"
    assert seen[cv.name]["end"] == seen["fold 1"]["end"]


def test_the_same_evaluation_is_logged_once_and_another_at_the_next_step(
    root: Path, cv: CrossValidation
) -> None:
    folders = [train(root, cv, 0)]
    evaluate(root, folders)
    _log(root)
    before = snapshot(root)
    evaluate(root, folders)
    assert _log(root) == "already there"
    assert snapshot(root) == before

    evaluate(root, folders, cv={"object_f1": {"mean": 0.7, "std": 0.2}}, folds={"0": {"iou": 0.9}})
    assert _log(root) == "put back"
    seen = snapshot(root)
    assert [item[::2] for item in seen[cv.name]["metrics"]["cv_object_f1_mean"]] == [(1, 0.7)]
    assert [item[::2] for item in seen[cv.name]["metrics"]["oof_iou"]] == [(0, 0.52), (1, 0.52)]
    assert [item[::2] for item in seen["fold 0"]["metrics"]["oof_iou"]] == [(0, 0.4), (1, 0.9)]
    assert b"0.7" in seen[cv.name]["artifacts"]["report/metrics.json"]
    assert "0.700&nbsp;±&nbsp;0.200" in seen[cv.name]["tags"]["mlflow.note.content"]


def test_a_description_that_somebody_wrote_is_kept(root: Path, cv: CrossValidation) -> None:
    folders = [train(root, cv, 0)]
    store = open_store(root, "sgseg")
    for run in store.client.search_runs([store.experiment_id]):
        store.client.set_tag(run.info.run_id, "mlflow.note.content", "for the paper")
    evaluate(root, folders)
    _log(root)
    assert snapshot(root)[cv.name]["tags"]["mlflow.note.content"] == "for the paper"


def test_scores_logged_by_half_are_completed(root: Path, cv: CrossValidation) -> None:
    folders = [train(root, cv, 0)]
    evaluate(root, folders)
    _log(root)
    before = snapshot(root)
    store = open_store(root, "sgseg")
    for run in store.client.search_runs([store.experiment_id]):
        # as if the process had been killed between the tag and the values of another evaluation
        store.client.set_tag(run.info.run_id, "sgseg.evaluation_digest", "another")
    _log(root)
    (_, time_0, value), again = snapshot(root)[cv.name]["metrics"]["test_iou"]
    assert before[cv.name]["metrics"]["test_iou"] == [(0, time_0, value)]
    assert again[0] == 1


def test_an_evaluation_without_its_folds_has_a_run_of_its_own(
    root: Path, cv: CrossValidation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    evaluate(root, [train(elsewhere, cv, 0)])
    _log(root)
    seen = snapshot(root)
    assert set(seen) == {cv.name}
    assert seen[cv.name]["status"] == "FINISHED"
    assert seen[cv.name]["end"] == seen[cv.name]["metrics"]["cv_iou_mean"][0][1]


def test_a_store_that_fails_costs_a_warning(
    root: Path,
    cv: CrossValidation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = evaluate(root, [train(root, cv, 0)])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, logger="sgseg"):
        assert log_evaluation(folder, root / "models/evaluated", root=root) is None
    assert "http://127.0.0.1:9" in caplog.text
    assert "sgseg track" in caplog.text


def test_folds_of_two_cross_validations(
    root: Path, cv: CrossValidation, caplog: pytest.LogCaptureFixture
) -> None:
    old = train(root, replace(cv, key="beef" * 8, name="cv old"), 0)
    new = train(root, cv, 1)
    record = write_evaluation(root / "reports/evaluation", [new, old])
    assert record.cv == cv
    assert "Fold 0 was trained from other parameters" in caplog.text


def test_folds_without_a_record_are_all_named(root: Path, cv: CrossValidation) -> None:
    folds = [train(root, cv, 0), root / "models/folds/1", root / "models/folds/2"]
    with pytest.raises(InputError) as caught:
        write_evaluation(root / "reports/evaluation", folds)
    assert [Path(problem.where).parent.name for problem in caught.value.problems] == ["1", "2"]
    assert not (root / "reports/evaluation/run.json").exists()
