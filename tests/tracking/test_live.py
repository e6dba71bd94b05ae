"""A fold while it trains: the tree, the steps, interruptions, and a store that fails."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from sgseg.errors import InputError
from sgseg.tracking import CrossValidation, FoldIdentity, live_fold, read_fold, runs, track
from sgseg.tracking.files import read_table, write_table
from sgseg.tracking.process import name_of
from sgseg.tracking.store import open_store

from . import tracked
from .tracked import Snapshot, history, snapshot, train

SCRIPT = tracked.__file__


def test_a_run_per_cross_validation_with_a_child_per_fold(root: Path, cv: CrossValidation) -> None:
    train(root, cv, 0)
    train(root, cv, 1)

    seen = snapshot(root)
    assert set(seen) == {cv.name, "fold 0", "fold 1"}
    parent, child = seen[cv.name], seen["fold 1"]
    assert parent["status"] == child["status"] == "FINISHED"
    assert parent["start"] == seen["fold 0"]["start"]
    assert parent["end"] == child["end"]
    assert parent["params"] == {"train.epochs": "3", "preprocess.resize": "null"}
    assert child["params"] == {**parent["params"], "fold": "1"}
    assert child["tags"]["mlflow.parentRunId"] == cv.name
    assert parent["tags"]["mlflow.user"] == "ada"
    assert child["tags"]["sgseg.dvc_stage"] == "train@1"
    for run in (parent, child):
        assert run["tags"]["mlflow.source.git.commit"] == "f" * 40
        assert run["inputs"] == [
            ("simulated", "d" * 32 + ".dir", '{"uri": "data/dataset"}', '{"images": 12}')
        ]


def test_curves_are_at_their_epochs_with_their_times(root: Path, cv: CrossValidation) -> None:
    folder = train(root, cv, 1)
    rows = read_table(folder / "history.csv", key="epoch")
    times = [int(row["timestamp_ms"]) for row in rows]
    # loss = 1/epoch + fold
    assert snapshot(root)["fold 1"]["metrics"]["loss"] == [
        (1, times[0], 1 / 1 + 1),
        (2, times[1], 1 / 2 + 1),
        (3, times[2], 1 / 3 + 1),
    ]


def test_times_of_epochs_are_kept_where_the_table_has_none(
    root: Path, cv: CrossValidation, forget: Callable[[], None]
) -> None:
    folder = root / "models" / "folds" / "0"
    rows = [{"epoch": epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
    with live_fold(FoldIdentity(cv, 0), folder, root=root) as live:
        for row in rows:
            live.epoch(int(row["epoch"]), row)
            time.sleep(0.02)
        live.epoch(1, rows[0])  # as a resumed training reports the epochs before
        write_table(folder / "history.csv", rows)
    before = snapshot(root)["fold 0"]["metrics"]["loss"]
    assert before[0][1] < before[1][1] < before[2][1]
    forget()
    track(root)
    assert snapshot(root)["fold 0"]["metrics"]["loss"] == before


def test_a_fold_says_which_stage_made_it(
    root: Path, cv: CrossValidation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@1")
    monkeypatch.setenv("DVC_EXP_NAME", "brave-newt")
    with live_fold(FoldIdentity(cv, 1), root / "models/folds/1", root=root):
        pass
    seen = snapshot(root)
    assert seen["fold 1"]["tags"]["sgseg.dvc_stage"] == "train@1"
    assert seen["fold 1"]["tags"]["sgseg.dvc_experiment"] == "brave-newt"
    assert "sgseg.dvc_stage" not in seen[cv.name]["tags"]


def test_files_are_shown_but_not_weights(root: Path, cv: CrossValidation) -> None:
    folder = train(root, cv, 0)
    shown = snapshot(root)["fold 0"]["artifacts"]
    assert set(shown) == {"galleries/gallery.png", "history.csv", "system_metrics.csv"}
    assert shown["history.csv"] == (folder / "history.csv").read_bytes()


def test_system_metrics_are_in_the_file_and_in_the_run(root: Path, cv: CrossValidation) -> None:
    folder = root / "models" / "folds" / "0"
    with live_fold(FoldIdentity(cv, 0), folder, root=root, sample_seconds=0.05):
        time.sleep(0.4)
    rows = read_table(folder / "system_metrics.csv", key="step")
    assert len(rows) >= 3
    assert [row["step"] for row in rows] == list(range(len(rows)))
    name = "system/system_memory_usage_percentage"
    assert all(0 < row[name] <= 100 for row in rows)
    assert snapshot(root)["fold 0"]["metrics"][name] == [
        (int(row["step"]), int(row["timestamp_ms"]), row[name]) for row in rows
    ]


def test_values_that_are_not_finite_are_left_out(root: Path, cv: CrossValidation) -> None:
    with live_fold(FoldIdentity(cv, 0), root / "fold", root=root) as live:
        live.epoch(1, {"loss": float("nan"), "iou": float("inf"), "dice": 0.5})
    seen = snapshot(root)["fold 0"]["metrics"]
    assert {name for name in seen if not name.startswith("system/")} == {"dice"}


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_an_exception_ends_the_run_and_is_raised(
    root: Path, cv: CrossValidation, error: type[BaseException], status: str
) -> None:
    folder = root / "models" / "folds" / "0"

    def fail() -> None:
        with live_fold(FoldIdentity(cv, 0), folder, root=root) as live:
            live.epoch(1, {"loss": 1.0})
            raise error

    with pytest.raises(error):
        fail()
    seen = snapshot(root)
    assert seen["fold 0"]["status"] == status
    assert seen[cv.name]["status"] == "FAILED"
    assert read_fold(folder).status == status

    train(root, cv, 0)
    seen = snapshot(root)  # the same run goes on: epoch 1 keeps its value, 1/2 and 1/3 are new
    assert [value for _, _, value in seen["fold 0"]["metrics"]["loss"]] == [1.0, 1 / 2, 1 / 3]
    assert seen["fold 0"]["status"] == seen[cv.name]["status"] == "FINISHED"


def _killed(root: Path) -> None:
    """Train fold 0 for two of five epochs in a process that dies as if by SIGKILL."""
    done = subprocess.run([sys.executable, SCRIPT, root, "0", "5", "2"], check=False)
    assert done.returncode == 9


def test_a_killed_fold_goes_on_where_it_was(root: Path, cv: CrossValidation) -> None:
    _killed(root)
    folder = root / "models" / "folds" / "0"
    before = snapshot(root)
    assert before["fold 0"]["status"] == before[cv.name]["status"] == "RUNNING"

    (restored,) = track(root)  # what is known of a process that is gone

    assert str(restored) == f"{folder}: not finished; it was interrupted"
    known = snapshot(root)
    assert known["fold 0"]["status"] == "KILLED"
    assert known[cv.name]["status"] == "FAILED"
    last = max(item[1] for values in known["fold 0"]["metrics"].values() for item in values)
    assert known["fold 0"]["end"] == last

    train(root, cv, 0, epochs=5)
    _check_resumed(root, cv, before)


def test_a_killed_fold_whose_folder_is_gone_keeps_its_run(root: Path, cv: CrossValidation) -> None:
    _killed(root)
    before = snapshot(root)
    shutil.rmtree(root / "models")  # DVC deletes the outputs of a stage before it runs
    folder = train(root, cv, 0, epochs=5)
    _check_resumed(root, cv, before)
    times = {str(step): moment for step, moment, _ in before["fold 0"]["metrics"]["loss"]}
    assert times.items() <= read_fold(folder).epoch_ms.items()


def _check_resumed(root: Path, cv: CrossValidation, before: Snapshot) -> None:
    after = snapshot(root)
    assert set(after) == {cv.name, "fold 0"}
    assert after["fold 0"]["start"] == before["fold 0"]["start"]
    assert after["fold 0"]["status"] == after[cv.name]["status"] == "FINISHED"
    losses = after["fold 0"]["metrics"]["loss"]
    assert [step for step, _, _ in losses] == [1, 2, 3, 4, 5]
    assert losses[:2] == before["fold 0"]["metrics"]["loss"]
    # the file has all samples, those from before the end of the first process as well
    rows = read_table(root / "models/folds/0/system_metrics.csv", key="step")
    name = "system/disk_usage_percentage"
    assert after["fold 0"]["metrics"][name] == [
        (int(row["step"]), int(row["timestamp_ms"]), row[name]) for row in rows
    ]
    assert len(rows) > len(before["fold 0"]["metrics"][name]) > 0


def test_a_killed_fold_that_nobody_resumes_ends_with_the_next_training(
    root: Path, cv: CrossValidation
) -> None:
    _killed(root)
    train(root, replace(cv, key="beef" * 8, name="cv of other parameters"), 1)
    seen = snapshot(root)
    assert seen["fold 0"]["status"] == "KILLED"
    assert seen[cv.name]["status"] == "FAILED"
    assert seen["fold 1"]["status"] == "FINISHED"


def test_a_fold_that_is_being_trained_is_not_trained_twice(root: Path, cv: CrossValidation) -> None:
    folder = root / "models" / "folds" / "0"
    with live_fold(FoldIdentity(cv, 0), folder, root=root):
        pass
    content = json.loads((folder / "run.json").read_text())
    content |= {"status": "RUNNING", "process": name_of(psutil.Process(os.getppid()))}
    (folder / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="is being trained there by process"):
        train(root, cv, 0)
    assert track(root)[0].note == "is being trained"


def test_a_run_whose_process_died_right_after_making_it_is_gone_on_with(
    root: Path, cv: CrossValidation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chaos found it: with the disk full at that moment there was a third run in the end."""
    train(root, cv, 0)
    time.sleep(0.01)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "supersede", die)
        with pytest.raises(KeyboardInterrupt):
            train(root, cv, 0)
    monkeypatch.setattr(runs, "is_gone", bool)  # this process, if a run names it
    shutil.rmtree(root / "models")
    train(root, cv, 0)
    store = open_store(root, "sgseg")
    names = [run.info.run_name for run in store.client.search_runs([store.experiment_id])]
    assert sorted(names) == [cv.name, "fold 0", "fold 0 (superseded)"]


