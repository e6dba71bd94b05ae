"""A training step under one backend: `KERAS_BACKEND=jax python benchmarks/backends.py`.

Backends do not share a process, so they cannot take turns: compare only what a quiet machine says,
the median of several calls.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from itertools import cycle, islice
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from sgseg.config import load_params, with_values
from sgseg.nets import build_network
from sgseg.nets.metrics import PixelScores
from sgseg.training import fold
from sgseg.training.batches import Example, batches
from sgseg.training.cross_validation import recipe_of
from sgseg.training.devices import prepare_devices
from sgseg.training.reproducible import make_reproducible
from sgseg.training.scoring import predict

PARAMS = Path(__file__).parents[1] / "params.yaml"


def main() -> None:
    """Time steps of the recipe in params.yaml on random images; print what was found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--width", type=int, default=16)
    options = parser.parse_args()
    recipe = recipe_of(
        with_values(
            load_params(PARAMS),
            {"train.precision": options.precision, "network.width": options.width},
        )
    )
    devices = prepare_devices()
    make_reproducible(1)
    rng = np.random.default_rng(0)
    examples = [
        Example(str(n), rng.standard_normal((256, 256), dtype=np.float32), _disks())
        for n in range(8)
    ]
    network = build_network(**recipe.network, precision=recipe.precision)
    model = fold._compiled(network, PixelScores(), examples, recipe)
    drawn = batches(
        examples,
        sampling=recipe.sampling,
        augmentation=recipe.augmentation,
        seed=(1, 0),
        epoch=0,
    )
    whole = [pair for pair in drawn if len(pair[0]) == recipe.sampling.batch_size]
    seconds = []
    for images, masks in islice(cycle(whole), options.steps):
        began = time.perf_counter()
        float(model.train_on_batch(images, masks, return_dict=True)["loss"])
        seconds.append(time.perf_counter() - began)
    shown = build_network(**recipe.network)
    images_seconds = []
    for side in (256, 248, 248):
        began = time.perf_counter()
        predict(shown, np.zeros((side, side), np.float32))
        images_seconds.append(time.perf_counter() - began)
    found = {
        "device": str(devices),
        "keras": keras.__version__,
        "precision": options.precision,
        "patches": [recipe.sampling.batch_size, recipe.sampling.patch_size],
        "first_step_s": round(seconds[0], 2),
        "step_ms": round(1000 * float(np.median(seconds[2:])), 1),
        "step_ms_least": round(1000 * min(seconds), 1),
        "step_ms_quartiles": [
            round(1000 * float(q), 1) for q in np.quantile(seconds[2:], [0.25, 0.75])
        ],
        "image_of_a_new_size_s": round(images_seconds[1], 2),
        "image_of_a_known_size_s": round(images_seconds[2], 3),
    }
    json.dump(found, sys.stdout)
    sys.stdout.write("\n")


def _disks() -> np.ndarray:
    y, x = np.mgrid[:256, :256] % 32 - 16
    return (y**2 + x**2 < 30).astype(np.int32)


if __name__ == "__main__":
    main()
