"""Choosing threshold and minimum area on images that the choice will not be scored on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sgseg.inference.segment import to_labels
from sgseg.scores import ObjectCounts, count_pixels, match_counts, pairwise_iou

Point = TypeVar("Point")


@dataclass(frozen=True)
class Quality:
    """Object counts of some images, and their per-image foreground IoU."""

    objects: ObjectCounts
    iou: float


@dataclass(frozen=True)
class OperatingPoint:
    """A probability above `threshold` is granule; components under `min_area_px` are dropped."""

    threshold: float
    min_area_px: int


def granules(probability: NDArray[np.floating], point: OperatingPoint) -> NDArray[np.int32]:
    """Label image (H, W) of a probability map at an operating point."""
    return to_labels(probability, threshold=point.threshold, min_area_px=point.min_area_px)


def qualities_of_map(
    score_map: NDArray[np.floating],
    truth: NDArray[np.int32],
    *,
    thresholds: Sequence[float],
    min_areas_px: Sequence[int],
    object_iou: float,
) -> dict[OperatingPoint, Quality]:
    """Quality of one image (H, W) at every combination of threshold and minimum area."""
    table = {}
    for threshold in thresholds:
        labels = to_labels(score_map, threshold=threshold, min_area_px=1)
        areas = np.bincount(labels.ravel())[1:]
        ious = pairwise_iou(truth, labels)
        for min_area in min_areas_px:
            keep = areas >= min_area
            kept = np.concatenate([[False], keep])[labels]
            table[OperatingPoint(threshold, min_area)] = Quality(
                match_counts(ious[:, keep], iou=object_iou), count_pixels(truth > 0, kept).iou
            )
    return table


def best_point(tables: Iterable[Mapping[Point, Quality]]) -> Point:
    """The point with the largest sum of pooled object F1 and mean foreground IoU.

    On a few hundred granules either alone is flat and noisy around its maximum; together they have
    less of a choice by chance, and neither is bought with the other.
    """
    tables = list(tables)

    def quality(point: Point) -> float:
        parts = [table[point] for table in tables]
        objects = sum((part.objects for part in parts), ObjectCounts(0, 0, 0, 0.0))
        return objects.f1 + float(np.mean([part.iou for part in parts]))

    return max(tables[0], key=quality)


def cross_fitted(
    tables: Mapping[str, Mapping[Point, Quality]], fold_of: Mapping[str, int]
) -> dict[int, Point]:
    """For each fold the point chosen on the images of all other folds.

    Scoring a fold with a point that was chosen on it as well would flatter it.
    """
    return {
        fold: best_point(table for image, table in tables.items() if fold_of[image] != fold)
        for fold in sorted(set(fold_of.values()))
    }
