"""Which recipe a search ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgseg.errors import InputError, Problem
from sgseg.tuning.record import Trial


@dataclass(frozen=True)
class Decision:
    """The recipe that a search ends with, and why.

    Parameters
    ----------
    chosen
        Whose recipe is taken.
    best
        The complete trial of the highest score; of equal ones the first.
    start
        The trial of the start values, if it is complete.
    min_gain
        By which a trial must exceed the start to replace it.
    """

    chosen: Trial
    best: Trial
    start: Trial | None
    min_gain: float

    @property
    def gain(self) -> float | None:
        """Of the best trial over the start; None where that has no score."""
        return None if self.start is None else self.best.score - self.start.score

    @property
    def reason(self) -> str:
        """In a sentence or two."""
        best = f"Trial {self.best.number} reached an object F1 of {self.best.score:.3f}"
        if self.start is None or self.gain is None:
            return f"{best}; the recipe at the start values did not come to an end."
        if self.best is self.start:
            return f"No trial did better than the start values ({self.start.score:.3f}); they stay."
        if self.chosen is self.start:
            return (
                f"{best}, {self.gain:.3f} more than the start values: less than `tune.min_gain` "
                f"({self.min_gain:g}), so these stay."
            )
        return f"{best}, {self.gain:.3f} more than the start values, and replaces them."


def decide(trials: Sequence[Trial], min_gain: float) -> Decision:
    """Take the best complete trial, unless it gains too little over the start values.

    The best of many trials is partly the luckiest: small gains do not hold on other images.

    Raises
    ------
    InputError
        No trial is complete.
    """
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    if not complete:
        failed = [trial for trial in trials if trial.state == "FAIL"]
        said = f"; the first said: {failed[0].error}" if failed else ""
        raise InputError(Problem("tune", f"none of {len(trials)} trials is complete{said}"))
    best = max(complete, key=lambda trial: (trial.score, -trial.root))
    start = next((trial for trial in complete if trial.is_start), None)
    stays = start is not None and best.score - start.score < min_gain
    return Decision(start if stays and start is not None else best, best, start, min_gain)
