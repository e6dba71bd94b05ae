"""What a trial leaves in the study, and the files that follow from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sgseg.config import Params
from sgseg.tracking import TuningRecord, write_tuning
from sgseg.tuning import record
from sgseg.tuning.record import history_of, read_trials, tracked
from sgseg.tuning.study import all_slots, open_study
from sgseg.tuning.worker import Worker

from .fake import job_of, params_of, value_of

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    return params_of(tmp_path_factory.mktemp("params"))


def test_a_trial_as_a_file(tmp_path: Path, params: Params) -> None:
    job = job_of(tmp_path, trials=1, params=params)
    study = open_study(job)
    Worker(job, study).run()
    (trial,) = read_trials(job, study)
    content = json.loads(trial.as_json())
    assert content["started_ms"] <= content.pop("ended_ms")
    assert content.pop("started_ms") > 1.7e12
    score = value_of(params) - 0.01
    assert content == {
        "number": 0,
        "state": "COMPLETE",
        "params": {
            "train.learning_rate": 0.003,
            "network.depth": 3,
            "train.loss.name": "bce_dice",
            "train.loss.positive_weight": 1.0,
        },
        "value": score,
        "cost": 8.0,
        "scores": {"object_f1": score, "roc_auc": None},
        "folds": {"0": {"object_f1": score + 0.01}, "1": {"object_f1": score}},
        "error": "",
    }
    assert history_of(job, trial).startswith("fold,epoch,loss,val_object_f1\n0,1,1.0,0.74771")
    # Somebody tidied up.
    (job.trial_folder(0) / "history.csv").unlink()
    assert history_of(job, trial) == "fold,epoch\n"


def test_a_trial_is_shown_under_its_study(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(record, "log_trial", lambda *arguments: shown.append(arguments))
    job = job_of(tmp_path, trials=1, params=params)
    identity = TuningRecord("0123", "tune", "sgseg", {}, {}, (), started_ms=5)
    write_tuning(job.folder, identity)
    Worker(job, open_study(job), on_trial=tracked(job)).run()
    ((study, trial_json, history_csv),) = shown
    assert study == identity
    assert json.loads(trial_json.read_text())["state"] == "COMPLETE"
    assert history_csv.is_file()


def test_without_an_identity_nothing_is_shown(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "log_trial", lambda *arguments: 1 / 0)
    job = job_of(tmp_path, trials=1, params=params)
    study = open_study(job)
    Worker(job, study, on_trial=tracked(job)).run()
    assert len(all_slots(study)) == 1
