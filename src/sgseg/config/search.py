"""Section `tune`: what a search may change, and how much of it is tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from sgseg.config.values import Count, NotNegative, Section, Seed


class Bounds(Section):
    """Numbers between `low` and `high`; whole ones where both are whole."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None


class Range(Bounds):
    """Bounds, and where a search between them starts."""

    start: int | float


class Choice(Section):
    """One of several values."""

    start: str | bool | int | float
    choices: Annotated[list[str | bool | int | float], Field(min_length=1)]


class Variants(Section):
    """One of several named variants, each with the ranges of its own parameters."""

    start: dict[str, Any]
    choices: Annotated[dict[str, dict[str, Bounds | int | float]], Field(min_length=1)]


def _kind_of_space(value: Any) -> str:
    choices = value.get("choices") if isinstance(value, Mapping) else getattr(value, "choices", ())
    if isinstance(choices, Mapping):
        return "variants"
    return "choice" if choices else "range"


Space = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[Choice, Tag("choice")]
    | Annotated[Variants, Tag("variants")],
    Discriminator(_kind_of_space),
]
# What a search may change: sections, of whose leaves each is written out or in the space.
SEARCHABLE = ("network", "preprocess", "train")
SpaceKey = Annotated[str, Field(pattern=rf"^({'|'.join(SEARCHABLE)})(\.[a-z0-9_]+)+$")]


class Budget(Section):
    trials: Annotated[int, Field(ge=0)]
    folds: list[Annotated[int, Field(ge=0)]] | Literal["all"]
    epochs: Count | None
    search: list[SpaceKey] | Literal["all"]


class Budgets(Section):
    small: Budget
    full: Budget


class NoPruner(Section):
    name: Literal["none"]


class MedianPruner(Section):
    name: Literal["median"]
    startup_trials: Count


class Tune(Section):
    budget: Literal["none", "small", "full"]
    budgets: Budgets
    seed: Seed
    startup_trials: Count
    min_gain: NotNegative
    cost: Literal["multiply_adds", "milliseconds"] | None
    pruner: Annotated[NoPruner | MedianPruner, Field(discriminator="name")]
    space: dict[SpaceKey, Space]
