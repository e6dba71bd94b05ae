"""How much each parameter mattered in a search."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from sgseg.tuning.ledger import Slot

FEWEST = 2
"""Trials without which nothing can be said."""
LEADERS = 5
SHARES = (0.1, 0.5)


@dataclass(frozen=True)
class Importances:
    """How much each parameter mattered.

    Parameters
    ----------
    shares
        Of each parameter, by Optuna's name, in [0, 1]; the largest first. Empty for fewer than two
        trials.
    n_trials
        How many were compared.
    """

    shares: dict[str, float]
    n_trials: int


def importances(slots: Sequence[Slot]) -> Importances:
    """What tells the leading trials of a search from the others.

    PED-ANOVA (Watanabe, Bansal & Hutter 2023, arXiv:2304.10255), which also judges parameters that
    only some trials have. The leading trials are the best tenth, but at least five, of few trials
    the better half: of fewer leaders it sees mostly chance.

    Where trials were given up, all are compared by their score after the first fold. Those that
    were carried to the end are a selection of the good ones, in which what makes a bad trial no
    longer shows.
    """
    trials = _comparable([slot.trial for slot in slots])
    if len(trials) < FEWEST:
        return Importances({}, len(trials))
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    share = float(np.clip(LEADERS / len(trials), *SHARES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few trials, which the report says in its own words
        evaluator = PedAnovaImportanceEvaluator(target_quantile=share)
        found = get_param_importances(study, evaluator=evaluator)
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
