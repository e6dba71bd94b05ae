"""Sections `network` and `train`: what is trained, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sgseg.config.values import Count, Fraction, NotNegative, Positive, Section, Seed, Share


class Network(Section):
    architecture: Literal["unet", "res_unet", "attention_unet", "unet_plus_plus", "linknet"]
    width: Count
    depth: Annotated[int, Field(ge=1, le=7)]
    dropout: Share
    normalisation: Literal["none", "batch", "group"]
    deep_supervision: bool

    @model_validator(mode="after")
    def _only_nested_skips_have_heads(self) -> Network:
        if self.deep_supervision and self.architecture != "unet_plus_plus":
            raise ValueError("only unet_plus_plus has outputs at several depths to supervise")
        return self


class WeightedLoss(Section):
    name: Literal["bce", "bce_dice"]
    positive_weight: Positive


class PlainLoss(Section):
    name: Literal["dice", "lovasz_hinge"]


class FocalLoss(Section):
    name: Literal["focal"]
    gamma: NotNegative
    alpha: Annotated[float, Field(gt=0, lt=1)]


class TverskyLoss(Section):
    name: Literal["tversky"]
    alpha: Positive
    beta: Positive


class FocalTverskyLoss(Section):
    name: Literal["focal_tversky"]
    alpha: Positive
    beta: Positive
    gamma: Positive


class BoundaryLoss(Section):
    name: Literal["boundary"]
    weight: NotNegative
    reach_px: Count


Loss = Annotated[
    WeightedLoss | PlainLoss | FocalLoss | TverskyLoss | FocalTverskyLoss | BoundaryLoss,
    Field(discriminator="name"),
]


class AdaptiveOptimizer(Section):
    name: Literal["adam", "adamw", "nadam", "lion"]
    weight_decay: NotNegative


class MomentumOptimizer(Section):
    name: Literal["sgd", "rmsprop"]
    weight_decay: NotNegative
    momentum: Share


Optimizer = Annotated[AdaptiveOptimizer | MomentumOptimizer, Field(discriminator="name")]


class PlainSchedule(Section):
    name: Literal["constant", "one_cycle"]


class CosineSchedule(Section):
    name: Literal["cosine"]
    warmup: Share


class PlateauSchedule(Section):
    name: Literal["plateau"]
    factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Count


Schedule = Annotated[PlainSchedule | CosineSchedule | PlateauSchedule, Field(discriminator="name")]


class Augment(Section):
    strength: NotNegative
    flip: bool
    rotate90: bool
    rotation: NotNegative
    zoom: Share
    elastic: NotNegative
    brightness: NotNegative
    contrast: Share
    gamma: Share
    blur: NotNegative
    noise: NotNegative


class Train(Section):
    seed: Seed
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"]
    epochs: Count
    batch_size: Count
    patch_size: Annotated[int, Field(ge=16)]
    coverage: Positive
    foreground_share: Fraction
    init: Annotated[str, Field(pattern=r"\.keras$")] | None
    soft_labels: bool
    loss: Loss
    optimizer: Optimizer
    learning_rate: Positive
    schedule: Schedule
    weights_average: Share
    monitor: Literal["val_object_f1", "val_loss", "last"]
    patience: Count
    augment: Augment
