"""Images of bright disks, and a recipe that trains on them in seconds."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from sgseg.training.augment import Augmentation
from sgseg.training.batches import Example, Sampling
from sgseg.training.fold import OnEpoch, Recipe, Trained, train_fold

EVERYTHING = Augmentation(
    flip=True,
    rotate90=True,
    rotation=0.5,
    zoom=0.15,
    elastic=1.0,
    brightness=0.1,
    contrast=0.2,
    gamma=0.2,
    blur=0.5,
    noise=0.05,
)
RECIPE = Recipe(
    network={
        "architecture": "unet",
        "width": 4,
        "depth": 1,
        "dropout": 0.2,
        "normalisation": "batch",
    },
    precision="float32",
    # 40 x 44 px and more: one patch of each image
    sampling=Sampling(patch_size=32, coverage=0.4, batch_size=2, foreground_share=0.5),
    augmentation=EVERYTHING,
    epochs=3,
    init=None,
    loss={"name": "bce_dice", "positive_weight": 1.0},
    optimizer={"name": "adam", "weight_decay": 0.0},
    learning_rate=0.01,
    schedule={"name": "one_cycle"},
    weights_average=0.0,
    monitor="val_object_f1",
    patience=10,
    object_iou=0.3,
    seed=5,
)

# How its networks are scored.
SCORING: dict[str, Any] = {"loss": RECIPE.loss, "object_iou": RECIPE.object_iou}


def draw(
    seed: int, *, shape: tuple[int, int] = (40, 44), n: int = 4, radius: float = 3.0
) -> Example:
    """An image (float32, noise of 0.3 on 0) with `n` disks of brightness 2, and its label image."""
    rng = np.random.default_rng(seed)
    image = 0.3 * rng.standard_normal(shape, dtype=np.float32)
    labels = np.zeros(shape, dtype=np.int32)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for number in range(1, n + 1):
        row, column = rng.uniform(4, shape[0] - 4), rng.uniform(4, shape[1] - 4)
        disk = (y - row) ** 2 + (x - column) ** 2 <= radius**2
        image[disk], labels[disk] = 2, number
    return Example(f"image_{seed}", image, labels)


# Two shapes, and a last batch of one: every shape that a training meets.
TRAIN = [draw(seed, shape=(40, 44 + seed)) for seed in range(5)]
VALIDATION = [draw(10), draw(11, shape=(33, 35))]


def train(
    checkpoint: Path,
    *,
    fold: int = 0,
    on_epoch: OnEpoch | None = None,
    **changes: Any,
) -> Trained:
    """Train the tiny network with a changed recipe."""
    recipe = replace(RECIPE, **changes)
    return train_fold(
        TRAIN, VALIDATION, recipe, fold=fold, checkpoint=checkpoint, on_epoch=on_epoch
    )


def weights(trained: Trained) -> list[NDArray[Any]]:
    """All variables of the network, its random states included."""
    return [ops.convert_to_numpy(variable) for variable in trained.model.variables]


def digest(trained: Trained) -> str:
    """Changes with any bit of the weights."""
    total = hashlib.sha256()
    for value in weights(trained):
        total.update(value.tobytes())
    return total.hexdigest()
