"""params.yaml as typed, frozen values. An unknown or missing key or a wrong type is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sgseg.errors import InputError, Problem

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]
# What every random generator in use accepts as a seed.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _without_repeats(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("no number may occur twice")
    return values


def _one_or_eight(value: int) -> int:
    if value not in {1, 8}:
        raise ValueError("input should be 1 or 8")
    return value


class Section(BaseModel):
    """A part of params.yaml. `3` counts as 3.0, and nothing else is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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


class Validate(Section):
    on_failure: Literal["stop", "quarantine"]
    max_foreground: Fraction
    max_saturated: Fraction
    require_foreground: bool


class Split(Section):
    seed: Seed
    test_fraction: Annotated[float, Field(ge=0, lt=1)]
    folds: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=2), AfterValidator(_without_repeats)
    ]
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]


class Preprocess(Section):
    normalise: Literal["minmax", "percentile", "zscore", "background"]
    target_pixel_size_um: Positive | None
    resize: Annotated[list[Count], Field(min_length=2, max_length=2)] | None


class Network(Section):
    architecture: Literal["unet"]
    width: Count
    depth: Annotated[int, Field(ge=1, le=7)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    normalisation: Literal["none", "batch", "group"]


class Augment(Section):
    flip: bool
    rotate90: bool
    rotation: NotNegative
    zoom: Annotated[float, Field(ge=0, lt=1)]
    elastic: NotNegative
    brightness: NotNegative
    contrast: Annotated[float, Field(ge=0, lt=1)]
    gamma: Annotated[float, Field(ge=0, lt=1)]
    blur: NotNegative
    noise: NotNegative


class Train(Section):
    seed: Seed
    epochs: Count
    batch_size: Count
    patch_size: Annotated[int, Field(ge=16)]
    coverage: Positive
    foreground_share: Fraction
    loss: Literal["bce", "bce_dice"]
    optimizer: Literal["adam"]
    learning_rate: Positive
    schedule: Literal["constant", "cosine", "one_cycle"]
    monitor: Literal["val_object_f1", "val_loss"]
    patience: Count
    augment: Augment


class Predict(Section):
    # Not Literal[1, 8], for which True is 1.
    orientations: Annotated[int, AfterValidator(_one_or_eight)]


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
    predict: Predict
    evaluate: Evaluate
    tracking: Tracking


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check a parameter file.

    Raises
    ------
    InputError
        The file is missing or no YAML, or a key is unknown, missing, of the wrong type or out of
        range; all of them are named.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            Problem(str(path), "no such file", remedy="Run from the project's root.")
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(Problem(str(path), f"not YAML: {' '.join(str(error).split())}")) from None
    if not isinstance(content, dict):
        raise InputError(Problem(str(path), "empty or no mapping", "sections such as `train:`"))
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(*(_problem(path, item) for item in error.errors())) from None


def _problem(path: Path, item: Any) -> Problem:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return Problem(f"{path}: {key}", "unknown key", remedy="Check its spelling, or remove it.")
    if item["type"] == "missing":
        return Problem(f"{path}: {key}", "missing")
    if item["type"] == "model_type":
        return Problem(f"{path}: {key}", f"got {item['input']!r}", "a section with keys below it")
    message = item["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    remedy = ""
    if item["type"] in {"float_type", "int_type"} and _is_number(item["input"]):
        # To YAML 1.1 the exponent of `3e-3` is text.
        remedy = "Write it without quotes, and with a dot before an exponent: 3.0e-3."
    return Problem(f"{path}: {key}", f"got {item['input']!r}; {message}", remedy=remedy)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return isinstance(value, str)
