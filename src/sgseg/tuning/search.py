"""A search: its workers are started, waited for and ended together."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna

from sgseg.errors import InputError, Problem
from sgseg.tuning import ledger
from sgseg.tuning.job import Job
from sgseg.tuning.record import tracked
from sgseg.tuning.storage import failures_named, without_password
from sgseg.tuning.study import all_slots, open_study
from sgseg.tuning.worker import Worker

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
END_SECONDS = 30.0
Process = subprocess.Popen[bytes]


Start = Callable[[str, int, Path], None]
"""Starts so many workers elsewhere and waits for them, given their line and the search's folder."""


def run_study(
    job: Job, *, workers: int = 1, storage: str | None = None, start: Start | None = None
) -> optuna.Study:
    """Work on a study until as many trials as the search asks for are done.

    What others did before, or do at the same time, counts. Whatever ends this early, the same call
    goes on with it.

    Parameters
    ----------
    job
        The search.
    workers
        Trials at the same time on this machine.
    storage
        Address of a database; None for the journal in the search's folder.
    start
        Starts the workers on other machines; None: on this one.

    Raises
    ------
    InputError
        The storage cannot be used, trials cannot be run here, or no trial came to an end.
    """
    with failures_named(storage):
        return _run_study(job, workers, storage, start)


def _run_study(job: Job, workers: int, storage: str | None, start: Start | None) -> optuna.Study:
    study = open_study(job, storage)
    slots = all_slots(study)
    done = sum(slot.state == "done" for slot in slots[: job.trials])
    place = job.folder if storage is None else without_password(storage)
    log.info("study %s in %s: %d of %d trials are done", job.key[:7], place, done, job.trials)
    if (workers == 1 and start is None) or ledger.is_finished(slots, job.trials):
        Worker(job, study, on_trial=tracked(job)).run()
    else:
        _run_workers(job, workers, storage, start)
        if not ledger.is_finished(all_slots(study), job.trials):
            raise InputError(
                Problem(
                    f"study {job.key[:7]}",
                    "all workers ended before all trials were done",
                    remedy="The reason stands above; the same command goes on.",
                )
            )
    return study


def _run_workers(job: Job, workers: int, storage: str | None, start: Start | None) -> None:
    # Those of a cluster have the cores that it gives them.
    sharing = workers if start is None else 1
    task = {"job": json.loads(job.to_json()), "workers": sharing, "storage": storage}
    if start is not None:
        start(json.dumps(task), workers, job.folder)
        return
    processes: list[Process] = []
    try:
        for _ in range(workers):
            process = subprocess.Popen(
                [sys.executable, "-m", "sgseg.tuning.worker"], stdin=subprocess.PIPE
            )
            processes.append(process)
            _tell(process, json.dumps(task))
        while any(process.poll() is None for process in processes):
            time.sleep(POLL_SECONDS)
    finally:
        _end(processes)


def _tell(process: Process, line: str) -> None:
    # Not as an argument or a file: the address may hold a password.
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()


def _end(processes: Sequence[Process]) -> None:
    """Let every worker give its trial back and end; they notice that the pipe is closed."""
    for process in processes:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    until = time.monotonic() + END_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
