"""Keras' augmentation layers against sgseg's one resampling, in one paired run.

    python benchmarks/augmentation.py

Prints the time for a batch of 8 patches of 80 x 80 px, what is left of spots of 3 px, whether masks
stay with their images, whether intensities are clipped, and whether a batch can be made again.
"""

# ruff: noqa: T201 - what it finds is printed

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import tensorflow as tf
from _paired import measure, ratio, take_turns
from keras import layers
from numpy.typing import NDArray

from sgseg.training.augment import Augmentation, cut_patch

Floats = NDArray[np.floating]

SIZE, SOURCE, BATCH, BORDER = 80, 160, 8, 12
ROTATION, ZOOM, BEND = 0.5, 0.15, 1.0
GEOMETRY = Augmentation(flip=True, rotate90=True, rotation=ROTATION, zoom=ZOOM, elastic=BEND)
EVERYTHING = replace(GEOMETRY, brightness=0.1, contrast=0.2, gamma=0.2, blur=0.5, noise=0.05)
ANY_VALUE = (-1e6, 1e6)
TURN = ROTATION / (2 * np.pi)
# This scale displaces 80 px by about 0.8 px.
ELASTIC = {"factor": (1.0, 1.0), "scale": (0.35, 0.35), "value_range": ANY_VALUE}


def geometry_layers(seed: int) -> list[layers.Layer]:
    return [
        layers.RandomFlip(seed=seed),
        layers.RandomRotation(TURN, seed=seed + 1),
        layers.RandomZoom(ZOOM, ZOOM, seed=seed + 2),
        layers.RandomElasticTransform(**ELASTIC, seed=seed + 3),
    ]


def intensity_layers(seed: int, value_range: tuple[float, float]) -> list[layers.Layer]:
    return [
        layers.RandomBrightness(0.1, value_range=value_range, seed=seed),
        layers.RandomContrast(0.2, value_range=value_range, seed=seed + 1),
        layers.RandomGaussianBlur(1.0, sigma=0.5, value_range=value_range, seed=seed + 2),
        layers.GaussianNoise(0.05, seed=seed + 3),
    ]


def apply(chain: Sequence[layers.Layer], images: Any, masks: Any) -> tuple[Floats, Floats]:
    data = {"images": images, "segmentation_masks": masks}
    for layer in chain:
        if isinstance(layer, layers.GaussianNoise):  # takes no dictionary
            data = {**data, "images": layer(data["images"], training=True)}
        else:
            data = layer(dict(data), training=True)
    return data["images"], data["segmentation_masks"]


# --- time


def time_ratio(rounds: int = 15, repeats: int = 3) -> None:
    rng = np.random.default_rng(0)
    image = rng.standard_normal((512, 512), dtype=np.float32)
    mask = image > 2
    crop = np.stack([image[:SIZE, :SIZE]] * BATCH)[..., None]
    crop_mask = (crop > 2).astype(np.float32)
    chain = geometry_layers(1) + intensity_layers(5, ANY_VALUE)
    compiled = tf.function(lambda images, masks: apply(chain, images, masks))

    def keras_batch() -> None:
        [np.asarray(part) for part in compiled(crop, crop_mask)]

    def sgseg_batch() -> None:
        for _ in range(BATCH):
            centre = (float(rng.uniform(40, 470)), float(rng.uniform(40, 470)))
            cut_patch(image, mask, centre=centre, size=SIZE, augmentation=EVERYTHING, rng=rng)

    def milliseconds(batch: Callable[[], None]) -> float:
        return measure(batch, repeats).wall_ms

    keras_batch()  # compiles
    times = take_turns(
        {"Keras": partial(milliseconds, keras_batch), "sgseg": partial(milliseconds, sgseg_batch)},
        rounds,
    )
    print(f"time of a batch of {BATCH} x {SIZE} x {SIZE}, median of {rounds} pairs")
    print(f"  Keras chain, compiled  {median(times['Keras']):6.1f} ms")
    print(f"  sgseg                  {median(times['sgseg']):6.1f} ms")
    print(f"  Keras / sgseg          {ratio(times['sgseg'], times['Keras']):6.2f}")


# --- fidelity: spots whose image and mask are known at any place, not only on the pixels


def spots(centres: Floats, y: Floats, x: Floats) -> Floats:
    """Gaussian spots with a full width at half maximum of 3 px."""
    squared = [(y - row) ** 2 + (x - column) ** 2 for row, column in centres]
    return np.asarray(np.exp(-np.array(squared) / (2 * (3 / 2.355) ** 2)).sum(axis=0))


def disks(centres: Floats, y: Floats, x: Floats) -> NDArray[np.bool_]:
    """Disks of 3 px in diameter."""
    squared = [(y - row) ** 2 + (x - column) ** 2 for row, column in centres]
    return np.asarray(np.array(squared).min(axis=0) <= 1.5**2)


