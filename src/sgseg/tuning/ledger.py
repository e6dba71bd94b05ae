"""Which trials of a study count: bookkeeping over what is in its storage, without any lock.

A search of N trials has N *slots*. A slot is usually one trial. Where the worker of a trial dies,
the trial is marked as lost and another with the same parameters takes its slot. Two workers may do
this at the same moment, or both ask for the last trial: what is needed to tell which trial counts
is in the trials themselves, and of equals the one with the lowest number does. So any number of
workers on any number of machines come to the same account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from optuna.trial import FrozenTrial, TrialState

# Attributes of a trial.
TOKEN = "token"  # nosec B105 # no password
"""Of trials with the same token only the first counts."""
REPEATS = "repeats"
"""Number of the lost trial whose slot this one takes."""
LOST = "lost"
"""Why its worker gave no answer: `died`, or `stopped` where it was asked to end."""
SURPLUS = "surplus"
"""Asked for when none was left."""

START = "start"
"""Token of the trial at the start values."""
MAX_DEATHS = 3
"""A trial during which so many workers died is at fault itself, and is not tried again."""

State = Literal["waiting", "running", "lost", "done"]
STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "done",
    TrialState.FAIL: "done",
}


@dataclass(frozen=True)
class Slot:
    """One of the trials that a search asks for: its attempts in order, of which the last counts."""

    attempts: tuple[FrozenTrial, ...]

    @property
    def root(self) -> int:
        """Number of the first attempt. It names the slot."""
        return int(self.attempts[0].number)

    @property
    def trial(self) -> FrozenTrial:
        """The attempt that counts."""
        return self.attempts[-1]

    @property
    def deaths(self) -> int:
        """How many workers died over it."""
        return sum(is_lost(trial) and trial.user_attrs[LOST] == "died" for trial in self.attempts)

    @property
    def state(self) -> State:
        """`lost` until there is another attempt."""
        if is_lost(self.trial) and self.deaths < MAX_DEATHS:
            return "lost"
        return STATES[self.trial.state]


def is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial ended because its worker did."""
    return trial.state == TrialState.FAIL and LOST in trial.user_attrs


def slots(trials: Sequence[FrozenTrial]) -> list[Slot]:
    """The slots of a study in the order of their first attempts.

    Parameters
    ----------
    trials
        All trials of the study.
    """
    tokens: set[str] = set()
    roots: dict[int, int] = {}
    attempts: dict[int, list[FrozenTrial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        token = trial.user_attrs.get(TOKEN)
        is_duplicate = token is not None and token in tokens
        if SURPLUS in trial.user_attrs or is_duplicate:
            continue
        if token is not None:
            tokens.add(token)
        before = trial.user_attrs.get(REPEATS)
        root = trial.number if before is None else roots[before]
        roots[trial.number] = root
        attempts.setdefault(root, []).append(trial)
    return [Slot(tuple(attempts[root])) for root in sorted(attempts)]


def has_work(all_slots: Sequence[Slot], budget: int) -> bool:
    """Whether a trial is waiting, or may be added."""
    return len(all_slots) < budget or any(slot.state == "waiting" for slot in all_slots[:budget])


def is_finished(all_slots: Sequence[Slot], budget: int) -> bool:
    """Whether as many trials as asked for are done."""
    return len(all_slots) >= budget and all(slot.state == "done" for slot in all_slots[:budget])


def token_of_repeat(number: int) -> str:
    """The token that the one repetition of a trial has."""
    return f"repeats {number}"
