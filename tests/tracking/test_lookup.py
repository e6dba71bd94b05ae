"""Runs are found by what a person calls them, and only those of sgseg that are in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sgseg.tracking.lookup import find_by_id, named_runs, read_artifact, runs_of_kind
from sgseg.tracking.store import Store, open_store

CV = "cross_validation"


@pytest.fixture
def store(root: Path) -> Store:
    return open_store(root, "sgseg")


def create(store: Store, name: str, kind: str = CV, **tags: str) -> str:
    own = {f"sgseg.{key}": value for key, value in {"kind": kind, **tags}.items() if value}
    run: Any = store.client.create_run(store.experiment_id, run_name=name, tags=own)
    return str(run.info.run_id)


def ids(store: Store, name: str) -> list[str]:
    return [run.id for run in named_runs(store, name)]


def test_by_id_beginning_name_and_digest(store: Store) -> None:
    run = create(store, "cv unet-bce-adam abc1234")
    create(store, "cv unet-bce-adam fff9999")
    for name in (run, run[:10], "cv unet-bce-adam abc1234", "abc1234"):
        assert ids(store, name) == [run]
    for name in (run[:3], "cv unet-bce-adam", "abc", "%", "", "' or '1", "`"):
        assert ids(store, name) == []


def test_names_with_quotes(store: Store) -> None:
    run = create(store, "Ada's \u00b5 run")
    assert ids(store, "Ada's \u00b5 run") == [run]
    assert ids(store, "both ' and \"") == []


def test_folds_by_the_name_of_their_cross_validation(store: Store) -> None:
    create(store, "cv a abc1234", cv_key="k1")
    create(store, "cv a fff9999", cv_key="k2")
    fold = create(store, "fold 0", "fold", cv_key="k1", fold="0")
    other = create(store, "fold 0", "fold", cv_key="k2", fold="0")
    assert ids(store, "abc1234/0") == ids(store, "cv a abc1234/fold 0") == [fold]
    assert sorted(ids(store, "fold 0")) == sorted([fold, other])
    assert ids(store, "abc1234/1") == ids(store, "nobody/0") == []
    assert [run.fold for run in named_runs(store, "abc1234/0")] == [0]


def test_runs_of_others_deleted_and_superseded_ones_are_passed_over(store: Store) -> None:
    kept = create(store, "cv a abc1234")
    for run in (
        create(store, "cv a abc1234", ""),
        create(store, "cv a abc1234", superseded="true"),
    ):
        assert find_by_id(store, run) is None
    deleted = create(store, "cv a abc1234")
    store.client.delete_run(deleted)
    assert ids(store, "abc1234") == [kept]
    assert [run.id for run in runs_of_kind(store, CV)] == [kept]
    assert find_by_id(store, "") is None


def test_runs_of_every_experiment(root: Path, store: Store) -> None:
    elsewhere = open_store(root, "other")
    found = [create(store, "cv a"), create(elsewhere, "cv b")]
    assert sorted(run.id for run in runs_of_kind(store, CV)) == sorted(found)


def test_files(store: Store, tmp_path: Path) -> None:
    number = create(store, "cv a")
    run = find_by_id(store, number)
    assert run is not None
    assert read_artifact(store, run, "report/images.csv") is None
    (tmp_path / "images.csv").write_text("a,\u00b5\n", encoding="utf-8")
    store.client.log_artifact(number, str(tmp_path / "images.csv"), "report")
    assert read_artifact(store, run, "report/images.csv") == "a,\u00b5\n"
    assert read_artifact(store, run, "report/other.csv") is None
