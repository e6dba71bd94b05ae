"""report.md of a search, in plain words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sgseg.tuning.decision import Decision
from sgseg.tuning.importances import Importances
from sgseg.tuning.job import Job
from sgseg.tuning.pareto import front
from sgseg.tuning.record import Trial
from sgseg.tuning.space import shown

COSTS = {
    "multiply_adds": "multiply-adds per pixel",
    "milliseconds": "milliseconds per megapixel",
}
MEANINGS = {
    "explicit": "written in params.yaml, not searched",
    "tuned": "searched",
    "start": "not searched, stays at its start",
}
FEW_TRIALS = 20
"""Trials below which importances are mostly chance."""
LONGEST_LIST = 10


@dataclass(frozen=True)
class Sources:
    """Where the value of every key of the space comes from.

    Parameters
    ----------
    explicit, tuned, start
        Keys written in params.yaml; searched; left where the search would start.
    """

    explicit: tuple[str, ...]
    tuned: tuple[str, ...]
    start: tuple[str, ...]

    def sentences(self) -> list[str]:
        """One for each kind that occurs."""
        return [f"{MEANINGS[kind]}: {', '.join(keys)}" for kind, keys in vars(self).items() if keys]


def without_search(sources: Sources, values: Mapping[str, Any], why: str) -> str:
    """The report where nothing was searched."""
    return "\n".join(
        ["# Search", "", f"No search was run: {why}.", "", *_recipe_rows(values, sources), ""]
    )


def report(
    job: Job,
    trials: Sequence[Trial],
    decision: Decision,
    sources: Sources,
    *,
    mattered: Importances,
    n_lost: int,
) -> str:
    """The report of a search.

    Parameters
    ----------
    job, trials, decision
        The search, its trials, and what it ends with.
    sources
        Of the values.
    mattered
        How much each parameter did.
    n_lost
        Attempts that ended with their worker and were repeated.
    """
    values = {**plain(job.params, sources.explicit + sources.start), **decision.chosen.values}
    lines = ["# Search", "", decision.reason, "", *_terms(job, trials, n_lost), ""]
    lines += [*_recipe_rows(values, sources), "", *_best_rows(job, trials), ""]
    if job.params.tune.cost is not None:
        lines += [*_front_rows(job, trials), ""]
    lines += [*_failures(trials), *_pictures(job, mattered)]
    return "\n".join(lines)


def plain(params: Any, keys: Sequence[str]) -> dict[str, Any]:
    """The values of dotted keys."""
    content = params.model_dump(mode="json", by_alias=True)
    return {key: _at(content, key) for key in keys}


def _at(content: Mapping[str, Any], key: str) -> Any:
    value: Any = content
    for part in key.split("."):
        value = value[part]
    return value


def _terms(job: Job, trials: Sequence[Trial], n_lost: int) -> Iterator[str]:
    states = Counter(trial.state for trial in trials)
    tune, epochs = job.params.tune, job.params.train.epochs
    folds = ", ".join(map(str, job.folds))
    seconds = sum(trial.seconds for trial in trials)
    yield (
        f"{len(trials)} trials ({states['COMPLETE']} complete, {states['PRUNED']} given up, "
        f"{states['FAIL']} failed) on folds {folds}, {epochs} epochs at most; "
        f"{seconds / 60:.0f} minutes of trials. TPE, seed {tune.seed}. Study {job.key[:12]}."
    )
    if n_lost:
        yield f"{n_lost} more ended with their worker and were repeated."
    yield ""
    yield (
        "Scores are out of fold: of images by networks that never saw their group. No image of "
        "the test set was read. The best of many trials is partly the luckiest: expect a little "
        "less of it on other images."
    )
    if len(job.folds) == 1:
        yield ""
        yield (
            "With a single fold, threshold and minimum area are chosen on the very images that are "
            "scored: these scores only compare trials."
        )


def _recipe_rows(values: Mapping[str, Any], sources: Sources) -> Iterator[str]:
    yield "| key | value | |"
    yield "|---|---|---|"
    for kind, keys in vars(sources).items():
        for key in keys:
            yield f"| {key} | {shown(values[key])} | {MEANINGS[kind]} |"


def _best_rows(job: Job, trials: Sequence[Trial]) -> Iterator[str]:
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    leading = sorted(complete, key=lambda trial: (-trial.score, trial.root))
    yield "## Best trials"
    yield ""
    yield from _rows(job, leading[:LONGEST_LIST])


def _front_rows(job: Job, trials: Sequence[Trial]) -> Iterator[str]:
    yield "## Pareto front"
    yield ""
    yield f"No trial is both better and cheaper ({COSTS[job.params.tune.cost or '']}) than these:"
    yield ""
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    yield from _rows(job, front(complete))


def _rows(job: Job, trials: Sequence[Trial]) -> Iterator[str]:
    cost = COSTS.get(job.params.tune.cost or "")
    yield f"| trial | object F1 |{f' {cost} |' if cost else ''} {' | '.join(job.searched)} |"
    yield "|---" * (2 + bool(cost) + len(job.searched)) + "|"
    for trial in trials:
        name = f"{trial.number} (start)" if trial.is_start else str(trial.number)
        values = [shown(trial.values[key]) for key in job.searched]
        price = [] if not cost or trial.cost is None else [f"{trial.cost:.4g}"]
        yield f"| {' | '.join([name, f'{trial.score:.3f}', *price, *values])} |"


def _failures(trials: Sequence[Trial]) -> Iterator[str]:
    failed = [trial for trial in trials if trial.state == "FAIL"]
    if not failed:
        return
    yield "## Failed trials"
    yield ""
    for trial in failed[:LONGEST_LIST]:
        yield f"- trial {trial.number}: {' '.join(trial.error.split())}"
    if len(failed) > LONGEST_LIST:
        yield f"- and {len(failed) - LONGEST_LIST} more, see trials.csv"
    yield ""


def _pictures(job: Job, mattered: Importances) -> Iterator[str]:
    yield "## Figures"
    yield ""
    if mattered.n_trials < FEW_TRIALS:
        yield f"Of {mattered.n_trials} trials with a score, importances are mostly chance."
        yield ""
    names = ["optimisation_history", "importances", "slice", "parallel_coordinates"]
    if job.params.tune.cost is not None:
        names.append("pareto")
    for name in names:
        yield f"![{name.replace('_', ' ')}]({name}.png)"
    yield ""
    if job.params.tune.cost is not None:
        yield "With a second objective no trial is given up early: Optuna has no pruning for it."
        yield ""
