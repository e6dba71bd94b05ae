"""What a search leaves: its recipe, tables, figures and report, in one folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sgseg.tuning import figures
from sgseg.tuning.decision import Decision
from sgseg.tuning.importances import Importances, importances
from sgseg.tuning.job import Job
from sgseg.tuning.ledger import Slot
from sgseg.tuning.record import Trial, history_of
from sgseg.tuning.report import COSTS, Sources, plain, report
from sgseg.tuning.space import Values, flatten, nested

RECIPE, TABLE, REPORT = "recipe.yaml", "trials.csv", "report.md"


def write_recipe(folder: Path, tuned: Values, stay: Values) -> None:
    """The tuned values as params.yaml has them.

    Those of keys that were not searched follow as a comment: a stage that depends on this file is
    to run again when they change.
    """
    lines = [yaml.safe_dump(nested(tuned), sort_keys=False)]
    if stay:
        comment = yaml.safe_dump(nested(stay), sort_keys=False).splitlines()
        lines += ["# not searched, at their start in tune.space:\n", *(f"# {c}\n" for c in comment)]
    (folder / RECIPE).write_text("".join(lines), encoding="utf-8")


def write_results(
    folder: Path,
    job: Job,
    *,
    slots: Sequence[Slot],
    trials: Sequence[Trial],
    decision: Decision,
    sources: Sources,
) -> None:
    """Write everything but run.json, which says whose results these are.

    Parameters
    ----------
    folder
        An empty folder.
    job
        The search.
    slots, trials
        Its trials as Optuna knows them, and as files show them.
    decision
        What it ends with.
    sources
        Of the values of all keys of the space.
    """
    chosen = decision.chosen
    write_recipe(folder, chosen.values, plain(job.params, sources.start))
    write_table(folder / TABLE, trials)
    (folder / "trials").mkdir()
    for trial in trials:
        path = folder / "trials" / f"{trial.number}.json"
        path.write_text(trial.as_json(), encoding="utf-8")
        path.with_suffix(".csv").write_text(history_of(job, trial), encoding="utf-8")
    mattered = importances(slots)
    text = json.dumps(mattered.shares, indent=2) + "\n"
    (folder / "importances.json").write_text(text, encoding="utf-8")
    _write_figures(folder, job, trials, chosen, mattered)
    n_lost = sum(len(slot.attempts) - 1 for slot in slots)
    text = report(job, trials, decision, sources, mattered=mattered, n_lost=n_lost)
    (folder / REPORT).write_text(text, encoding="utf-8")


def write_table(path: Path, trials: Sequence[Trial]) -> None:
    """One row per trial, one column per parameter that was searched; empty where it has none."""
    params = list(dict.fromkeys(name for trial in trials for name in flatten(trial.values)))
    names = ["number", "state", "value", "cost", "seconds", *params, "error"]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**_row(trial), **flatten(trial.values)} for trial in trials)


def _row(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "cost": trial.cost,
        "seconds": trial.seconds,
        "error": trial.error,
    }


def _write_figures(
    folder: Path, job: Job, trials: Sequence[Trial], chosen: Trial, mattered: Importances
) -> None:
    figures.save_history(folder / "optimisation_history.png", trials, chosen=chosen)
    figures.save_importances(folder / "importances.png", mattered)
    figures.save_slice(folder / "slice.png", trials, job.space, chosen=chosen)
    figures.save_parallel(folder / "parallel_coordinates.png", trials, job.space, chosen=chosen)
    if job.params.tune.cost is not None:
        cost = COSTS[job.params.tune.cost]
        figures.save_pareto(folder / "pareto.png", trials, cost=cost, chosen=chosen)
