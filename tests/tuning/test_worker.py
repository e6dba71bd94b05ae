"""A worker: trials one after the other until all are done."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from sgseg.config import Params
from sgseg.errors import InputError
from sgseg.tuning import ledger, worker
from sgseg.tuning.job import Job
from sgseg.tuning.record import read_trials
from sgseg.tuning.space import start_values, suggest
from sgseg.tuning.study import all_slots, finish, open_study, repeat_lost
from sgseg.tuning.trial import Result
from sgseg.tuning.worker import Worker

from .conftest import run_here
from .fake import job_of, params_of

pytestmark = pytest.mark.usefixtures("in_this_process")
PRUNER = {"name": "median", "startup_trials": 2}


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    return params_of(tmp_path_factory.mktemp("params"), startup_trials=3)


def work(job: Job, **options: Any) -> list[Any]:
    """Do what is left of a search; its trials."""
    study = open_study(job)
    Worker(job, study, **options).run()
    return read_trials(job, study)


def drawn(trials: list[Any]) -> list[Any]:
    return [trial.values for trial in trials]


def test_the_first_trial_is_the_start(tmp_path: Path, params: Params) -> None:
    job = job_of(tmp_path, params=params)
    trials = work(job)
    assert trials[0].values == start_values(job.space)
    assert [trial.is_start for trial in trials] == [True, False, False, False]
    assert [trial.state for trial in trials] == ["COMPLETE"] * 4


def test_the_same_seed_searches_the_same(tmp_path: Path) -> None:
    def search(name: str, **tune: Any) -> list[Any]:
        return drawn(work(job_of(tmp_path / name, trials=8, startup_trials=3, **tune)))

    first = search("a", seed=5)
    assert first == search("b", seed=5)
    assert first[1:] != search("c", seed=6)[1:]


def test_a_search_grows(tmp_path: Path, params: Params) -> None:
    whole = drawn(work(job_of(tmp_path / "whole", trials=6, params=params)))
    assert drawn(work(job_of(tmp_path, trials=2, params=params))) == whole[:2]
    assert drawn(work(job_of(tmp_path, trials=6, params=params))) == whole
    # Asked for fewer, it shows the first of them: what a new search of so many would find.
    assert drawn(work(job_of(tmp_path, trials=3, params=params))) == whole[:3]


def test_trials_are_given_up_after_a_fold(tmp_path: Path) -> None:
    job = job_of(tmp_path, trials=12, pruner=PRUNER)
    trials = work(job)
    states = [trial.state for trial in trials]
    assert states[:2] == ["COMPLETE", "COMPLETE"]
    pruned = [trial for trial in trials if trial.state == "PRUNED"]
    assert pruned
    for trial in pruned:
        assert list(trial.folds) == ["0"]
        assert trial.value == trial.folds["0"]["object_f1"]  # the score until then
        # Below the median of what was known then, at the first fold.
        before = sorted(other.folds["0"]["object_f1"] for other in trials[: trial.number])
        assert trial.value < (before[len(before) // 2] + before[(len(before) - 1) // 2]) / 2


def test_with_a_cost_no_trial_is_given_up(tmp_path: Path) -> None:
    job = job_of(tmp_path, trials=8, pruner=PRUNER, cost="multiply_adds")
    study = open_study(job)
    Worker(job, study).run()
    trials = read_trials(job, study)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert {trial.state for trial in trials} == {"COMPLETE"}
    assert [trial.cost for trial in trials] == [
        2 ** trial.values["network.depth"] for trial in trials
    ]


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A recipe that kills its process would kill this one.
    monkeypatch.setattr("os.kill", lambda pid, number: 1 / 0)
    trials = work(job_of(tmp_path, trials=12, params=params, objective="fails"))
    assert len(trials) == 12
    for trial in trials:
        depth = trial.values["network.depth"]
        expected = {1: "ValueError: no such", 2: "ZeroDivisionError", 3: ""}.get(depth, "the score")
        assert trial.error.startswith(expected)
        assert trial.state == ("COMPLETE" if depth == 3 else "FAIL")
    assert {trial.state for trial in trials} == {"COMPLETE", "FAIL"}


def test_a_recipe_that_is_not_allowed_fails(tmp_path: Path) -> None:
    # Each is allowed by itself: only unet_plus_plus has deep supervision.
    space = {
        "network.architecture": {"start": "unet", "choices": ["unet", "unet_plus_plus"]},
        "network.deep_supervision": {"start": False, "choices": [True, False]},
    }
    trials = work(job_of(tmp_path, trials=10, space=space))
    wrong = [
        trial
        for trial in trials
        if trial.values == {"network.architecture": "unet", "network.deep_supervision": True}
    ]
    assert wrong
    assert [trial for trial in trials if trial.state == "FAIL"] == wrong
    assert "only unet_plus_plus" in wrong[0].error


def test_a_search_of_which_every_trial_fails_is_stopped(tmp_path: Path, params: Params) -> None:
    job = job_of(tmp_path, trials=50, params=params, objective="broken")
    with pytest.raises(InputError, match="3 trials, and none that did not fail: RuntimeError"):
        work(job)
    assert len(open_study(job).trials) == 3


def test_what_is_no_recipe_s_fault_costs_no_trial(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, trials=2, params=params, objective="refuses")
    with pytest.raises(InputError, match=r"trial 0: FileNotFoundError.*manifest\.csv"):
        work(job)
    trials = work(job_of(tmp_path, trials=2, params=params))
    assert [trial.state for trial in trials] == ["COMPLETE", "COMPLETE"]
    assert drawn(trials)[0] == start_values(job.space)


def test_a_worker_that_is_stopped_gives_its_trial_back(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, trials=3, params=params)
    stop = threading.Event()

    def stopped(recipe: Job, folder: Path, **options: Any) -> Result:
        stop.set()
        return run_here(recipe, folder, **options)

    with monkeypatch.context() as patch:
        patch.setattr(worker, "run_trial", stopped)
        assert work(job, stop=stop) == []
    trials = work(job)
    assert [(trial.root, trial.number) for trial in trials] == [(0, 1), (2, 2), (3, 3)]


def test_an_interruption_changes_no_other_trial(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drawn(work(job_of(tmp_path / "whole", trials=8, params=params)))
    stop = threading.Event()

    def stopped(recipe: Job, folder: Path, **options: Any) -> Result:
        if folder.name == "3":
            stop.set()
        return run_here(recipe, folder, **options)

    job = job_of(tmp_path, trials=8, params=params)
    with monkeypatch.context() as patch:
        patch.setattr(worker, "run_trial", stopped)
        assert len(work(job, stop=stop)) == 3
    trials = work(job)
    assert drawn(trials) == whole
    assert [trial.number for trial in trials] == [0, 1, 2, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("known", [0, 1, 2, 3])
@pytest.mark.parametrize("root", [0, 1, 4, 5])
def test_a_trial_lost_while_it_is_drawn_is_drawn_the_same(
    tmp_path: Path, params: Params, root: int, known: int
) -> None:
    whole = drawn(work(job_of(tmp_path / "whole", trials=6, params=params)))
    work(job_of(tmp_path, trials=root, params=params))
    job = job_of(tmp_path, trials=6, params=params)
    study = open_study(job)
    trial = study.ask()
    suggest(trial, dict(list(job.space.items())[:known]))
    assert finish(study, trial.number, TrialState.FAIL, {ledger.LOST: "died"})
    assert drawn(work(job)) == whole


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_worker_that_ends_with_an_error_gives_its_trial_back(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    job = job_of(tmp_path, trials=2, params=params)

    def fails(recipe: Job, folder: Path, **options: Any) -> Result:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(worker, "run_trial", fails)
        with pytest.raises(error):
            work(job)
    assert [slot.state for slot in all_slots(open_study(job))] == ["lost"]
    assert len(work(job)) == 2


def test_a_trial_that_another_has_taken_over_is_left_to_it(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, trials=1, params=params)
    other = open_study(job)
    first = True

    def taken(recipe: Job, folder: Path, **options: Any) -> Result:
        nonlocal first
        if first:
            first = False
            assert finish(other, 0, TrialState.FAIL, {ledger.LOST: "died"})
        return run_here(recipe, folder, **options)

    monkeypatch.setattr(worker, "run_trial", taken)
    trials = work(job)
    # The first attempt came to a score, which nobody wants any more.
    assert [(trial.root, trial.number, trial.state) for trial in trials] == [(0, 1, "COMPLETE")]


def test_no_trial_beyond_the_last_is_carried_out(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, trials=1, params=params)
    study = open_study(job)
    study.ask()  # another worker takes the last one, after this one has looked
    monkeypatch.setattr(ledger, "has_work", lambda slots, budget: True)
    one = Worker(job, study)
    one._next_trial()
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING, TrialState.FAIL]
    assert len(all_slots(study)) == 1


def test_a_trial_over_which_three_workers_died_is_left(tmp_path: Path, params: Params) -> None:
    job = job_of(tmp_path, trials=2, params=params)
    study = open_study(job)
    for _ in range(3):
        asked = study.ask()
        assert finish(study, asked.number, TrialState.FAIL, {ledger.LOST: "died"})
        repeat_lost(study, job.space, job.trials)
    trials = work(job)
    assert [trial.state for trial in trials] == ["FAIL", "COMPLETE"]
    assert trials[0].error == "its worker died, 3 times in a row"
    assert trials[0].values == start_values(job.space)


def test_each_trial_is_shown_when_it_has_ended(tmp_path: Path, params: Params) -> None:
    shown: list[int] = []
    work(job_of(tmp_path, trials=3, params=params), on_trial=lambda slot: shown.append(slot.root))
    assert shown == [0, 1, 2]


def test_checkpoints_go_with_the_end_of_a_trial(tmp_path: Path, params: Params) -> None:
    job = job_of(tmp_path, trials=1, params=params, objective="slow")
    work(job)
    assert (job.folder / "trained.txt").read_text() == "0 0\n0 1\n"
    assert not (job.trial_folder(0) / "checkpoints").exists()
