"""The files of a study, and what its runs show of them. None of it knows MLflow."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.tracking.evaluation import GAP
from sgseg.tracking.files import SHOWN, TIMESTAMP, Artifact, Point, points_of, read_table
from sgseg.tracking.identity import Status, not_ours, read_mapping
from sgseg.tracking.provenance import digest, file_md5, flat

STATUS: dict[str, Status] = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
"""Of a run, by the state of its trial; as in MLflow's own storage for Optuna."""
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
CURVES = ("loss", "val_loss", "val_object_f1", "val_iou")
"""Of the columns of a history. All, for 60 trials of 4 folds, would be 250,000 values."""
FOLD_SCORES = ("object_f1", "foreground_iou")
FIGURES = {".png", ".svg"}
NOTE_TITLE = "### Trials"
NOTE_ROWS, NOTE_PARAMS = 5, 6


@dataclass(frozen=True)
class Trial:
    """One trial of a study that has ended."""

    number: int
    state: str
    started_ms: int
    ended_ms: int
    params: Mapping[str, str]
    """What was searched, by dotted name."""
    value: float | None
    """The objective, where the trial is complete; more is better."""
    cost: float | None
    error: str
    points: tuple[Point, ...]
    """The scores at step 0, the curves at their epochs."""
    digest: str
    """Of the trial's files."""


def read_trial(path: str | Path, history: str | Path) -> Trial:
    """A trial from its two files; one that failed early has no history.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    path, history = Path(path), Path(history)
    content = read_mapping(path)
    try:
        started, state = int(content["started_ms"]), content["state"]
        if state not in STATUS:
            raise ValueError(f"state {state!r}")
        ended = int(content["ended_ms"] or started)
        value = _finite(content["value"]) if state == "COMPLETE" else None
        cost = _finite(content.get("cost"))
        scores = _points(_scores(content, value, cost), ended, 0)
        params = flat(content["params"])
        number = int(content["number"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(not_ours(path, error)) from None
    files = [item for item in (path, history) if item.is_file()]
    return Trial(
        number=number,
        state=state,
        started_ms=started,
        ended_ms=ended,
        params=params,
        value=value,
        cost=cost,
        error=str(content.get("error") or ""),
        points=(*scores, *_curves(history, started, ended)),
        digest=digest([file_md5(item) for item in files]),
    )


def read_trials(folder: Path, problems: list[Problem]) -> list[Trial]:
    """All trials of a study by number; what cannot be read is added to the problems."""
    found: list[Trial] = []
    for path in sorted((folder / "trials").glob("*.json")):
        try:
            found.append(read_trial(path, path.with_suffix(".csv")))
        except InputError as error:
            problems += error.problems
    return sorted(found, key=lambda trial: trial.number)


def _scores(
    content: Mapping[str, Any], value: float | None, cost: float | None
) -> dict[str, float | None]:
    """Named as in a cross-validation's run; of each fold only a few scores.

    A trial that was given up has those of its folds alone: over fewer folds than those of the
    others, its own would be sorted among them as if they were of the same images.
    """
    found = {"value": value, "cost": cost}
    if content["state"] == "COMPLETE":
        found |= {f"oof_{name}": score for name, score in content.get("scores", {}).items()}
    for fold, scores in content.get("folds", {}).items():
        shown = {name: score for name, score in scores.items() if name in FOLD_SCORES}
        found |= {f"fold_{fold}/oof_{name}": score for name, score in shown.items()}
    return found


def _curves(history: Path, started_ms: int, ended_ms: int) -> list[Point]:
    """The chosen columns by fold; times, where the table has none, spread evenly over the trial."""
    rows = read_table(history, key="epoch") if history.is_file() else []
    points: list[Point] = []
    for index, row in enumerate(rows, start=1):
        even = started_ms + (ended_ms - started_ms) * index // len(rows)
        shown = {f"fold_{row.get('fold', 0):.0f}/{name}": row.get(name) for name in CURVES}
        points += _points(shown, int(row.get(TIMESTAMP, even)), int(row["epoch"]))
    return points


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _points(values: Mapping[str, float | None], moment: int, step: int) -> list[Point]:
    given = {name: value for name, value in values.items() if value is not None}
    return points_of(given, step=step, default_ms=moment)


def best(trials: Sequence[Trial]) -> list[Trial]:
    """The complete trials, the best first; of equal ones the earliest."""
    scored = [(trial.value, trial) for trial in trials]
    known = [(value, trial) for value, trial in scored if value is not None]
    return [trial for _, trial in sorted(known, key=lambda item: (-item[0], item[1].number))]


def progress(trials: Sequence[Trial]) -> list[Point]:
    """Values of the study's run: at step k what was known when k trials had ended.

    A study that grows continues these curves and changes none of their values.
    """
    points: list[Point] = []
    number = dict.fromkeys(STATES, 0)
    leader: list[Trial] = []
    ended = sorted(trials, key=lambda trial: (trial.ended_ms, trial.number))
    for step, trial in enumerate(ended, start=1):
        number[trial.state] += 1
        leader = best([*leader, trial])[:1]
        values: dict[str, float | None] = {
            f"trials_{name}": number[state] for state, name in STATES.items()
        }
        for item in leader:
            values |= {"best_value": item.value, "best_cost": item.cost, "best_trial": item.number}
        points += _points(values, trial.ended_ms, step)
    return points


def counts(trials: Sequence[Trial]) -> str:
    """For example "5 complete, 2 pruned, 1 failed"."""
    number = Counter(trial.state for trial in trials)
    return ", ".join(f"{number[state]} {name}" for state, name in STATES.items())


def note(trials: Sequence[Trial]) -> str:
    """A table of the best trials, in Markdown: their values and the parameters that differ."""
    shown = best(trials)[:NOTE_ROWS]
    names = dict.fromkeys(name for trial in shown for name in trial.params)
    differing = [n for n in names if len({trial.params.get(n) for trial in shown}) > 1]
    columns = differing[:NOTE_PARAMS]
    costly = any(trial.cost is not None for trial in shown)
    lines = [["trial", "value", *(["cost"] if costly else []), *map(_short, columns)]]
    for trial in shown:
        cost = ["" if trial.cost is None else f"{trial.cost:.3g}"] if costly else []
        cells = [_rounded(trial.params.get(name, "")) for name in columns]
        lines.append([str(trial.number), f"{trial.value:.3f}", *cost, *cells])
    table = [f"| {f'{GAP} | '.join(line)} |" for line in lines]
    table.insert(1, f"|{' --- |' * len(lines[0])}")
    said = f"{counts(trials)}; what was chosen is in recipe.yaml."
    return "\n".join([NOTE_TITLE, "", *([*table, ""] if shown else []), said])


def _short(name: str) -> str:
    """`loss.alpha` for train.loss.alpha, `loss` for train.loss.name."""
    return name.partition(".")[2].removesuffix(".name") or name


def _rounded(text: str) -> str:
    """A fraction to three digits; any other text as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    return text if not math.isfinite(value) or value.is_integer() else f"{value:.3g}"


def artifacts(folder: Path) -> list[Artifact]:
    """Files that the study's run shows, run.json among them; the trials have runs of their own."""
    return [
        Artifact(path, "figures" if path.suffix in FIGURES else "")
        for path in sorted(folder.glob("*"))
        if path.suffix in SHOWN and not path.name.startswith(".")
    ]
