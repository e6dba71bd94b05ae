"""What the files show and the store lacks is put back, once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sgseg.errors import InputError
from sgseg.tracking import CrossValidation, FoldIdentity, live_fold, log_evaluation, track
from sgseg.tracking.files import write_table
from sgseg.tracking.store import open_store

from .test_evaluation import evaluate
from .tracked import history, snapshot, train


@pytest.fixture
def trained(root: Path, cv: CrossValidation) -> Path:
    """Two folds and their evaluation, all in the store."""
    folders = [train(root, cv, fold) for fold in (0, 1)]
    evaluate(root, folders)
    log_evaluation(root / "reports/evaluation", root / "models/evaluated", root=root)
    return root


def test_a_store_that_has_everything_is_left_as_it_is(trained: Path) -> None:
    before = snapshot(trained)
    files = {
        path: path.stat().st_mtime_ns for path in trained.rglob("*.*") if "mlflow" not in str(path)
    }
    for _ in range(2):
        assert [item.what for item in track(trained)] == ["already there"] * 3
    assert snapshot(trained) == before
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_a_lost_store_comes_back_as_it_was(trained: Path, forget: Callable[[], None]) -> None:
    before = snapshot(trained)
    forget()
    assert snapshot(trained) == {}

    assert [item.what for item in track(trained)] == ["put back"] * 3

    assert snapshot(trained) == before
    assert [item.what for item in track(trained)] == ["already there"] * 3


def test_pictures_that_were_lost_are_copied_again(trained: Path) -> None:
    before = snapshot(trained)
    shutil.rmtree(trained / "mlruns")
    assert [item.what for item in track(trained)] == ["completed"] * 3
    assert snapshot(trained) == before


def test_a_fold_from_the_cache_of_dvc_joins_the_others(
    trained: Path, forget: Callable[[], None]
) -> None:
    before = snapshot(trained)
    forget()
    aside = trained / "aside"
    (trained / "models/folds/0").rename(aside)
    track(trained)
    assert "fold 0" not in snapshot(trained)
    aside.rename(trained / "models/folds/0")

    done = {Path(item.source).name: item.what for item in track(trained)}

    assert done == {"0": "put back", "1": "already there", "evaluation": "completed"}
    after = snapshot(trained)
    # the parent was created with fold 1, and MLflow cannot change when a run began
    (parent,) = set(before) - {"fold 0", "fold 1"}
    assert after[parent].pop("start") == before["fold 1"]["start"]
    assert before[parent].pop("start") == before["fold 0"]["start"]
    assert after == before


def test_half_of_a_run_is_completed(root: Path, cv: CrossValidation) -> None:
    folder = root / "models/folds/0"
    rows = history(0, epochs=4)
    with live_fold(FoldIdentity(cv, 0), folder, root=root) as live:
        live.epoch(2, rows[1])
    write_table(folder / "history.csv", rows)
    (restored,) = track(root)
    # epochs 1, 3 and 4 with two metrics each; history.csv and system_metrics.csv
    assert (restored.what, restored.values, restored.files) == ("completed", 3 * 2, 2)
    assert [step for step, _, _ in snapshot(root)["fold 0"]["metrics"]["loss"]] == [1, 2, 3, 4]


def test_epochs_without_a_time_are_spread_over_the_training(
    root: Path, cv: CrossValidation, forget: Callable[[], None]
) -> None:
    folder = train(root, cv, 0)
    write_table(folder / "history.csv", [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    content = json.loads((folder / "run.json").read_text())
    changed = {"started_ms": 1000, "ended_ms": 1500, "epoch_ms": {}}
    (folder / "run.json").write_text(json.dumps(content | changed))
    forget()
    track(root)
    seen = snapshot(root)["fold 0"]
    assert seen["metrics"]["loss"] == [(1, 1250, 0.5), (2, 1500, 0.25)]
    assert (seen["start"], seen["end"]) == (1000, 1500)


def test_what_was_deleted_in_mlflow_stays_deleted(trained: Path) -> None:
    store = open_store(trained, "sgseg")
    for run in store.client.search_runs([store.experiment_id]):
        if run.info.run_name != "fold 1":
            store.client.delete_run(run.info.run_id)
    done = {Path(item.source).name: item.what for item in track(trained)}
    gone = "deleted in the store"
    assert done == {"0": gone, "1": "already there", "evaluation": gone}
    assert set(snapshot(trained)) == {"fold 1"}


def test_a_deleted_experiment_is_named(trained: Path) -> None:
    store = open_store(trained, "sgseg")
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(InputError, match=r"mlflow experiments restore -x \d+"):
        track(trained)


def test_broken_files_are_named_and_the_others_put_back(
    trained: Path, cv: CrossValidation, forget: Callable[[], None]
) -> None:
    train(trained, cv, 2)
    train(trained, cv, 3)
    forget()
    (trained / "models/folds/1/run.json").write_text('{"identity": 3}')
    (trained / "models/folds/2/history.csv").write_text("epoch,loss\n1,0.5\n2,low\n")
    (trained / "reports/evaluation/metrics.json").write_text("{")
    with pytest.raises(InputError) as caught:
        track(trained)
    said = [problem.where for problem in caught.value.problems]
    assert said == [
        str(trained / "models/folds/1/run.json"),
        f"{trained / 'models/folds/2/history.csv'}, line 3",
        str(trained / "reports/evaluation/metrics.json"),
    ]
    assert set(snapshot(trained)) == {cv.name, "fold 0", "fold 3"}


def test_nothing_to_track(root: Path) -> None:
    assert track(root) == []
