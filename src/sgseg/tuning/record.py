"""What a trial leaves: attributes in the study, and from them the files that describe it."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from sgseg.images.write import replacing
from sgseg.tracking import log_trial, read_tuning
from sgseg.tuning import ledger
from sgseg.tuning.job import Job
from sgseg.tuning.space import Space, Values, flatten, suggest
from sgseg.tuning.trial import HISTORY, Result, Scores

# Attributes of a trial, beside those of the ledger and of liveness.
STARTED, ENDED = "started_ms", "ended_ms"
OUTCOME = ("cost", "scores", "folds", "error")
TRIAL = "trial.json"
STATES: dict[TrialState, Literal["COMPLETE", "PRUNED", "FAIL"]] = {
    TrialState.COMPLETE: "COMPLETE",
    TrialState.PRUNED: "PRUNED",
    TrialState.FAIL: "FAIL",
}


@dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Parameters
    ----------
    number
        In Optuna, of the attempt that counts.
    root
        Of the first attempt: names the working folder.
    values
        What was searched, by key of the space; unions are mappings.
    value
        The objective; of a trial that was given up the score until then.
    """

    number: int
    root: int
    is_start: bool
    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    started_ms: int
    ended_ms: int
    values: Values
    value: float | None = None
    cost: float | None = None
    scores: Scores = field(default_factory=dict)
    folds: dict[str, Scores] = field(default_factory=dict)
    error: str = ""
    history: str | None = None

    @property
    def score(self) -> float:
        """The value of a trial that is known to have one."""
        assert self.value is not None
        return self.value

    @property
    def price(self) -> float:
        """The cost of a trial that is known to have one."""
        assert self.cost is not None
        return self.cost

    @property
    def seconds(self) -> float:
        """From its start to its end."""
        return (self.ended_ms - self.started_ms) / 1000

    def as_json(self) -> str:
        """As in trials/<number>.json."""
        content = {
            "number": self.number,
            "state": self.state,
            "started_ms": self.started_ms,
            "ended_ms": self.ended_ms,
            "params": flatten(self.values),
            "value": self.value,
            "cost": self.cost,
            "scores": self.scores,
            "folds": self.folds,
            "error": self.error,
        }
        return json.dumps(content, indent=2, allow_nan=False) + "\n"


def outcome(job: Job, study: optuna.Study, root: int, result: Result) -> dict[str, Any]:
    """The attributes that a trial ends with.

    Its curves lie beside a journal; into a database, which other machines read, they are written.
    """
    attributes: dict[str, Any] = {ENDED: now_ms()}
    known = {name: getattr(result, name) for name in OUTCOME}
    attributes |= {name: value for name, value in known.items() if value not in (None, "", {})}
    history = job.trial_folder(root) / HISTORY
    if not isinstance(study._storage, JournalStorage) and history.is_file():
        attributes["history"] = _rounded(history.read_text(encoding="utf-8"))
    return attributes


def _rounded(table: str) -> str:
    """A table of numbers with five digits each."""
    header, *rows = csv.reader(io.StringIO(table))
    lines = [header, *([f"{float(cell):.5g}" if cell else "" for cell in row] for row in rows)]
    return "".join(",".join(line) + "\n" for line in lines)


def read_trial(slot: ledger.Slot, space: Space) -> Trial:
    """What the study knows of a trial that is done."""
    frozen, attributes = slot.trial, slot.trial.user_attrs
    completed = frozen.datetime_complete or frozen.datetime_start
    ended = attributes.get(ENDED, int(completed.timestamp() * 1000) if completed else 0)
    error = attributes.get("error", "")
    if ledger.is_lost(frozen):
        error = f"its worker died, {slot.deaths} times in a row"
    objectives = frozen.values or [None]
    return Trial(
        number=frozen.number,
        root=slot.root,
        is_start=slot.attempts[0].user_attrs.get(ledger.TOKEN) == ledger.START,
        state=STATES[frozen.state],
        started_ms=attributes.get(STARTED, ended),
        ended_ms=ended,
        values=_values(frozen, space),
        value=objectives[0],
        cost=attributes.get("cost"),
        scores=attributes.get("scores", {}),
        folds=attributes.get("folds", {}),
        error=error,
        history=attributes.get("history"),
    )


def _values(frozen: FrozenTrial, space: Space) -> Values:
    known = {**frozen.system_attrs.get("fixed_params", {}), **frozen.params}
    try:
        return suggest(FixedTrial(known), space)
    except ValueError:
        return {}  # its worker died before all were drawn


def read_trials(job: Job, study: optuna.Study) -> list[Trial]:
    """All trials of a search that are done, in the order in which they began."""
    slots = ledger.slots(study.get_trials(deepcopy=False))[: job.trials]
    return [read_trial(slot, job.space) for slot in slots if slot.state == "done"]


def history_of(job: Job, trial: Trial) -> str:
    """The curves of a trial as CSV, at least a header."""
    path = job.trial_folder(trial.root) / HISTORY
    if trial.history is None and path.is_file():
        return path.read_text(encoding="utf-8")
    return trial.history or "fold,epoch\n"


def tracked(job: Job) -> Callable[[ledger.Slot], None]:
    """Shows a trial in MLflow when it has ended, if the study's folder says whose it is."""
    if not (job.folder / "run.json").is_file():
        return lambda slot: None
    study = read_tuning(job.folder)

    def track(slot: ledger.Slot) -> None:
        trial, folder = read_trial(slot, job.space), job.trial_folder(slot.root)
        with replacing(folder / TRIAL) as path:
            path.write_text(trial.as_json(), encoding="utf-8")
        log_trial(study, folder / TRIAL, folder / HISTORY)

    return track


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
