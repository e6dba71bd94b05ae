"""All sections of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sgseg.config.experiments import Ablations, LearningCurve, Pretrain
from sgseg.config.promote import Promote
from sgseg.config.quantify import Quantify
from sgseg.config.recipe import Network, Train
from sgseg.config.search import Tune
from sgseg.config.values import Count, Fraction, NotNegative, Positive, Section, Seed, Share


def _without_repeats(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("no number may occur twice")
    return values


def _one_or_eight(value: int) -> int:
    if value not in {1, 8}:
        raise ValueError("input should be 1 or 8")
    return value


class Data(Section):
    source: Annotated[str, Field(min_length=1)]


class Condition(Section):
    positive_cells: Fraction
    granules_per_cell: Annotated[float, Field(ge=1)]


# It becomes part of file names.
ConditionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Simulate(Section):
    seed: Seed
    fields_per_replicate: Count
    replicates: Count
    size: Annotated[int, Field(ge=64)]
    pixel_size_um: Annotated[float, Field(gt=0, le=1)]
    conditions: Annotated[dict[ConditionName, Condition], Field(min_length=1)]
    granule_diameter_um: Positive
    granule_diameter_spread: Annotated[float, Field(ge=0, le=1)]
    photons: Positive
    distractors: NotNegative
    visible_contrast: NotNegative


class Ingest(Section):
    copy_correlation: Annotated[float, Field(gt=0.5, le=1)]
    near_correlation: Annotated[float, Field(gt=0.5, le=1)]
    second_channel: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] | None


class Validate(Section):
    on_failure: Literal["stop", "quarantine"]
    max_foreground: Fraction
    max_saturated: Fraction
    require_foreground: bool


class Split(Section):
    seed: Seed
    test_fraction: Share
    folds: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=2), AfterValidator(_without_repeats)
    ]
    validation_fraction: Share


class Preprocess(Section):
    normalise: Literal["minmax", "percentile", "zscore", "background"]
    target_pixel_size_um: Positive | None
    resize: Annotated[list[Count], Field(min_length=2, max_length=2)] | None


class Predict(Section):
    # Not Literal[1, 8], for which True is 1.
    orientations: Annotated[int, AfterValidator(_one_or_eight)]
    members: Literal["all", "one"]
    precision: Literal["float32", "int8"]


class Baseline(Section):
    sigmas_small: Annotated[list[Positive], Field(min_length=1)]
    sigmas_large: Annotated[list[Positive], Field(min_length=1)]
    deviations: Annotated[list[Positive], Field(min_length=1)]


class Evaluate(Section):
    object_iou: Annotated[float, Field(gt=0, le=1)]
    thresholds: Annotated[list[Fraction], Field(min_length=1)]
    min_areas_px: Annotated[list[Count], Field(min_length=1)]
    baseline: Baseline
    bootstrap: Count
    seed: Seed
    gallery: Count


class Tracking(Section):
    experiment: Annotated[str, Field(min_length=1)]


class Params(Section):
    """All of params.yaml."""

    data: Data
    simulate: Simulate
    ingest: Ingest
    validate_: Annotated[Validate, Field(alias="validate")]
    split: Split
    preprocess: Preprocess
    network: Network
    train: Train
    tune: Tune
    predict: Predict
    evaluate: Evaluate
    promote: Promote
    quantify: Quantify
    pretrain: Pretrain
    learning_curve: LearningCurve
    ablations: Ablations
    tracking: Tracking

    @model_validator(mode="after")
    def _pretraining_sees_other_fields(self) -> Params:
        if self.pretrain.seed == self.simulate.seed:
            raise ValueError(
                "pretrain.seed and simulate.seed must differ: fields would be the same"
            )
        return self
