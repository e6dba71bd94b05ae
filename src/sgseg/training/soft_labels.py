"""What several labellers say of one picture, as the share of them that calls a pixel granule.

A lab hands out the same image twice, or one labeller draws it again. Either mask alone teaches the
network one hand's habits; their mean is what it can know (Silva & Oliveira 2021, arXiv:2109.12622,
on soft labels in segmentation).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgseg.dataset.manifest import read_canonical_labels
from sgseg.dataset.structure import ORIENTATIONS, turn

Shares = NDArray[np.float32]


def soft_masks(dataset: Path, image_ids: Iterable[str]) -> dict[str, Shares]:
    """Mean mask (H, W) in [0, 1] of each image that has a copy among the same images.

    Copies are those that `ingest` found and aligned. Where a copy does not reach, the mean is over
    the others. Copies whose height and width do not match are left alone.
    """
    names = set(image_ids)
    pairs = json.loads((dataset / "copies.json").read_text(encoding="utf-8"))["pairs"]
    masks = {
        name: (read_canonical_labels(dataset, name) > 0).astype(np.float32)
        for name in sorted({pair[side] for pair in pairs for side in "ab"} & names)
    }
    return mean_masks(masks, [p for p in pairs if p["kind"] == "copy"])


def mean_masks(
    masks: Mapping[str, Shares], pairs: Iterable[Mapping[str, Any]]
) -> dict[str, Shares]:
    """Mean over each image's own mask and those of its copies, laid over it.

    Parameters
    ----------
    masks
        (H, W) in [0, 1] by image.
    pairs
        `a`, `b`, `transform` and `shift` as `ingest` writes them: `mask_a[y, x]` shows what
        `turn(mask_b, transform)[y - dy, x - dx]` does. Pairs of other images are ignored.
    """
    seen: dict[str, list[Shares]] = {}
    for pair in pairs:
        a, b = pair["a"], pair["b"]
        if a not in masks or b not in masks:
            continue
        (dy, dx), transform = pair["shift"], pair["transform"]
        turned = turn(masks[b], transform)
        if turned.shape != masks[a].shape:
            continue
        seen.setdefault(a, [masks[a]]).append(_moved(turned, dy, dx))
        back = turn(_moved(masks[a], -dy, -dx), _inverse(transform))
        seen.setdefault(b, [masks[b]]).append(back)
    return {name: np.nanmean(np.stack(found), axis=0) for name, found in seen.items()}


def _moved(mask: Shares, dy: int, dx: int) -> Shares:
    """The mask (H, W) moved down by `dy` and right by `dx`, NaN where nothing is known."""
    height, width = mask.shape
    result = np.full_like(mask, np.nan)
    result[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = mask[
        max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
    ]
    return result


def _inverse(transform: int) -> int:
    """The orientation that undoes one."""
    probe = np.arange(4).reshape(2, 2)
    return next(
        other for other in ORIENTATIONS if (turn(turn(probe, transform), other) == probe).all()
    )
