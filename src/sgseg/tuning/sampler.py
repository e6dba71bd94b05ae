"""How the next trial is drawn, and when one is given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sgseg.tuning import ledger


class NumberedTPE(BaseSampler):
    """Tree-structured Parzen estimator whose random numbers follow from the seed and the slot.

    A sampler that is seeded once starts its random numbers anew with every process: a search that
    is continued, or a second worker, would draw the same trials again. Slots (see `ledger`) rather
    than trials are counted, so that a trial that was lost changes none of those that follow, and
    draws what it would have drawn when it is repeated.

    Bergstra et al. 2011, NIPS 24; multivariate: Falkner et al. 2018, arXiv:1807.01774.

    Parameters
    ----------
    seed
        Of the search, at least 0.
    startup_trials
        Drawn at random, before there is enough to model.
    """

    def __init__(self, *, seed: int, startup_trials: int) -> None:
        self._seed = seed
        self._startup_trials = startup_trials
        self._tpe = self._sampler_of(0)

    def _sampler_of(self, place: int) -> TPESampler:
        return TPESampler(
            multivariate=True,  # parameters are modelled together
            constant_liar=True,  # trials that run elsewhere count as bad: no two draw alike
            n_startup_trials=self._startup_trials,
            seed=int(np.random.SeedSequence([self._seed, place]).generate_state(1)[0]),
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Called by Optuna as a trial begins."""
        slots = ledger.slots(study.get_trials(deepcopy=False))
        numbers = {again.number: slot.root for slot in slots for again in slot.attempts}
        root = numbers.get(trial.number, trial.number)
        self._tpe = self._sampler_of(sum(slot.root < root for slot in slots))

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What is drawn together: parameters that every trial so far has had."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw those."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one of the others, such as a parameter of a variant."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)


class MedianOverFolds(BasePruner):
    """Gives up a trial whose running score is below the median of the trials that got as far.

    The median stopping rule of Golovin et al. 2017, doi:10.1145/3097983.3098043, with two changes.
    Trials that were given up count as well: among those that were carried to their end alone, soon
    only the very best would be left to compare with. And it is the last score that counts, not a
    trial's best so far, as in Optuna's own MedianPruner: after one easy fold that never gives up.

    Parameters
    ----------
    startup_trials
        That must have got as far before one is given up, at least 1.
    """

    def __init__(self, startup_trials: int) -> None:
        self._startup_trials = startup_trials

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to give up, after the last score reported."""
        step = trial.last_step
        if step is None:
            return False
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        others = [other.intermediate_values for other in ended]
        return below_median(trial.intermediate_values[step], others, step, self._startup_trials)


def below_median(
    value: float, others: Sequence[Mapping[int, float]], step: int, startup: int
) -> bool:
    """Whether `value` is below the median of what the others, `startup` or more, had at `step`."""
    known = [values[step] for values in others if step in values]
    return len(known) >= startup and value < float(np.median(known))
