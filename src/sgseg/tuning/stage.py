"""The stage `tune`: from params.yaml and the data to reports/tuning. `sgseg tune` does the same."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sgseg.config import Params, load_params, sources_of_space, with_values
from sgseg.dataset.folders import replacing_folder
from sgseg.errors import InputError, Problem
from sgseg.tracking import (
    DatasetInput,
    TuningRecord,
    dvc_md5,
    log_tuning,
    read_tuning,
    tuning_study,
    write_tuning,
)
from sgseg.tracking.identity import RUN_FILE
from sgseg.tuning.decision import decide
from sgseg.tuning.job import OBJECTIVE, Job
from sgseg.tuning.record import read_trials
from sgseg.tuning.report import Sources, plain, without_search
from sgseg.tuning.results import REPORT, TABLE, write_recipe, write_results, write_table
from sgseg.tuning.search import Start, run_study
from sgseg.tuning.space import check_space
from sgseg.tuning.storage import failures_named
from sgseg.tuning.study import all_slots

log = logging.getLogger(__name__)

DATASET, SPLIT = Path("data/dataset"), Path("data/split")
STUDIES, REPORTS = Path("tuning"), Path("reports/tuning")
CODE = [  # what shapes the value of a trial: another study begins when any of it changes
    "src/sgseg/dataset/manifest.py",
    "src/sgseg/dataset/structure.py",
    "src/sgseg/evaluation/operating.py",
    "src/sgseg/evaluation/summary.py",
    "src/sgseg/inference/measure.py",
    "src/sgseg/inference/network.py",
    "src/sgseg/inference/preprocess.py",
    "src/sgseg/inference/segment.py",
    "src/sgseg/inference/tiles.py",
    "src/sgseg/nets",
    "src/sgseg/scores.py",
    "src/sgseg/training",
    "src/sgseg/tuning/objective.py",
]


@dataclass(frozen=True)
class Wish:
    """What the command line asks for; None for what params.yaml says."""

    budget: str | None = None
    trials: int | None = None
    workers: int = 1
    storage: str | None = None
    start: Start | None = None


def tune(wish: Wish | None = None, *, objective: str = OBJECTIVE) -> None:
    """Search as params.yaml says, and write reports/tuning.

    Parameters
    ----------
    wish
        What differs from params.yaml.
    objective
        See `job.Job`.

    Raises
    ------
    InputError
        The parameters, the data or the storage cannot be used, or no trial came to an end.
    """
    wish = wish or Wish()
    params = load_params()
    budget = wish.budget or params.tune.budget
    settings = None if budget == "none" else params.tune.budgets.model_dump()[budget]
    sources = sources_of(sources_of_space(), settings["search"] if settings else [])
    for sentence in sources.sentences():
        log.info("%s", sentence)
    why = why_not(budget, settings, wish.trials, sources)
    if settings is None or why:
        _write_without_search(params, sources, why)
        return
    job, record = _job(params, settings, sources, wish.trials, objective)
    if params.tune.cost is not None and params.tune.pruner.name != "none":
        log.info(
            "tune.cost is set: no trial is given up early, as Optuna cannot with two objectives"
        )
    with failures_named(wish.storage):
        study = run_study(job, workers=wish.workers, storage=wish.storage, start=wish.start)
        slots, trials = all_slots(study)[: job.trials], read_trials(job, study)
    decision = decide(trials, params.tune.min_gain)
    record = replace(record, ended_ms=max(trial.ended_ms for trial in trials))
    with replacing_folder(REPORTS) as folder:
        write_results(folder, job, slots=slots, trials=trials, decision=decision, sources=sources)
        write_tuning(folder, record)
    log.info("%s", decision.reason)
    log.info("see %s", REPORTS / REPORT)
    log_tuning(REPORTS)


def sources_of(kinds: Mapping[str, str], search: Sequence[str] | str) -> Sources:
    """Which keys of the space are written out, which are searched, and which stay at their start.

    Parameters
    ----------
    kinds
        `explicit` or another by key, as `config.sources_of_space` gives it.
    search
        Keys to search, or "all". One that is written out is not searched.

    Raises
    ------
    InputError
        A key to search has no space.
    """
    unknown = [] if search == "all" else [key for key in search if key not in kinds]
    if unknown:
        raise InputError(
            *(
                Problem(f"search: {key}", "not in tune.space", "a key of it, or `search: all`")
                for key in unknown
            )
        )
    explicit = tuple(key for key, kind in kinds.items() if kind == "explicit")
    free = [key for key in kinds if key not in explicit]
    tuned = tuple(key for key in free if search == "all" or key in search)
    return Sources(explicit, tuned, tuple(key for key in free if key not in tuned))


def why_not(
    budget: str, settings: Mapping[str, Any] | None, trials: int | None, sources: Sources
) -> str:
    """Why nothing is searched; empty if something is."""
    if settings is None:
        return f"tune.budget is {budget}"
    if (settings["trials"] if trials is None else trials) < 1:
        return "the number of trials is 0"
    if not sources.tuned:
        return "every key that it may search is written in params.yaml"
    return ""


def _job(
    params: Params,
    settings: Mapping[str, Any],
    sources: Sources,
    trials: int | None,
    objective: str,
) -> tuple[Job, TuningRecord]:
    """The search, and who it is."""
    folds = params.split.folds if settings["folds"] == "all" else settings["folds"]
    unknown = [fold for fold in folds if fold not in params.split.folds]
    if unknown or not folds:
        raise InputError(
            Problem("tune.budgets: folds", f"got {folds}", f"some of {params.split.folds}")
        )
    if settings["epochs"] is not None:
        params = with_values(params, {"train.epochs": settings["epochs"]})
    space = {key: params.tune.space[key] for key in sources.tuned}
    check_space(space, params)
    record = tuning_study(
        params,
        datasets=[
            DatasetInput(params.data.source, dvc_md5(DATASET), str(DATASET)),
            DatasetInput("split", dvc_md5(SPLIT), str(SPLIT)),
        ],
        code=CODE,
        settings={
            "space": {key: spec.model_dump(mode="json") for key, spec in space.items()},
            "folds": folds,
            "orientations": params.predict.orientations,
            "seed": params.tune.seed,
            "cost": params.tune.cost,
        },
    )
    job = Job(
        key=record.key,
        folder=STUDIES / record.key[:12],
        params=params,
        searched=sources.tuned,
        trials=settings["trials"] if trials is None else trials,
        folds=tuple(folds),
        dataset=DATASET,
        roles=SPLIT / "roles.csv",
        objective=objective,
    )
    if (job.folder / RUN_FILE).is_file():
        record = replace(record, started_ms=read_tuning(job.folder).started_ms)
    write_tuning(job.folder, record)
    return job, record


def _write_without_search(params: Params, sources: Sources, why: str) -> None:
    log.info("no search: %s", why)
    stay = plain(params, sources.tuned + sources.start)
    sources = replace(sources, tuned=(), start=tuple(stay))
    with replacing_folder(REPORTS) as folder:
        write_recipe(folder, {}, stay)
        write_table(folder / TABLE, [])
        text = without_search(sources, plain(params, tuple(params.tune.space)), why)
        (folder / REPORT).write_text(text, encoding="utf-8")
