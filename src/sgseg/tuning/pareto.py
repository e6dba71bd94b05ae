"""The trials of which none is both better and cheaper."""

from __future__ import annotations

from collections.abc import Iterable

from sgseg.tuning.record import Trial


def front(trials: Iterable[Trial]) -> list[Trial]:
    """The Pareto front, cheapest first: each next trial costs more and scores more.

    Of trials that cost and score the same the first counts. Trials without value or cost are left
    out.
    """
    priced = [trial for trial in trials if trial.cost is not None and trial.value is not None]
    best: list[Trial] = []
    for trial in sorted(priced, key=lambda trial: (trial.price, -trial.score, trial.root)):
        if not best or trial.score > best[-1].score:
            best.append(trial)
    return best
