"""Several workers on one study, in processes of their own, of which some are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from sgseg.config import Params
from sgseg.errors import InputError
from sgseg.processes import environment
from sgseg.tuning.job import Job
from sgseg.tuning.record import read_trials
from sgseg.tuning.search import run_study
from sgseg.tuning.space import start_values
from sgseg.tuning.study import all_slots, open_study

from .fake import job_of, params_of

pytestmark = pytest.mark.usefixtures("fake_elsewhere")
PATIENCE = 120.0


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    return params_of(tmp_path_factory.mktemp("params"))


@pytest.fixture
def start_worker() -> Iterator[Callable[[Job], subprocess.Popen[bytes]]]:
    """Starts a worker; all that still live are killed in the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(job: Job) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "sgseg.tuning.worker"], stdin=subprocess.PIPE
        )
        started.append(process)
        task = {"job": json.loads(job.to_json()), "workers": 2, "storage": None}
        assert process.stdin is not None
        process.stdin.write(json.dumps(task).encode() + b"\n")
        process.stdin.flush()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def owner(trial: optuna.trial.FrozenTrial) -> int:
    """Number of the process that works on a trial."""
    return int(str(trial.user_attrs["process"]).split("/")[1])


def test_two_workers_of_which_one_is_killed(
    tmp_path: Path,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
    start_worker: Callable[[Job], subprocess.Popen[bytes]],
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "1.5")
    job = job_of(tmp_path, trials=4, params=params, objective="slow")
    study = open_study(job)
    workers = {process.pid: process for process in (start_worker(job), start_worker(job))}

    def half_done() -> list[optuna.trial.FrozenTrial]:
        """Trials of which one fold is trained."""
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [
            trial
            for trial in running
            if (job.trial_folder(trial.number) / "checkpoints" / "fold_0").exists()
        ]

    until(lambda: bool(half_done()))
    (victim, *_) = half_done()
    dying = workers.pop(owner(victim))
    children = psutil.Process(dying.pid).children(recursive=True)
    assert children
    dying.kill()
    dying.communicate()
    (survivor,) = workers.values()
    assert survivor.wait(PATIENCE) == 0
    # Its trial has ended with it: the pipe between the two was closed.
    assert not any(child.is_running() for child in children)

    slots = all_slots(study)
    trials = read_trials(job, study)
    assert len(slots) == len(trials) == 4
    assert {trial.state for trial in trials} == {"COMPLETE"}
    # The trial was neither lost nor counted twice ...
    (repeated,) = [slot for slot in slots if len(slot.attempts) > 1]
    assert repeated.root == victim.number
    lost, again = repeated.attempts
    assert (lost.state, again.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert again.params == lost.params == victim.params
    # ... and what it had trained was not trained again.
    trained = Counter((job.folder / "trained.txt").read_text().splitlines())
    wanted = {f"{slot.root} {fold}" for slot in slots for fold in (0, 1)}
    assert trained == dict.fromkeys(wanted, 1)


def test_a_search_that_is_killed_goes_on(
    tmp_path: Path,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
    start_worker: Callable[[Job], subprocess.Popen[bytes]],
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "0.1")
    job = job_of(tmp_path, trials=2, params=params, objective="slow")
    process = start_worker(job)
    folder = job.trial_folder(0) / "checkpoints"
    until((folder / "fold_0").exists)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    study = run_study(job)
    trials = read_trials(job, study)
    assert [trial.root for trial in trials] == [0, 2]
    assert trials[0].values == start_values(job.space)
    assert trials[0].number == 1
    trained = (job.folder / "trained.txt").read_text().splitlines()
    assert len(set(trained)) == len(trained) == 4


def test_workers_end_with_the_process_that_started_them(
    tmp_path: Path,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
    start_worker: Callable[[Job], subprocess.Popen[bytes]],
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "60")
    job = job_of(tmp_path, trials=2, params=params, objective="slow")
    process = start_worker(job)
    until((job.trial_folder(0) / "checkpoints" / "fold_0").exists)
    children = psutil.Process(process.pid).children()
    assert process.stdin is not None
    process.stdin.close()  # as the system does when the other end is killed
    assert process.wait(PATIENCE) == 0
    assert not any(child.is_running() for child in children)
    # Given back at once; nobody has to find out that the worker is gone.
    (slot,) = all_slots(open_study(job))
    assert (slot.state, slot.deaths) == ("lost", 0)


def test_a_search_with_several_workers(tmp_path: Path, params: Params) -> None:
    job = job_of(tmp_path, trials=3, params=params)
    study = run_study(job, workers=2)
    assert [trial.state for trial in read_trials(job, study)] == ["COMPLETE"] * 3


def test_workers_that_all_ended_early(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgseg.tuning.search._run_workers", lambda *_: None)
    with pytest.raises(InputError, match="all workers ended before all trials were done"):
        run_study(job_of(tmp_path, params=params), workers=2)


@pytest.mark.usefixtures("in_this_process")
def test_a_study_in_a_database(tmp_path: Path, params: Params) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = run_study(job_of(tmp_path, trials=2, params=params), storage=url)
    # On another machine, which has none of the files of the first.
    elsewhere = job_of(tmp_path / "elsewhere", trials=3, params=params)
    study = run_study(elsewhere, storage=url)
    trials = read_trials(elsewhere, study)
    assert len(trials) == 3
    assert not elsewhere.trial_folder(0).exists()
    assert trials[0].history is not None
    assert trials[0].history.splitlines()[:2] == [
        "fold,epoch,loss,val_object_f1",
        "0,1,1,0.74771",  # 1 - 0.1 * (0.523 + 1) - 0.1
    ]


def test_the_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgseg.processes.n_cores", lambda: 7)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert environment(1) == dict(os.environ)
    shared = environment(3)
    assert shared["TF_NUM_INTRAOP_THREADS"] == "2"  # 7 // 3
    assert shared["OMP_NUM_THREADS"] == "5"  # what somebody has set stays
    assert environment(20)["TF_NUM_INTRAOP_THREADS"] == "1"
