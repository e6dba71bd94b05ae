"""The parameters of a search as axes of figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgseg.config import Bounds, Choice, Range
from sgseg.tuning.record import Trial
from sgseg.tuning.space import Space, as_suggested, is_whole, shown

MOST_TICKS = 6


@dataclass(frozen=True)
class Axis:
    """One parameter, named as in Optuna.

    Parameters
    ----------
    choices
        In order; None for a number.
    low, high, log, is_whole
        Of a number.
    is_conditional
        Whether only some trials have it.
    """

    name: str
    choices: tuple[Any, ...] | None = None
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    is_whole: bool = False
    is_conditional: bool = False

    def position(self, value: Any) -> float:
        """Where a value lies: 0 to 1 for a number, its rank for a choice."""
        if self.choices is not None:
            return float(self.choices.index(value))
        low, high, at = self.low, self.high, float(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.5

    def fraction(self, value: Any) -> float:
        """Where a value lies between the first and the last, 0 to 1."""
        if self.choices is None:
            return self.position(value)
        return self.position(value) / (len(self.choices) - 1) if len(self.choices) > 1 else 0.5

    def landmarks(self) -> list[float]:
        """Numbers to label: all of a few whole ones, or both ends and the middle."""
        low, high = self.low, self.high
        if self.is_whole and high - low < MOST_TICKS:
            return list(np.arange(low, high + 1))
        middle = math.sqrt(low * high) if self.log else (low + high) / 2
        return [low, middle, high] if high > low else [low]

    def limits(self) -> tuple[float, float]:
        """A little more than all numbers."""
        if self.log:
            return self.low / 1.1, self.high * 1.1
        margin = 0.04 * (self.high - self.low) or 1.0
        return self.low - margin, self.high + margin

    def ticks(self) -> list[tuple[float, str]]:
        """Fractions with their labels."""
        if self.choices is not None:
            return [(self.fraction(choice), shown(choice)) for choice in self.choices]
        return [(self.fraction(value), f"{value:.2g}") for value in self.landmarks()]


def axes_of(space: Space, trials: Sequence[Trial]) -> list[Axis]:
    """An axis for every parameter that some trial has."""
    used: set[str] = set()
    for trial in trials:
        used |= set(coordinates(trial, space))
    return [axis for axis in _axes(space) if axis.name in used]


def _axes(space: Space) -> Iterator[Axis]:
    for key, spec in space.items():
        if isinstance(spec, Choice):
            yield Axis(key, tuple(spec.choices))
        elif isinstance(spec, Range):
            yield _number(key, spec, is_conditional=False)
        else:
            yield Axis(f"{key}.name", tuple(spec.choices))
            for name, parts in spec.choices.items():
                for part, inner in parts.items():
                    if isinstance(inner, Bounds):
                        yield _number(f"{key}.{name}.{part}", inner, is_conditional=True)


def _number(name: str, bounds: Bounds, *, is_conditional: bool) -> Axis:
    return Axis(
        name,
        low=float(bounds.low),
        high=float(bounds.high),
        log=bounds.log,
        is_whole=is_whole(bounds),
        is_conditional=is_conditional,
    )


def coordinates(trial: Trial, space: Space) -> dict[str, Any]:
    """A trial's parameters by the names of their axes."""
    return as_suggested(trial.values, space) if trial.values else {}
