"""The label ceiling: how well two masks agree that people drew on the same picture.

No model can be expected to agree better with one person's mask than another person's mask does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sgseg.dataset.copies import Copy, overlap
from sgseg.dataset.structure import turn
from sgseg.scores import count_objects, count_pixels

EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Agreement:
    """How well the masks of two copies agree, each in [0, 1]."""

    iou: float
    dice: float
    object_f1: float
    identical: bool


def agreement(
    first: NDArray[np.integer], second: NDArray[np.integer], copy: Copy, *, object_iou: float
) -> Agreement | None:
    """Compare the label images of two copies where both pictures show the same.

    Parameters
    ----------
    first, second : (H, W) labels, 0 is background
        As they were drawn; `second` is turned and shifted here as `copy` says.
    object_iou : (0, 1]
        Two granules are the same one from this IoU on.

    Returns
    -------
    Agreement, or None where the shapes do not match.
    """
    turned = turn(second, copy.transform)
    if first.shape != turned.shape:
        return None
    mine, other = overlap(first, turned, copy.shift)
    if copy.shift != (0, 0):
        # A granule cut in two by the rim would count twice.
        mine, other = _renumber(mine), _renumber(other)
    pixels = count_pixels(mine != 0, other != 0)
    objects = count_objects(mine, other, iou=object_iou)
    identical = pixels.fp == pixels.fn == 0 and objects.f1 == 1
    return Agreement(pixels.iou, pixels.dice, objects.f1, identical)


def _renumber(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """One label per connected piece of each label."""
    result = np.zeros(labels.shape, dtype=np.int32)
    count = 0
    for label in np.unique(labels[labels != 0]):
        pieces, found = ndimage.label(labels == label, structure=EIGHT)
        result[pieces > 0] = pieces[pieces > 0] + count
        count += found
    return result


def label_ceiling(agreements: Sequence[Agreement], *, object_iou: float) -> dict[str, Any] | None:
    """Mean agreement over the pairs whose masks differ, None where there is no such pair.

    Identical masks are left out: they were copied with the image and say nothing about annotators.
    """
    different = [item for item in agreements if not item.identical]
    if not different:
        return None
    return {
        "pairs": len(different),
        "iou": float(np.mean([item.iou for item in different])),
        "dice": float(np.mean([item.dice for item in different])),
        "object_f1": float(np.mean([item.object_f1 for item in different])),
        "object_iou": object_iou,
    }
