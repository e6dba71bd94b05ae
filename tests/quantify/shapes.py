"""Drawn objects: label images and pictures whose numbers are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.int32]


def disks(shape: tuple[int, int], places: Sequence[tuple[float, float, float]]) -> Labels:
    """Label k + 1 where (row, column, radius) number k is; later ones lie above earlier ones."""
    rows, columns = np.indices(shape)
    labels = np.zeros(shape, dtype=np.int32)
    for number, (row, column, radius) in enumerate(places, start=1):
        labels[np.hypot(rows - row, columns - column) <= radius] = number
    return labels


def picture(
    layers: Sequence[tuple[NDArray[np.bool_], float]],
    *,
    background: float = 100.0,
    noise: float = 3.0,
    blur: float = 1.0,
    seed: int = 0,
) -> NDArray[np.uint16]:
    """Counts (H, W): each mask adds a height to the background; then blur and noise."""
    height = sum(mask * float(value) for mask, value in layers)
    seen = background + ndimage.gaussian_filter(np.asarray(height, dtype=np.float64), blur)
    rng = np.random.default_rng(seed)
    return np.clip(np.round(seen + rng.normal(0, noise, seen.shape)), 0, 65535).astype(np.uint16)
