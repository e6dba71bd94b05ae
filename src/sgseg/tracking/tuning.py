"""A study in MLflow: a run for it, with a child for each trial. Every trial once."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.tracking import runs
from sgseg.tracking.evaluation import NOTE
from sgseg.tracking.identity import TuningRecord, read_tuning, write_record
from sgseg.tracking.process import is_gone, running_process
from sgseg.tracking.provenance import digest
from sgseg.tracking.restore import Restored, What
from sgseg.tracking.store import Store, StoreError, failures_named, open_store, put_tag, store_lock
from sgseg.tracking.trials import (
    NOTE_TITLE,
    STATUS,
    Trial,
    artifacts,
    best,
    counts,
    note,
    progress,
    read_trial,
    read_trials,
)

logger = logging.getLogger(__name__)

STATE, ERROR, LOGGED = "sgseg.trial_state", "sgseg.error", "sgseg.trials_digest"
ERROR_LENGTH = 2000


def write_tuning(folder: str | Path, record: TuningRecord) -> None:
    """Write the run.json of a study, all of it or nothing."""
    write_record(record, folder)


def log_trial(
    study: TuningRecord,
    trial_json: str | Path,
    history_csv: str | Path,
    *,
    root: str | Path = ".",
) -> None:
    """Log a trial that has ended; whatever goes wrong costs a warning.

    Parameters
    ----------
    study
        Whose trial it is; its run is created, and shown as running while this process lives.
    trial_json, history_csv
        The trial's files; the history may be missing.
    root
        The project's root, home of the default store.
    """
    try:
        trial = read_trial(trial_json, history_csv)
        store = open_store(root, study.experiment)
        with failures_named(store.uri):
            with store_lock(store.home):
                began = min(study.started_ms, trial.started_ms)
                parent = runs.ensure_run(store, study, _own(study), began, restore=True)
                put_tag(store.client.set_tag, parent.info.run_id, runs.PROCESS, running_process())
                runs.set_status(store, parent, "RUNNING", None)
            _put_trial(store, study, parent, trial, None)
    except StoreError as error:
        logger.warning("The search goes on; this trial is not in MLflow. %s", error)
    except InputError as error:
        logger.warning("Not logged to MLflow: %s", error)


def log_tuning(folder: str | Path, *, root: str | Path = ".") -> Restored | None:
    """Log all of a study that the store lacks; a store that fails costs a warning, and None.

    Parameters
    ----------
    folder
        With run.json (`write_tuning`), the trials, recipe.yaml, figures, tables and the report.
    root
        The project's root, home of the default store.

    Raises
    ------
    InputError
        A file of the study cannot be read; all of them are named, after the rest is logged.
    """
    record = read_tuning(folder)
    try:
        store = open_store(root, record.experiment)
        return put_tuning(store, record, Path(folder))
    except StoreError as error:
        logger.warning("The search is not in MLflow. %s", error)
        return None


def put_tuning(store: Store, record: TuningRecord, folder: Path) -> Restored:
    """See to it that the store shows a study and all of its trials.

    Raises
    ------
    InputError
        A file of the study cannot be read; all of them are named, after the rest is logged.
    StoreError
        The store cannot be written.
    """
    problems: list[Problem] = []
    trials = read_trials(folder, problems)
    began = min([record.started_ms, *(trial.started_ms for trial in trials)])
    with failures_named(store.uri):
        with store_lock(store.home):
            what: What = "already there" if runs.find_run(store, _own(record)) else "put back"
            parent = runs.ensure_run(store, record, _own(record), began, restore=False)
        if runs.is_deleted(parent):
            return Restored(str(folder), "deleted in the store", parent.info.run_id)
        ours = {runs.KIND: "trial", runs.STUDY_KEY: record.key}
        found = runs.find_runs(store, ours, deleted=True)
        known = {run.data.tags.get(runs.RUN_KEY): run for run in found}
        values = sum(
            _put_trial(store, record, parent, trial, known.get(_run_key(record, trial)))
            for trial in trials
        )
        known = {run.data.tags.get(runs.RUN_KEY): run for run in runs.find_runs(store, ours)}
        _supersede_earlier(store, record, trials, known, began)
        values += _put_progress(store, parent, trials)
        copied = runs.log_artifacts(store, parent, artifacts(folder))
        ended = _settle(store, parent, record, trials)
    if problems:
        raise InputError(*problems)
    if what == "already there" and (values or copied or ended):
        what = "completed"
    return Restored(str(folder), what, parent.info.run_id, values, copied)


def _own(study: TuningRecord) -> dict[str, str]:
    """The tags by which the run of a study is found."""
    return {runs.KIND: "study", runs.STUDY_KEY: study.key}


def _run_key(study: TuningRecord, trial: Trial) -> str:
    """Names this trial in every store; one of a study begun anew is another."""
    return f"{study.key[:16]}-trial-{trial.number}-{trial.started_ms}"


def _put_trial(
    store: Store, study: TuningRecord, parent: Any, trial: Trial, run: Any | None
) -> int:
    """See to it that the store shows a trial; the number of values logged.

    The digest of its files is set last: who finds it finds all of the trial.
    """
    if run is None:
        run = _find_or_create(store, study, parent, trial)
    tags = run.data.tags
    if runs.is_deleted(run) or tags.get(runs.CONTENT) == trial.digest:
        return 0
    number = run.info.run_id
    logged = runs.logged_points(store, run)
    missing = [item for item in trial.points if (item.name, item.step) not in logged]
    runs.log_params(store, run, trial.params)
    runs.log_points(store, number, missing)
    for name, value in _described(trial).items():
        if tags.get(name) != value:
            put_tag(store.client.set_tag, number, name, value)
    runs.set_status(store, run, STATUS[trial.state], trial.ended_ms)
    put_tag(store.client.set_tag, number, runs.CONTENT, trial.digest)
    return len(missing)


def _find_or_create(store: Store, study: TuningRecord, parent: Any, trial: Trial) -> Any:
    """The run of a trial; older ones of this number, from a study begun anew, are superseded."""
    key = _run_key(study, trial)
    own = {runs.KIND: "trial", runs.STUDY_KEY: study.key, runs.TRIAL: str(trial.number)}
    with store_lock(store.home):
        same = runs.find_runs(store, own, deleted=True)
        found = [run for run in same if run.data.tags.get(runs.RUN_KEY) == key]
        if found:
            return min(found, key=runs.is_deleted)
        own |= {runs.RUN_KEY: key, runs.PARENT: parent.info.run_id}
        tags = {**study.tags, **_described(trial), **own}
        run = runs.create_run(store, f"trial {trial.number}", tags, trial.started_ms)
        same = [
            item
            for item in [*same, run]
            if not runs.is_deleted(item) and runs.SUPERSEDED not in item.data.tags
        ]
        runs.supersede(store, sorted(same, key=lambda item: int(item.info.start_time))[:-1])
        return run


def _supersede_earlier(
    store: Store, study: TuningRecord, trials: list[Trial], known: Mapping[str, Any], began: int
) -> None:
    """Mark the trials of a study that was begun anew, also those without one of their number.

    A trial that was killed is repeated under the next number: the new study may have no trial 0.
    """
    ours = {_run_key(study, trial) for trial in trials}
    with store_lock(store.home):
        runs.supersede(
            store,
            [
                run
                for key, run in known.items()
                if key not in ours
                and int(run.info.start_time) < began
                and not runs.is_deleted(run)
                and runs.SUPERSEDED not in run.data.tags
            ],
        )


def _described(trial: Trial) -> dict[str, str]:
    error = trial.error if len(trial.error) <= ERROR_LENGTH else f"{trial.error[:ERROR_LENGTH]} ..."
    return {STATE: trial.state, **({ERROR: error} if error else {})}


def _put_progress(store: Store, parent: Any, trials: list[Trial]) -> int:
    """How the study went, into its run; the number of values logged."""
    known = digest([trial.digest for trial in trials])
    number, tags = parent.info.run_id, parent.data.tags
    if tags.get(LOGGED) == known or not trials:
        return 0
    logged = runs.logged_points(store, parent)
    missing = [item for item in progress(trials) if (item.name, item.step) not in logged]
    runs.log_points(store, number, missing)
    wanted = {"sgseg.trials": counts(trials)}
    for leader in best(trials)[:1]:
        wanted |= {"sgseg.best_trial": str(leader.number), "sgseg.best_value": f"{leader.value:g}"}
    if tags.get(NOTE, "").startswith(NOTE_TITLE) or not tags.get(NOTE):
        wanted[NOTE] = note(trials)  # a description that somebody wrote is left alone
    for name, value in (wanted | {LOGGED: known}).items():
        put_tag(store.client.set_tag, number, name, value)
    return len(missing)


def _settle(store: Store, parent: Any, record: TuningRecord, trials: list[Trial]) -> bool:
    """Let a study end with its last trial, unless a process on this machine is at it."""
    process = parent.data.tags.get(runs.PROCESS, "")
    lives = process.startswith(f"{socket.gethostname()}/") and not is_gone(process)
    if lives and (record.ended_ms is None or process != running_process()):
        return False
    runs.forget_process(store, parent)
    ended = max([record.ended_ms or record.started_ms, *(trial.ended_ms for trial in trials)])
    status = "KILLED" if record.ended_ms is None else "FINISHED"
    return runs.set_status(store, parent, status, ended)
