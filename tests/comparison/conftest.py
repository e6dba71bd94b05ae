"""A store with two cross-validations, and what cannot be compared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from sgseg.tracking.store import open_store

from .lab import ROOT, A, B, log

OURS = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "DVC_ROOT", "DVC_STAGE")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OURS, "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)


class Lab(NamedTuple):
    """A project and the ids of its runs."""

    root: Path
    a: str
    b: str
    without_images: str
    trial: str


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Two cross-validations on the same images; one that has no images.csv; a search's trial."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "params.yaml", root)
    none = log(root, "cccc333", None)
    a = log(root, "aaaa111", A)
    b = log(root, "bbbb222", B, train__epochs=10)
    store = open_store(root, "sgseg")
    study = {"sgseg.kind": "study", "sgseg.study_key": "5" * 32}
    parent = store.client.create_run(store.experiment_id, run_name="tune x 5", tags=study)
    trials = []
    for number, rate in enumerate(("0.1", "0.2")):
        tags = {**study, "sgseg.kind": "trial", "mlflow.parentRunId": parent.info.run_id}
        run = store.client.create_run(store.experiment_id, run_name=f"trial {number}", tags=tags)
        store.client.log_param(run.info.run_id, "train.learning_rate", rate)
        store.client.log_param(run.info.run_id, "train.epochs", "5")
        trials.append(run.info.run_id)
    return Lab(root, a, b, none, trials[0])


@pytest.fixture
def lab(logged: Lab) -> Lab:
    return logged
