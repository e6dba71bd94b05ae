"""Sections of the stages that one asks for: `pretrain`, `learning_curve` and `ablations`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sgseg.config.values import Count, NotNegative, Positive, Section, Seed

# Name of the recipe in params.yaml, from which every other one is told apart.
OWN_RECIPE = "recipe"

# What differs between recipes: everything else they share, the data and how they are scored.
RecipeKey = Annotated[str, Field(pattern=r"^(network|predict|preprocess|train)(\.[a-z0-9_]+)+$")]


class Vary(Section):
    """Values of `simulate` of which each field gets one at random; none: as it is there."""

    pixel_size_um: list[Annotated[float, Field(gt=0, le=1)]]
    granule_diameter_um: list[Positive]
    photons: list[Positive]
    distractors: list[NotNegative]
    visible_contrast: list[NotNegative]


class Pretrain(Section):
    seed: Seed
    fields: Count
    validation_fields: Count
    size: Annotated[int, Field(ge=64)]
    vary: Vary
    epochs: Count
    learning_rate: Positive


class LearningCurve(Section):
    sizes: Annotated[list[Count | Literal["all"]], Field(min_length=1)]
    seed: Seed
    pretrained: Annotated[dict[RecipeKey, Any], Field(min_length=1)]
    workers: Count


class Row(Section):
    """A recipe: the one named `from`, with other values at dotted keys."""

    name: Annotated[str, Field(min_length=1)]
    values: Annotated[dict[RecipeKey, Any], Field(default_factory=dict)]
    from_: Annotated[str | None, Field(alias="from")] = None
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None


class Ablations(Section):
    workers: Count
    rows: list[Row]

    @model_validator(mode="after")
    def _names_are_known(self) -> Ablations:
        known = {OWN_RECIPE}
        for row in self.rows:
            if row.name in known:
                raise ValueError(f"a row named {row.name!r} is there already")
            if row.from_ is not None and row.from_ not in known:
                raise ValueError(f"row {row.name!r}: no row above is named {row.from_!r}")
            known.add(row.name)
        return self
