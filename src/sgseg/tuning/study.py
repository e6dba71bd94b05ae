"""The study of a search in Optuna: begun or continued, with trials given back and repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from sgseg.tuning import ledger
from sgseg.tuning.job import Job
from sgseg.tuning.sampler import MedianOverFolds, NumberedTPE
from sgseg.tuning.space import Space, as_suggested, start_values, suggest
from sgseg.tuning.storage import open_storage


def open_study(job: Job, url: str | None = None) -> optuna.Study:
    """The study of a search; one that is new begins with a trial of the start values.

    Parameters
    ----------
    job
        The search.
    url
        Address of a database; None for the journal in the search's folder.

    Raises
    ------
    InputError
        The database cannot be used.
    """
    tune = job.params.tune
    study = optuna.create_study(
        study_name=job.study_name,
        storage=open_storage(job.folder, url),
        directions=["maximize"] if tune.cost is None else ["maximize", "minimize"],
        sampler=NumberedTPE(seed=tune.seed, startup_trials=tune.startup_trials),
        pruner=_pruner(job),
        load_if_exists=True,
    )
    trials = study.get_trials(deepcopy=False)
    if not any(trial.user_attrs.get(ledger.TOKEN) == ledger.START for trial in trials):
        start = as_suggested(start_values(job.space), job.space)
        study.enqueue_trial(start, user_attrs={ledger.TOKEN: ledger.START})
    return study


def _pruner(job: Job) -> BasePruner:
    pruner = job.params.tune.pruner
    # Optuna has no pruning for several objectives.
    if pruner.name == "none" or job.params.tune.cost is not None:
        return NopPruner()
    return MedianOverFolds(pruner.startup_trials)


def all_slots(study: optuna.Study) -> list[ledger.Slot]:
    """The study's trials, by slot."""
    return ledger.slots(study.get_trials(deepcopy=False))


def write_attributes(study: optuna.Study, number: int, attributes: Mapping[str, Any]) -> None:
    """Write into a trial, whosever it is.

    Raises
    ------
    UpdateFinishedTrialError
        It has ended.
    """
    storage = study._storage
    trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    for name, value in attributes.items():
        storage.set_trial_user_attr(trial_id, name, value)


def finish(
    study: optuna.Study,
    number: int,
    state: TrialState,
    attributes: Mapping[str, Any],
    values: list[float] | None = None,
) -> bool:
    """End a running trial, whosever it is; False if it had ended already.

    Of several workers that do so at once one succeeds. A trial that is given up keeps the last
    score reported as its value.
    """
    try:
        write_attributes(study, number, attributes)
        study.tell(number, values, state)
    except UpdateFinishedTrialError:
        return False
    except ValueError:  # as `tell` says it of a trial that has ended
        trials = study.get_trials(deepcopy=False)
        if any(trial.number == number and trial.state.is_finished() for trial in trials):
            return False
        raise
    return True


def repeat_lost(study: optuna.Study, space: Space, budget: int) -> None:
    """Enqueue each lost trial again, with the parameters that it had.

    Of a trial that was lost before it had them all nothing was trained. Its repetition draws anew,
    as the sampler would have gone on for it: with some of them given, others would be drawn.
    """
    for slot in all_slots(study)[:budget]:
        if slot.state == "lost":
            lost = slot.trial
            given = lost.system_attrs.get("fixed_params", {})
            study.enqueue_trial(
                lost.params if _has_all(lost, space) else given,
                user_attrs={
                    ledger.REPEATS: lost.number,
                    ledger.TOKEN: ledger.token_of_repeat(lost.number),
                },
            )


def _has_all(trial: FrozenTrial, space: Space) -> bool:
    try:
        suggest(FixedTrial(trial.params), space)
    except ValueError:  # one is missing
        return False
    return True
