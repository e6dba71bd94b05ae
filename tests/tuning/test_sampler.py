"""How the next trial is drawn, and when one is given up."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from sgseg.tuning.sampler import MedianOverFolds, NumberedTPE, below_median

DISTRIBUTIONS = {
    "x": optuna.distributions.FloatDistribution(-5.0, 5.0),
    "y": optuna.distributions.CategoricalDistribution(["a", "b"]),
}


def sampler(seed: int = 7, startup_trials: int = 3) -> NumberedTPE:
    return NumberedTPE(seed=seed, startup_trials=startup_trials)


def search(study: optuna.Study, n: int) -> list[dict[str, Any]]:
    drawn = []
    for _ in range(n):
        trial = study.ask(DISTRIBUTIONS)
        drawn.append(dict(trial.params))
        study.tell(trial, -((trial.params["x"] - 2) ** 2) - (trial.params["y"] == "a"))
    return drawn


def new_study(seed: int = 7) -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=sampler(seed))


def test_the_same_seed_draws_the_same_trials() -> None:
    assert search(new_study(), 12) == search(new_study(), 12)
    assert search(new_study(), 12) != search(new_study(seed=8), 12)


def test_a_search_that_is_interrupted_draws_the_same_trials() -> None:
    # With Optuna's own seeded sampler the 5th would be the 1st again.
    whole = search(new_study(), 12)
    study = new_study()
    begun = search(study, 5)
    study.sampler = sampler()
    assert begun + search(study, 7) == whole
    assert len({trial["x"] for trial in whole}) == 12


def test_it_learns() -> None:
    drawn = search(new_study(), 40)
    assert sum(abs(trial["x"] - 2) < 1 for trial in drawn[20:]) > 10
    # At random a fifth of the range from -5 to 5 would be 4 of 20.
    assert sum(abs(trial["x"] - 2) < 1 for trial in drawn[:3]) <= 2


def test_what_tpe_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    class Spy(optuna.samplers.TPESampler):
        def __init__(self, **options: Any) -> None:
            told.update(options)
            super().__init__(**options)

    monkeypatch.setattr("sgseg.tuning.sampler.TPESampler", Spy)
    sampler(startup_trials=5)
    assert told.pop("seed") >= 0
    assert told == {"multivariate": True, "constant_liar": True, "n_startup_trials": 5}


@pytest.mark.parametrize(
    ("value", "others", "startup", "expected"),
    [
        (0.5, [], 1, False),
        (0.5, [0.6], 1, True),
        (0.5, [0.6], 2, False),  # too few to say
        (0.5, [0.4, 0.6], 2, False),  # the median is 0.5
        (0.49, [0.4, 0.6], 2, True),
        (0.5, [0.4, 0.45, 0.9], 3, False),  # median 0.45
        (0.5, [0.4, 0.55, 0.9], 3, True),  # median 0.55
    ],
)
def test_below_the_median(value: float, others: list[float], startup: int, expected: bool) -> None:
    assert below_median(value, [{0: other} for other in others], 0, startup) is expected


def test_trials_are_compared_at_the_same_fold() -> None:
    others = [{0: 0.9}, {0: 0.9, 1: 0.3}]
    assert not below_median(0.5, others, 1, 1)
    assert below_median(0.5, others, 0, 1)


def run(study: optuna.Study, scores: list[float]) -> tuple[str, int]:
    """How a trial with these scores ends, and after how many folds."""
    trial = study.ask()
    for step, value in enumerate(scores):
        trial.report(value, step)
        if step + 1 < len(scores) and trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return "pruned", step + 1
    study.tell(trial, scores[-1])
    return "complete", len(scores)


def test_an_easy_first_fold_saves_no_trial() -> None:
    study = optuna.create_study(direction="maximize", pruner=MedianOverFolds(2))
    assert run(study, [0.7, 0.7, 0.7]) == ("complete", 3)
    assert run(study, [0.6, 0.6, 0.6]) == ("complete", 3)
    # Best so far at the first fold (0.9), below the median 0.65 at the second.
    assert run(study, [0.9, 0.5, 0.9]) == ("pruned", 2)
    assert run(study, [0.5, 0.9, 0.9]) == ("pruned", 1)
    # Those given up count: at the first fold 0.65 is the median of 0.7, 0.6, 0.9 and 0.5, at the
    # second 0.6 that of 0.7, 0.6 and 0.5.
    assert run(study, [0.66, 0.61, 0.61]) == ("complete", 3)
