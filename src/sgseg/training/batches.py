"""Batches of patches, each drawn from a random state of its own.

A batch is a function of (seed, epoch, its number): no order of execution and no interruption can
change it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgseg.inference.network import as_batch, first_channel
from sgseg.training.augment import Augmentation, cut_patch, spline_coefficients


@dataclass(frozen=True)
class Example:
    """A prepared image with its truth.

    Parameters
    ----------
    image_id
        Name in the manifest.
    image
        Network input, float32: (h, w), or (h, w, C) of several channels, that of granules first.
    labels
        Label image (h, w), 0 is background.
    soft_mask
        Share of several labellers that call a pixel granule (h, w), in [0, 1], to be learned
        instead of the mask; None where there is one labeller.
    """

    image_id: str
    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    soft_mask: NDArray[np.float32] | None = None

    @property
    def channels(self) -> int:
        """How many channels the network is shown."""
        return 1 if self.image.ndim == 2 else self.image.shape[-1]

    @property
    def first(self) -> NDArray[np.float32]:
        """The channel of the granules (h, w)."""
        return first_channel(self.image)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Where granules are (h, w)."""
        return self.labels > 0

    @cached_property
    def spline(self) -> NDArray[np.float32]:
        """Coefficients of the cubic spline through the image, of its shape."""
        return spline_coefficients(self.image)

    @cached_property
    def granules(self) -> list[NDArray[np.intp]]:
        """Rows and columns (n, 2) of the pixels of each granule."""
        places = np.argwhere(self.mask)
        names = self.labels[self.mask]
        order = np.argsort(names, kind="stable")
        return (
            np.split(places[order], np.flatnonzero(np.diff(names[order])) + 1) if len(names) else []
        )


@dataclass(frozen=True)
class Sampling:
    """How patches are drawn.

    Parameters
    ----------
    patch_size
        Height and width in px.
    coverage
        Area of an epoch's patches over the area of the images; at least one patch per image.
    batch_size
        Patches in a batch; the last batch of an epoch may be smaller.
    foreground_share
        Share of patches, in [0, 1], placed so that a granule of the image lies in them.
    """

    patch_size: int
    coverage: float
    batch_size: int
    foreground_share: float


def patches_of(example: Example, sampling: Sampling) -> int:
    """Number of patches drawn from an image in every epoch."""
    return max(1, round(sampling.coverage * example.labels.size / sampling.patch_size**2))


def steps_per_epoch(examples: Sequence[Example], sampling: Sampling) -> int:
    """Number of batches in an epoch."""
    return -(-sum(patches_of(example, sampling) for example in examples) // sampling.batch_size)


def batches(
    examples: list[Example],
    *,
    sampling: Sampling,
    augmentation: Augmentation,
    seed: tuple[int, ...],
    epoch: int,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """All batches of one epoch: images (N, patch, patch, C) and masks (N, patch, patch, 1).

    Masks are in [0, 1].
    """
    order = np.random.default_rng([*seed, epoch]).permutation(
        np.repeat(np.arange(len(examples)), [patches_of(item, sampling) for item in examples])
    )
    for step, start in enumerate(range(0, len(order), sampling.batch_size)):
        rng = np.random.default_rng([*seed, epoch, step + 1])
        chosen = [examples[i] for i in order[start : start + sampling.batch_size]]
        pairs = [_patch(example, sampling, augmentation, rng) for example in chosen]
        images, masks = zip(*pairs, strict=True)
        yield (
            np.concatenate([as_batch(image) for image in images]),
            np.stack(masks)[..., None].astype(np.float32),
        )


def _patch(
    example: Example, sampling: Sampling, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    return cut_patch(
        example.image,
        example.mask if example.soft_mask is None else example.soft_mask,
        centre=_centre(example, sampling, rng),
        size=sampling.patch_size,
        augmentation=augmentation,
        rng=rng,
        spline=example.spline,
    )


def _centre(example: Example, sampling: Sampling, rng: np.random.Generator) -> tuple[float, float]:
    """A random place for a patch that stays inside the image where the image is large enough."""
    height, width = example.labels.shape
    half = sampling.patch_size / 2
    row, column = rng.uniform(0, height - 1), rng.uniform(0, width - 1)
    wants_granule = rng.random() < sampling.foreground_share
    jitter = rng.uniform(-half / 2, half / 2, 2)
    if wants_granule and example.granules:
        # Granule first, then pixel: otherwise large granules would be most of what is seen.
        pixels = example.granules[rng.integers(len(example.granules))]
        row, column = pixels[rng.integers(len(pixels))] + jitter
    return _inside(row, height, half), _inside(column, width, half)


def _inside(position: float, length: int, half: float) -> float:
    if length <= 2 * half:
        return (length - 1) / 2
    return float(np.clip(position, half - 0.5, length - half - 0.5))
