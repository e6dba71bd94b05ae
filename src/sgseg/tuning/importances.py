"""How much each parameter mattered in a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from sgseg.tuning.ledger import Slot

FEWEST = 2
"""Scores that differ, without which there is nothing to explain."""


@dataclass(frozen=True)
class Importances:
    """How much each parameter mattered.

    Parameters
    ----------
    shares
        Of each parameter, by Optuna's name, in [0, 1]; the largest first. Empty where no two
        trials differ.
    n_trials
        How many were compared.
    """

    shares: dict[str, float]
    n_trials: int


def importances(slots: Sequence[Slot]) -> Importances:
    """How much of the differences between a search's trials each parameter explains.

    Functional ANOVA of a random forest (Hutter, Hoos & Leyton-Brown 2014, PMLR 32, 754-762) over
    the parameters that all trials have: of those of one variant of a union too few trials tell.

    Where trials were given up, all are compared by their score after the first fold. Those that
    were carried to the end are a selection of the good ones, in which what makes a bad trial no
    longer shows.
    """
    trials = _comparable([slot.trial for slot in slots])
    if len({trial.value for trial in trials}) < FEWEST:
        return Importances({}, len(trials))
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return Importances({name: float(value) for name, value in found.items()}, len(trials))


def _comparable(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that can be compared, each with one value."""
    if all(trial.state != TrialState.PRUNED for trial in trials):
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        return [_with_value(trial, trial.values[0]) for trial in complete]
    scored = [trial for trial in trials if trial.state in {TrialState.COMPLETE, TrialState.PRUNED}]
    return [_with_value(trial, trial.intermediate_values[0]) for trial in scored]


def _with_value(trial: FrozenTrial, value: float) -> FrozenTrial:
    return create_trial(params=trial.params, distributions=trial.distributions, value=value)
