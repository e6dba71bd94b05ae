"""Which trials count, whatever workers do at the same moment and wherever they die."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import optuna
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from sgseg.config import Range
from sgseg.tuning import ledger
from sgseg.tuning.ledger import LOST, REPEATS, START, SURPLUS, TOKEN, slots, token_of_repeat
from sgseg.tuning.space import suggest
from sgseg.tuning.study import all_slots, finish, repeat_lost

optuna.logging.set_verbosity(optuna.logging.WARNING)


def trial(number: int, state: str, **attributes: Any) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState[state],
        value=None,
        values=[0.5] if state == "COMPLETE" else None,
        datetime_start=datetime(2026, 1, 1),
        datetime_complete=datetime(2026, 1, 1),
        params={},
        distributions={},
        user_attrs=attributes,
        system_attrs={},
        intermediate_values={},
    )


def again(number: int, before: int, state: str, **attributes: Any) -> FrozenTrial:
    tokens = {REPEATS: before, TOKEN: token_of_repeat(before)}
    return trial(number, state, **tokens, **attributes)


def summary(trials: list[FrozenTrial]) -> list[tuple[int, int, str]]:
    """Root, number of the attempt that counts, and state of each slot."""
    return [(slot.root, slot.trial.number, slot.state) for slot in slots(trials)]


def test_a_trial_is_a_slot() -> None:
    states = ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]
    assert summary([trial(number, state) for number, state in enumerate(states)]) == [
        (0, 0, "done"),
        (1, 1, "done"),
        (2, 2, "done"),
        (3, 3, "running"),
        (4, 4, "waiting"),
    ]


def test_who_repeats_a_lost_trial_takes_its_slot() -> None:
    trials = [trial(0, "FAIL", **{LOST: "died"}), trial(1, "RUNNING")]
    assert summary(trials) == [(0, 0, "lost"), (1, 1, "running")]
    trials.append(again(2, 0, "WAITING"))
    assert summary(trials) == [(0, 2, "waiting"), (1, 1, "running")]
    trials[2] = again(2, 0, "FAIL", **{LOST: "stopped"})
    trials.append(again(3, 2, "COMPLETE"))
    assert summary(trials) == [(0, 3, "done"), (1, 1, "running")]


def test_of_two_repetitions_the_first_counts() -> None:
    trials = [
        trial(0, "FAIL", **{LOST: "died"}),
        again(1, 0, "RUNNING"),
        again(2, 0, "COMPLETE"),
    ]
    assert summary(trials) == [(0, 1, "running")]


def test_of_two_first_trials_the_first_counts() -> None:
    trials = [trial(0, "RUNNING", **{TOKEN: START}), trial(1, "WAITING", **{TOKEN: START})]
    assert summary(trials) == [(0, 0, "running")]


def test_a_surplus_trial_does_not_count() -> None:
    assert summary([trial(0, "COMPLETE"), trial(1, "FAIL", **{SURPLUS: True})]) == [(0, 0, "done")]


def test_a_trial_that_killed_three_workers_is_done() -> None:
    trials = [trial(0, "FAIL", **{LOST: "died"})]
    for number in (1, 2):
        trials.append(again(number, number - 1, "FAIL", **{LOST: "died"}))
        assert slots(trials)[0].deaths == number + 1
        assert slots(trials)[0].state == ("lost" if number == 1 else "done")
    # Being stopped is not a trial's fault.
    trials = [trial(0, "FAIL", **{LOST: "stopped"})]
    for number in range(1, 5):
        trials.append(again(number, number - 1, "FAIL", **{LOST: "stopped"}))
    assert slots(trials)[0].state == "lost"


def test_lost_is_only_what_failed() -> None:
    # Taken for dead, but it came to its end first.
    assert summary([trial(0, "COMPLETE", **{LOST: "died"})]) == [(0, 0, "done")]


def test_work_and_end() -> None:
    done = slots([trial(0, "COMPLETE"), trial(1, "PRUNED")])
    assert ledger.is_finished(done, 2)
    assert not ledger.has_work(done, 2)
    assert ledger.has_work(done, 3)
    assert not ledger.is_finished(done, 3)
    waiting = slots([trial(0, "COMPLETE"), trial(1, "WAITING")])
    assert ledger.has_work(waiting, 2)
    # One that waits beyond the budget is no work.
    assert not ledger.has_work(waiting, 1)
    assert ledger.is_finished(waiting, 1)
    running = slots([trial(0, "COMPLETE"), trial(1, "RUNNING")])
    assert not ledger.has_work(running, 2)
    assert not ledger.is_finished(running, 2)


SPACE = {"x": Range(start=-1.0, low=-1.0, high=1.0)}


class Workers:
    """Workers in steps that may be taken in any order: what a worker knows may be old."""

    def __init__(self, budget: int, n: int) -> None:
        self.budget = budget
        self.study = optuna.create_study()
        for _ in range(2):  # two that began the study at the same moment
            self.study.enqueue_trial({"x": -1.0}, user_attrs={TOKEN: START})
        self.has_work = [False] * n
        self.asked: list[optuna.Trial | None] = [None] * n
        self.running: list[optuna.Trial | None] = [None] * n

    def step(self, worker: int, action: str) -> None:
        trial = self.running[worker] or self.asked[worker]
        if action == "die" and trial is not None:
            # Found by another.
            finish(self.study, trial.number, TrialState.FAIL, {LOST: "stopped"})
            self.asked[worker] = self.running[worker] = None
        elif action == "repeat":
            repeat_lost(self.study, SPACE, self.budget)
        elif self.running[worker] is not None:
            finish(self.study, self.running[worker].number, TrialState.COMPLETE, {}, [0.0])
            self.running[worker] = None
        elif (asked := self.asked[worker]) is not None:
            self.asked[worker] = None
            if any(slot.trial.number == asked.number for slot in self._slots()):
                suggest(asked, SPACE)
                self.running[worker] = asked
            else:
                finish(self.study, asked.number, TrialState.FAIL, {SURPLUS: True})
        elif self.has_work[worker]:
            self.has_work[worker] = False
            self.asked[worker] = self.study.ask()
        else:
            self.has_work[worker] = ledger.has_work(all_slots(self.study), self.budget)

    def _slots(self) -> list[ledger.Slot]:
        return all_slots(self.study)[: self.budget]


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["go", "go", "go", "die", "repeat"])), max_size=60
)


@given(steps=STEPS, budget=st.integers(1, 4))
def test_any_number_of_workers_does_exactly_what_was_asked_for(
    steps: list[tuple[int, str]], budget: int
) -> None:
    workers = Workers(budget, 3)
    for worker, action in steps:
        workers.step(worker, action)
    for turn in range(40 * budget):  # what is left, without further deaths
        workers.step(turn % 3, "repeat" if turn % 5 == 0 else "go")
    found = all_slots(workers.study)[:budget]
    assert ledger.is_finished(found, budget)
    assert len(found) == budget
    assert all(slot.trial.state == TrialState.COMPLETE for slot in found)
    # The trial of the start values was done once, and no parameters were lost or done twice.
    starts = [slot for slot in found if slot.trial.params == {"x": -1.0}]
    assert len(starts) == 1
    for slot in found:
        drawn = [trial.params for trial in slot.attempts if trial.params]
        assert all(params == drawn[0] for params in drawn)
    complete = [t for t in workers.study.trials if t.state == TrialState.COMPLETE]
    assert len(complete) == budget
