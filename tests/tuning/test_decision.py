"""Which recipe a search ends with."""

from __future__ import annotations

from typing import Any

import pytest

from sgseg.errors import InputError
from sgseg.tuning.decision import decide
from sgseg.tuning.pareto import front
from sgseg.tuning.record import Trial


def trial(number: int, value: float | None, state: Any = "COMPLETE", **other: Any) -> Trial:
    known = {"root": number, "is_start": number == 0, "started_ms": 0, "ended_ms": 0, "values": {}}
    return Trial(number=number, value=value, state=state, **(known | other))


@pytest.mark.parametrize(
    ("values", "min_gain", "chosen", "best"),
    [
        ([0.70, 0.75, 0.72], 0.01, 1, 1),
        ([0.70, 0.705, 0.69], 0.01, 0, 1),  # gains 0.005, less than 0.01
        ([0.70, 0.705, 0.69], 0.005, 1, 1),
        ([0.70, 0.705, 0.69], 0.0, 1, 1),
        ([0.70, 0.60], 0.0, 0, 0),
        ([0.70, 0.80, 0.80], 0.01, 1, 1),  # of equal ones the first
        ([0.70, 0.70], 0.0, 0, 0),
    ],
)
def test_the_best_trial_must_be_worth_it(
    values: list[float], min_gain: float, chosen: int, best: int
) -> None:
    decision = decide([trial(number, value) for number, value in enumerate(values)], min_gain)
    assert (decision.chosen.number, decision.best.number) == (chosen, best)


def test_only_complete_trials_are_compared() -> None:
    trials = [trial(0, 0.5), trial(1, 0.9, "PRUNED"), trial(2, None, "FAIL"), trial(3, 0.6)]
    assert decide(trials, 0.01).chosen.number == 3


def test_without_a_score_at_the_start_the_best_is_taken() -> None:
    decision = decide([trial(0, None, "FAIL"), trial(1, 0.1)], 0.5)
    assert decision.chosen.number == 1
    assert decision.gain is None
    assert "did not come to an end" in decision.reason


def test_a_repeated_start_is_still_the_start() -> None:
    again = trial(5, 0.7, root=0, is_start=True)
    assert decide([again, trial(1, 0.7)], 0.0).chosen is again


def test_nothing_to_choose_from() -> None:
    with pytest.raises(InputError, match=r"none of 2 trials is complete; the first said: NaN"):
        decide([trial(0, None, "FAIL", error="NaN"), trial(1, 0.5, "PRUNED")], 0.01)


def test_reasons() -> None:
    assert (
        "0.050 more than the start values, and replaces them"
        in decide([trial(0, 0.70), trial(1, 0.75)], 0.01).reason
    )
    assert "less than `tune.min_gain` (0.1)" in decide([trial(0, 0.70), trial(1, 0.75)], 0.1).reason
    assert "No trial did better" in decide([trial(0, 0.70), trial(1, 0.65)], 0.1).reason


def test_the_front_holds_what_is_neither_worse_nor_dearer() -> None:
    trials = [
        trial(0, 0.70, cost=4.0),
        trial(1, 0.60, cost=2.0),
        trial(2, 0.65, cost=4.0),  # as dear as 0, and worse
        trial(3, 0.60, cost=3.0),  # as good as 1, and dearer
        trial(4, 0.80, cost=9.0),
        trial(5, 0.70, cost=4.0),  # as 0, later
        trial(6, 0.90),  # no cost known
        trial(7, None, "FAIL", cost=1.0),
    ]
    assert [item.number for item in front(trials)] == [1, 0, 4]
    assert front([]) == []