def test_training_again_supersedes(root: Path, cv: CrossValidation) -> None:
    train(root, cv, 0)
    first = snapshot(root)["fold 0"]
    time.sleep(0.01)
    train(root, cv, 0, epochs=2)
    seen = snapshot(root)
    assert set(seen) == {cv.name, "fold 0", "fold 0 (superseded)"}
    assert seen["fold 0 (superseded)"]["metrics"] == first["metrics"]
    assert len(seen["fold 0"]["metrics"]["loss"]) == 2

    time.sleep(0.01)
    train(root, cv, 0)
    store = open_store(root, "sgseg")
    names = [run.info.run_name for run in store.client.search_runs([store.experiment_id])]
    assert sorted(names) == [cv.name, "fold 0", *["fold 0 (superseded)"] * 2]


def test_an_unreachable_server_costs_a_warning_and_nothing_else(
    root: Path,
    cv: CrossValidation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://ada:secret@127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="sgseg"):
        folder = train(root, cv, 0)
    assert time.monotonic() - began < 15
    assert "training goes on without MLflow" in caplog.text
    assert "not all of it in MLflow" in caplog.text
    assert "sgseg track" in caplog.text
    assert uri.replace("ada:secret@", "") in caplog.text
    assert "secret" not in caplog.text
    record = read_fold(folder)
    assert record.status == "FINISHED"
    assert record.mlflow_run_id is None
    with pytest.raises(InputError, match=r"127\.0\.0\.1"):
        track(root)

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (restored,) = track(root)
    assert restored.what == "put back"
    assert len(snapshot(root)["fold 0"]["metrics"]["loss"]) == 3


def test_a_store_that_fails_in_the_middle_is_filled_at_the_end(
    root: Path, cv: CrossValidation, caplog: pytest.LogCaptureFixture
) -> None:
    folder = root / "models" / "folds" / "0"
    rows = history(0)
    with live_fold(FoldIdentity(cv, 0), folder, root=root) as live:
        live.epoch(1, rows[0])
        broken = sqlite3.connect(root / "mlflow.db")
        broken.execute("ALTER TABLE metrics RENAME TO elsewhere")
        live.epoch(2, rows[1])
        assert "training goes on without MLflow" in caplog.text
        broken.execute("ALTER TABLE elsewhere RENAME TO metrics")
        broken.close()
        live.epoch(3, rows[2])  # the store is left in peace for a while
        assert len(snapshot(root)["fold 0"]["metrics"]["loss"]) == 1
        write_table(folder / "history.csv", rows)
    assert [item[0] for item in snapshot(root)["fold 0"]["metrics"]["loss"]] == [1, 2, 3]


def test_mlflow_runs_own_run_is_left_alone(
    root: Path, cv: CrossValidation, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(root, "projects")
    own = store.client.create_run(store.experiment_id, run_name="made by mlflow run")
    monkeypatch.setenv("MLFLOW_RUN_ID", own.info.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", store.experiment_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    train(root, cv, 0)
    assert set(snapshot(root)) == {cv.name, "fold 0"}
    assert store.client.get_run(own.info.run_id).data.metrics == {}


def test_folds_in_parallel_on_a_store_that_does_not_exist(
    tmp_path: Path, cv: CrossValidation
) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, SCRIPT, tmp_path, str(fold), "10"], stderr=subprocess.PIPE, text=True
        )
        for fold in range(3)
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 3, said
    assert "without MLflow" not in "".join(said)
    seen = snapshot(tmp_path)
    assert set(seen) == {cv.name, "fold 0", "fold 1", "fold 2"}
    assert {run["status"] for run in seen.values()} == {"FINISHED"}
    for fold in range(3):
        assert [item[0] for item in seen[f"fold {fold}"]["metrics"]["loss"]] == list(range(1, 11))
