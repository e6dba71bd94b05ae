"""One trial, in a process of its own: `python -m sgseg.tuning.trial`, started by a worker.

The first line of its standard input says what to do, each following one whether to go on after a
fold; it ends with the worker, even where that is killed. To standard output it writes a line per
fold. Nothing here knows Optuna.
"""

from __future__ import annotations

import csv
import importlib
import json
import logging
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from sgseg.errors import InputError
from sgseg.images.write import replacing
from sgseg.processes import Lifeline
from sgseg.tuning.job import Job

RESULT, HISTORY, LOG = "result.json", "history.csv", "log.txt"
GO_ON, STOP = "go on", "stop"
ERROR_LENGTH = 500
Scores = dict[str, float | None]


@dataclass(frozen=True)
class FoldScore:
    """What is known of a recipe after one more fold.

    Parameters
    ----------
    fold
        The fold just done.
    value
        The objective over all folds so far; more is better.
    scores
        All scores over all folds so far.
    by_fold
        The scores of each fold's own images.
    cost
        Second objective, if there is one; less is better.
    history
        Scores of each epoch of this fold.
    """

    fold: int
    value: float | None
    scores: Scores = field(default_factory=dict)
    by_fold: Mapping[int, Scores] = field(default_factory=dict)
    cost: float | None = None
    history: list[dict[str, float]] = field(default_factory=list)


Objective = Callable[[Job, Path], Iterator[FoldScore]]
State = Literal["COMPLETE", "PRUNED", "FAIL", "REFUSED"]


@dataclass(frozen=True)
class Result:
    """How a trial ended. `REFUSED`: not by its recipe, but by the machine, such as a full disk."""

    state: State
    value: float | None = None
    cost: float | None = None
    scores: Scores = field(default_factory=dict)
    folds: dict[str, Scores] = field(default_factory=dict)
    error: str = ""


def main() -> None:
    """Carry out what standard input says."""
    # Ctrl-C reaches every process of a terminal; the worker is the one to act on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no message to the worker
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    worker = Lifeline(on_end=lambda: os._exit(1))
    task = json.loads(worker.next_line())
    job, folder = Job.from_json(json.dumps(task["job"])), Path(task["folder"])

    def report(score: FoldScore) -> bool:
        out.write(json.dumps({"fold": score.fold, "value": score.value}) + "\n")
        out.flush()
        return worker.next_line() == GO_ON

    # Of a worker that was just killed the trial may still be about to end.
    with FileLock(folder / ".lock"):
        run(job, folder, report)


def run(job: Job, folder: Path, report: Callable[[FoldScore], bool]) -> Result:
    """Score a recipe fold by fold; write its history and its result, and return the latter.

    Parameters
    ----------
    job
        With the recipe as its parameters.
    folder
        Of the trial; a checkpoint there is gone on with.
    report
        Called after each fold; whether to go on.
    """
    known: list[FoldScore] = []
    try:
        result = _in_folds(job, folder, report, known)
    except InputError as error:
        result = _ended("FAIL", known, str(error))
    except OSError as error:
        traceback.print_exc()
        result = _ended("REFUSED", known, _said(error))
    except Exception as error:  # noqa: BLE001 - whatever a recipe does, the search goes on
        traceback.print_exc()
        result = _ended("FAIL", known, _said(error))
    _write_history(folder / HISTORY, known)
    with replacing(folder / RESULT) as path:
        path.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return result


def _in_folds(
    job: Job, folder: Path, report: Callable[[FoldScore], bool], known: list[FoldScore]
) -> Result:
    module, _, name = job.objective.partition(":")
    objective: Objective = getattr(importlib.import_module(module), name)
    for score in objective(job, folder):
        known.append(score)
        if score.value is None or not math.isfinite(score.value):
            return _ended("FAIL", known, f"the score after fold {score.fold} is {score.value}")
        wanted = job.params.tune.cost
        if wanted is not None and (score.cost is None or not math.isfinite(score.cost)):
            return _ended("FAIL", known, f"{wanted} after fold {score.fold} is {score.cost}")
        if not report(score) and len(known) < len(job.folds):
            return _ended("PRUNED", known)
    return _ended("COMPLETE", known)


def _ended(state: State, known: list[FoldScore], error: str = "") -> Result:
    if not known:
        return Result("FAIL" if state == "COMPLETE" else state, error=error or "no fold to score")
    last = known[-1]
    folds = {str(fold): _finite(scores) for fold, scores in last.by_fold.items()}
    cost = None if last.cost is None or not math.isfinite(last.cost) else last.cost
    if state == "FAIL":
        return Result(state, error=error, scores=_finite(last.scores), folds=folds)
    return Result(state, last.value, cost, _finite(last.scores), folds, error)


def _finite(scores: Mapping[str, float | None]) -> Scores:
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in scores.items()
    }


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:ERROR_LENGTH]


def _write_history(path: Path, known: list[FoldScore]) -> None:
    rows: list[dict[str, Any]] = [
        {"fold": score.fold, "epoch": epoch, **row}
        for score in known
        for epoch, row in enumerate(score.history, start=1)
    ]
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["fold", "epoch"]
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