def scene(rng: np.random.Generator, size: int) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Channels (size, size, 4) spots, noise, row, column; disks (size, size); centres (n, 2).

    Interpolation keeps the last two exact: they tell where each pixel of the result came from.
    """
    grid = np.arange(10.0, size - 9, 10)
    centres: Floats = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    centres = centres + rng.uniform(-2, 2, centres.shape)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    noise = rng.standard_normal((size, size))
    channels = np.stack([spots(centres, y, x), noise, y, x], -1).astype(np.float32)
    return channels, disks(centres, y, x), centres


def by_keras(chain: Sequence[layers.Layer], seed: int) -> list[float]:
    channels, mask, centres = scene(np.random.default_rng(seed), SIZE)
    images, masks = apply(chain, channels[None], mask[None, ..., None].astype(np.float32))
    return compare(np.asarray(images)[0], np.asarray(masks)[0, ..., 0], centres, SIZE)


def by_sgseg(strength: Augmentation, seed: int) -> list[float]:
    channels, mask, centres = scene(np.random.default_rng(seed), SOURCE)
    patches = []
    for channel in range(4):
        patch, cut_mask = cut_patch(
            np.ascontiguousarray(channels[..., channel]),
            mask,
            centre=(SOURCE / 2, SOURCE / 2),
            size=SIZE,
            augmentation=strength,
            rng=np.random.default_rng(seed),
        )
        patches.append(patch)
    return compare(np.stack(patches, -1), cut_mask.astype(np.float32), centres, SOURCE)


def compare(channels: Floats, mask: Floats, centres: Floats, size: int) -> list[float]:
    """Contrast kept, noise kept, IoU and area of the mask against truth, share of fractions."""
    image, noise, y, x = np.moveaxis(channels.astype(np.float64), -1, 0)
    inside = (np.minimum(y, x) > BORDER) & (np.maximum(y, x) < size - 1 - BORDER)
    ideal, truth = spots(centres, y, x)[inside], disks(centres, y, x)[inside]
    found = mask[inside] > 0.5
    return [
        float((image[inside] * ideal).sum() / (ideal**2).sum()),
        float(noise[inside].std()),
        np.count_nonzero(found & truth) / np.count_nonzero(found | truth),
        np.count_nonzero(found) / np.count_nonzero(truth),
        float(np.mean((mask != 0) & (mask != 1))),
    ]


def fidelity(n_scenes: int = 40) -> None:
    print("\nspots and masks of 3 px against what geometry demands: 1, and 0 in the last column")
    print(f"  {'':28}contrast   noise  mask IoU  mask area  fractional")
    _flip, rotation, zoom, elastic = geometry_layers(1)
    cases: dict[str, Any] = {
        "Keras rotation": lambda seed: by_keras([rotation], seed),
        "Keras rotation, zoom": lambda seed: by_keras([rotation, zoom], seed),
        "Keras elastic": lambda seed: by_keras([elastic], seed),
        "Keras all of them": lambda seed: by_keras([rotation, zoom, elastic], seed),
        "sgseg rotation": lambda seed: by_sgseg(Augmentation(rotation=ROTATION), seed),
        "sgseg rotation, zoom, elastic": lambda seed: by_sgseg(GEOMETRY, seed),
    }
    for name, case in cases.items():
        values = np.mean([case(seed) for seed in range(n_scenes)], axis=0)
        print("  {:28}{:9.3f}{:8.3f}{:10.3f}{:11.3f}{:12.3f}".format(name, *values))


# --- intensities and repetition


def clipping() -> None:
    rng = np.random.default_rng(0)
    image = rng.standard_normal((BATCH, SIZE, SIZE, 1)).astype(np.float32)  # a z-score
    print("\nintensities of a z-scored image (standard deviation 1, 16 % of pixels above 1)")
    for value_range in ((0.0, 1.0), (-np.inf, np.inf)):
        for layer in intensity_layers(1, value_range)[:3]:
            after = np.asarray(layer(image, training=True))
            clipped = np.isin(after, value_range).mean()
            print(
                f"  {type(layer).__name__:20} value_range {value_range!s:12}"
                f" clipped {clipped:4.0%}, not a number {np.isnan(after).mean():4.0%}"
            )


def repetition() -> None:
    image = np.random.default_rng(0).standard_normal((1, SIZE, SIZE, 1)).astype(np.float32)
    undisturbed, resumed, restored = (layers.RandomRotation(TURN, seed=1) for _ in range(3))
    for _ in range(3):
        third = np.asarray(undisturbed(image, training=True))
    again = np.asarray(resumed(image, training=True))
    restored.generator.state.assign([1, 2])  # as after two batches
    set_by_hand = np.asarray(restored(image, training=True))
    print("\nthe third batch, made again without the first two")
    print(f"  Keras, same seed                 {'same' if (third == again).all() else 'another'}")
    same = bool((third == set_by_hand).all())
    print(f"  Keras, generator's state set     {'same' if same else 'another'}")
    print(
        "  sgseg, from (seed, epoch, step)  same, by construction (tests/training/test_batches.py)"
    )


if __name__ == "__main__":
    time_ratio()
    fidelity()
    clipping()
    repetition()
