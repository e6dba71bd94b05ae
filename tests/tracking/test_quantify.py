"""The numbers of the test fields in the run of their cross-validation: once, and put back."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sgseg.tracking import (
    CrossValidation,
    log_quantification,
    track,
    write_quantification,
)
from sgseg.tracking.identity import EvaluationRecord, write_record
from sgseg.tracking.quantify import totals
from tracking.tracked import PNG, snapshot

FIELDS = """field,n_counted_cells,positive_fraction,n_granules,granules_per_cell,status
a,4,0.5,9,2.0,done
b,1,1.0,5,5.0,done
c,0,,1,,done
d,,,,,truncated
"""


def quantified(root: Path, cv: CrossValidation, fields: str = FIELDS) -> Path:
    evaluation, folder = root / "reports/evaluation", root / "reports/quantify"
    write_record(EvaluationRecord(cv, 1000, 2000), evaluation)
    write_quantification(folder, evaluation)
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    for name in ("figures/cells.png", "masks/a.tif", "granules.parquet"):
        (folder / name).write_bytes(PNG)
    (folder / "fields.csv").write_text(fields)
    (folder / "report.html").write_text("<!doctype html>")
    return folder


def test_totals(tmp_path: Path) -> None:
    (tmp_path / "fields.csv").write_text(FIELDS)
    assert totals(tmp_path / "fields.csv") == {
        "quantify_fields": 3,
        "quantify_failed_fields": 1,
        "quantify_granules": 15,
        "quantify_cells": 5,
        "quantify_granules_per_cell": (4 * 2 + 1 * 5) / 5,
        "quantify_positive_fraction": (4 * 0.5 + 1 * 1) / 5,
    }


def test_totals_where_nobody_knows_the_cells(tmp_path: Path) -> None:
    (tmp_path / "fields.csv").write_text("field,n_counted_cells,n_granules,status\na,,4,done\n")
    assert totals(tmp_path / "fields.csv") == {
        "quantify_fields": 1,
        "quantify_failed_fields": 0,
        "quantify_granules": 4,
    }


def test_logged_once_and_another_one_at_the_next_step(root: Path, cv: CrossValidation) -> None:
    folder = quantified(root, cv)
    first = log_quantification(folder, root=root)
    assert first is not None
    assert (first.what, first.values, first.files) == ("put back", 6, 3)
    shown = snapshot(root)
    run = shown[cv.name]
    assert run["metrics"]["quantify_cells"] == [(0, 2000, 5.0)]
    assert set(run["artifacts"]) == {
        "quantify/fields.csv",
        "quantify/report.html",
        "quantify/figures/cells.png",
    }
    again = log_quantification(folder, root=root)
    assert again is not None
    assert (again.what, again.values, again.files) == ("already there", 0, 0)
    assert snapshot(root) == shown

    quantified(root, cv, FIELDS.replace("a,4,0.5", "a,9,0.5"))
    other = log_quantification(folder, root=root)
    assert other is not None
    assert (other.what, other.values) == ("put back", 6)
    assert [step for step, _, _ in snapshot(root)[cv.name]["metrics"]["quantify_cells"]] == [0, 1]


def test_track_puts_it_back(root: Path, cv: CrossValidation) -> None:
    folder = quantified(root, cv)
    (root / "reports/evaluation/run.json").unlink()
    (done,) = track(root)
    assert (done.source, done.what) == (str(folder), "put back")
    shown = snapshot(root)
    (done,) = track(root)
    assert done.what == "already there"
    assert snapshot(root) == shown


def test_what_is_missing_is_completed(root: Path, cv: CrossValidation) -> None:
    from sgseg.tracking.store import open_store  # noqa: PLC0415

    folder = quantified(root, cv)
    done = log_quantification(folder, root=root)
    assert done is not None
    shown = snapshot(root)
    store = open_store(root, cv.experiment)
    store.client.delete_tag(done.run_id, "sgseg.quantify_digest_files")
    again = log_quantification(folder, root=root)
    assert again is not None
    assert (again.what, again.files) == ("completed", 3)
    assert snapshot(root) == shown


def test_a_store_that_fails_costs_a_warning(
    root: Path,
    cv: CrossValidation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = quantified(root, cv)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///nowhere")
    with caplog.at_level(logging.WARNING):
        assert log_quantification(folder, root=root) is None
    assert "The quantification is not in MLflow" in caplog.text
