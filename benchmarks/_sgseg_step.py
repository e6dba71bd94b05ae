"""sgseg's own training step and its parts; a worker of `training_step.py`."""

from __future__ import annotations

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from _paired import serve
from scipy.ndimage import gaussian_filter, label

from sgseg.config import load_params, with_values
from sgseg.nets import build_network
from sgseg.nets.cost import multiply_adds_per_pixel
from sgseg.nets.metrics import PixelScores
from sgseg.training import fold
from sgseg.training.augment import Augmentation
from sgseg.training.batches import Example, batches, patches_of
from sgseg.training.cross_validation import recipe_of
from sgseg.training.fold import Recipe
from sgseg.training.reproducible import make_reproducible

# A whole training: the schedule must not end within the measurement.
EPOCHS = 1000
CHECKED_STEPS = 5


def recipe(settings: dict[str, Any]) -> Recipe:
    """The recipe of the parameters, augmentation included, with what the comparison fixes."""
    fixed = {
        "network": {
            "architecture": "unet",
            "width": settings["width"],
            "depth": settings["depth"],
            "dropout": 0.0,
            "normalisation": "batch",
            "deep_supervision": False,
        },
        "train.patch_size": settings["patch"],
        "train.batch_size": settings["batch"],
        "train.loss": {"name": "bce_dice", "positive_weight": 1.0},
        "train.optimizer": {"name": "adam", "weight_decay": 0.0},
        "train.schedule": {"name": "one_cycle"},
        "train.epochs": EPOCHS,
        "train.precision": "float32",
        "train.init": None,
        "train.weights_average": 0.0,
    }
    return recipe_of(with_values(load_params(settings["params"]), fixed))


def examples(steps: int, of: Recipe) -> list[Example]:
    """Images of 256 x 256 px with granules, enough for so many whole batches an epoch."""
    rng = np.random.default_rng(0)
    made: list[Example] = []
    while _patches(made, of) < steps * of.sampling.batch_size:
        image = gaussian_filter(rng.standard_normal((256, 256)), 1.5).astype(np.float32)
        made.append(
            Example(str(len(made)), image / image.std(), label(image / image.std() > 2.8)[0])
        )
    return made


def _patches(data: list[Example], of: Recipe) -> int:
    return sum(patches_of(item, of.sampling) for item in data)


def trained_network(
    of: Recipe, data: list[Example], *, deterministic: bool = True
) -> tuple[keras.Model, PixelScores]:
    """A network as `train_fold` makes it, always with the same weights."""
    if deterministic:
        make_reproducible(of.seed, 0)
    pixels = PixelScores()
    network = build_network(**of.network, precision=of.precision)
    return fold._compiled(network, pixels, data, of), pixels


def prepare_xla(
    settings: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """The step as XLA compiles it: in a process of its own, which is not deterministic.

    XLA refuses the gradient of a maximum where determinism is asked for, and so Keras ignores
    `jit_compile` there.
    """
    of, data, ready = _given(settings)
    network, _pixels = trained_network(of, data, deterministic=False)
    compiled = tf.function(network.train_step, jit_compile=True)
    turn = cycle(ready)

    def step() -> float:
        images, masks = next(turn)
        return float(compiled((tf.constant(images), tf.constant(masks)))["loss"])

    try:
        step()
    except Exception as error:  # noqa: BLE001 - not every operation can be compiled everywhere
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}, {}
    return {"failed": None}, {"XLA": step}


def _given(settings: dict[str, Any]) -> tuple[Recipe, list[Example], list[Any]]:
    """Recipe, images, and an epoch's whole batches; the threads are set."""
    tf.config.threading.set_intra_op_parallelism_threads(settings["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(settings["threads"])
    of = recipe(settings)
    data = examples(settings["steps"], of)
    drawn = batches(data, sampling=of.sampling, augmentation=of.augmentation, **_seed(of))
    ready = [pair for pair in drawn if len(pair[0]) == of.sampling.batch_size]
    return of, data, ready


def _seed(of: Recipe) -> dict[str, Any]:
    return {"seed": (of.seed, 0), "epoch": 0}


def prepare(
    exchange: Path | None, settings: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Facts about this side and what of it can be measured; `exchange` is for the other side."""
    of, data, ready = _given(settings)
    network, pixels = trained_network(of, data)
    plain, _ = trained_network(of, data)
    plain.compile(plain.optimizer, plain.loss, metrics=[], jit_compile=False)
    half, _ = trained_network(replace(of, precision="mixed_bfloat16"), data)
    turn = {name: cycle(ready) for name in ("step", "plain", "half", "forward")}

    def step() -> None:
        # What the loop of `_one_epoch` does.
        images, masks = next(turn["step"])
        result = network.train_on_batch(images, masks, return_dict=True)
        keras.ops.convert_to_numpy(pixels.counts)
        float(result["loss"])

    def plain_step() -> float:
        images, masks = next(turn["plain"])
        return float(plain.train_on_batch(images, masks, return_dict=True)["loss"])

    def half_step() -> float:
        images, masks = next(turn["half"])
        return float(half.train_on_batch(images, masks, return_dict=True)["loss"])

    @tf.function
    def loss_of(images: Any, masks: Any) -> Any:
        return tf.reduce_mean(plain.loss(masks, plain(images, training=True)))

    def forward() -> None:
        images, masks = next(turn["forward"])
        float(loss_of(tf.constant(images), tf.constant(masks)))

    def make_batches(augmentation: Augmentation) -> None:
        for _ in batches(data, sampling=of.sampling, augmentation=augmentation, **_seed(of)):
            pass

    losses = write_exchange(exchange, of, data, ready) if exchange else []
    info = {
        "trainable": sum(int(np.prod(v.shape)) for v in network.trainable_variables),
        "steps": _patches(data, of) / of.sampling.batch_size,
        "multiply_adds_per_pixel": multiply_adds_per_pixel(build_network(**of.network)),
        "losses": losses,
    }
    return info, {
        "step": step,
        "step without scores": plain_step,
        "bfloat16": half_step,
        "forward": forward,
        "epoch": lambda: fold._one_epoch(network, pixels, data, of, fold=0, epoch=0),
        "batches": lambda: make_batches(of.augmentation),
        "batches without augmentation": lambda: make_batches(Augmentation()),
    }


def write_exchange(path: Path, of: Recipe, data: list[Example], ready: list[Any]) -> list[float]:
    """Batches, weights and what the network makes of them, for the other side; the first losses."""
    network, _pixels = trained_network(of, data)
    weights = {
        f"weights/{layer.name}/{weight.name}": keras.ops.convert_to_numpy(weight).copy()
        for layer in network.layers
        for weight in layer.weights
    }
    first = ready[0][0]
    inference = keras.ops.convert_to_numpy(network(first, training=False))
    losses, rates = [], []
    for i in range(CHECKED_STEPS):
        rates.append(float(network.optimizer.learning_rate))
        images, masks = ready[i % len(ready)]
        losses.append(float(network.train_on_batch(images, masks, return_dict=True)["loss"]))
    again, _pixels = trained_network(of, data)
    np.savez(
        path,
        images=np.stack([images for images, _ in ready]),
        masks=np.stack([masks for _, masks in ready]),
        rates=np.array(rates),
        inference=inference,
        training=keras.ops.convert_to_numpy(again(first, training=True)),
        **weights,
    )
    return losses


if __name__ == "__main__":
    file, given = sys.argv[1], json.loads(sys.argv[2])
    if given.get("xla"):
        serve(lambda: prepare_xla(given))
    else:
        serve(lambda: prepare(Path(file) if file else None, given))
