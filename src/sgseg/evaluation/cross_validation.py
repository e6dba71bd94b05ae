"""Scoring a finished cross-validation: out of fold, on the test set, beside the classical baseline.

An out-of-fold prediction of an image comes from the one network that neither trained on its group
nor was stopped by it. Threshold and minimum area are chosen on such predictions only; the score of
a fold uses what was chosen on the other folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from sgseg.config import Params
from sgseg.dataset.manifest import (
    read_canonical_image,
    read_canonical_labels,
    read_manifest,
)
from sgseg.errors import InputError, Problem
from sgseg.evaluation.baseline import (
    BaselinePoint,
    baseline_qualities,
    segment_classically,
)
from sgseg.evaluation.operating import (
    OperatingPoint,
    Quality,
    best_point,
    cross_fitted,
    qualities_of_map,
)
from sgseg.evaluation.summary import ImageCounts, count_image
from sgseg.inference.bundle import BundleSpec, Segmenter
from sgseg.inference.segment import to_labels

Labels = NDArray[np.int32]
Probability = NDArray[np.float32]


@dataclass(frozen=True)
class Scored:
    """Counts per image of one method on one set of images."""

    counts: list[ImageCounts]
    folds: list[int]
    """Of each image the fold it was held out in; -1 for the test set."""

    def of_fold(self, fold: int) -> list[ImageCounts]:
        """The images held out in one fold."""
        return [c for c, of in zip(self.counts, self.folds, strict=True) if of == fold]


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report shows, as counts."""

    point: OperatingPoint
    points: dict[int, OperatingPoint]
    baseline_point: BaselinePoint
    out_of_fold: Scored
    test: Scored
    test_members: dict[int, Scored]
    baseline_out_of_fold: Scored
    baseline_tuned_on_itself: Scored
    baseline_test: Scored


class DataSet:
    """The canonical images with their roles and groups, read when asked for."""

    def __init__(self, folder: Path, roles: pd.DataFrame, folds: Sequence[int]) -> None:
        self._folder = folder
        manifest = read_manifest(folder).set_index("image_id")
        self._pixel_size = manifest["pixel_size_um"]
        self.group: dict[str, str] = dict(zip(roles["image_id"], roles["group"], strict=True))
        self.test_ids: list[str] = roles.loc[roles["set"] == "test", "image_id"].tolist()
        self.fold_of: dict[str, int] = {
            image_id: fold
            for fold in folds
            for image_id in roles.loc[roles[f"role_{fold}"] == "held_out", "image_id"]
        }

    def pixels(self, image_id: str) -> NDArray[np.generic]:
        """(H, W) in camera counts."""
        return read_canonical_image(self._folder, image_id)

    def truth(self, image_id: str) -> Labels:
        """Label image (H, W)."""
        return read_canonical_labels(self._folder, image_id)

    def pixel_size_um(self, image_id: str) -> float | None:
        """None where unknown."""
        size = self._pixel_size[image_id]
        return None if pd.isna(size) else float(size)

    @property
    def median_pixel_size_um(self) -> float | None:
        """Median over the development images of known pixel size."""
        size = self._pixel_size[list(self.fold_of)].median()
        return None if pd.isna(size) else float(size)


@dataclass(frozen=True)
class Maps:
    """Probability maps (H, W) on disk: those of a whole data set would fill the memory."""

    folder: Path

    def save(self, image_id: str, found: Probability, member: int | None = None) -> None:
        """Keep a map: the one that is scored, or that of one member."""
        path = self._path(image_id, member)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, found)

    def load(self, image_id: str, member: int | None = None) -> Probability:
        """The map that is scored, or that of one member."""
        return np.asarray(np.load(self._path(image_id, member)), dtype=np.float32)

    def _path(self, image_id: str, member: int | None) -> Path:
        part = "scored" if member is None else f"member_{member}"
        return self.folder / part / f"{image_id}.npy"


def evaluate(
    params: Params, data: DataSet, segmenter: Segmenter, scratch: Path
) -> tuple[Evaluation, Callable[[str], Probability]]:
    """Score the members of a bundle, one per fold in the order of `split.folds`.

    Returns
    -------
    The counts, and a function that gives the probability map (H, W) of an image as it was scored:
    out of fold for development images, the ensemble's for test images. The maps live in `scratch`.

    Raises
    ------
    InputError
        No image is held out in any fold.
    """
    folds = params.split.folds
    if not data.fold_of:
        raise InputError(Problem("data/split/roles.csv", "no image is held out in any fold"))
    maps = Maps(scratch)
    _predict(data, segmenter, folds, maps)
    tables = _network_tables(params, data, maps)
    baseline_tables = _baseline_tables(params, data)
    point, points = best_point(tables.values()), cross_fitted(tables, data.fold_of)
    baseline_point = best_point(baseline_tables.values())
    baseline_points = cross_fitted(baseline_tables, data.fold_of)

    def network(image_id: str, at: OperatingPoint, member: int | None = None) -> ImageCounts:
        found = maps.load(image_id, member)
        labels = to_labels(found, threshold=at.threshold, min_area_px=at.min_area_px)
        return _count(data, image_id, labels, params, found)

    def classical(image_id: str, at: BaselinePoint) -> ImageCounts:
        return _count(data, image_id, segment_classically(data.pixels(image_id), at), params)

    held_out, test = data.fold_of, dict.fromkeys(data.test_ids, -1)
    evaluation = Evaluation(
        point=point,
        points=points,
        baseline_point=baseline_point,
        out_of_fold=_score(
            held_out, lambda image_id: network(image_id, points[held_out[image_id]])
        ),
        test=_score(test, partial(network, at=point)),
        test_members={
            fold: _score(test, partial(network, at=point, member=fold)) for fold in folds
        },
        baseline_out_of_fold=_score(
            held_out, lambda image_id: classical(image_id, baseline_points[held_out[image_id]])
        ),
        baseline_tuned_on_itself=_score(held_out, partial(classical, at=baseline_point)),
        baseline_test=_score(test, partial(classical, at=baseline_point)),
    )
    return evaluation, maps.load


def _predict(data: DataSet, segmenter: Segmenter, folds: Sequence[int], maps: Maps) -> None:
    """One map per image, of test images also one per member."""
    for image_id, fold in tqdm(data.fold_of.items(), desc="predicting out of fold", unit="image"):
        found = segmenter.probability(
            data.pixels(image_id),
            pixel_size_um=data.pixel_size_um(image_id),
            members=[folds.index(fold)],
        )
        maps.save(image_id, found)
    for image_id in tqdm(data.test_ids, desc="predicting the test set", unit="image"):
        members = segmenter.probabilities(
            data.pixels(image_id), pixel_size_um=data.pixel_size_um(image_id)
        )
        maps.save(image_id, members.mean(axis=0))
        for fold, found in zip(folds, members, strict=True):
            maps.save(image_id, found, fold)


def _network_tables(
    params: Params, data: DataSet, maps: Maps
) -> dict[str, dict[OperatingPoint, Quality]]:
    """Of each development image the quality at every threshold and minimum area."""
    return {
        image_id: qualities_of_map(
            maps.load(image_id),
            data.truth(image_id),
            thresholds=params.evaluate.thresholds,
            min_areas_px=params.evaluate.min_areas_px,
            object_iou=params.evaluate.object_iou,
        )
        for image_id in tqdm(data.fold_of, desc="choosing the threshold", unit="image")
    }


def _baseline_tables(params: Params, data: DataSet) -> dict[str, dict[BaselinePoint, Quality]]:
    """Of each development image the quality at every setting of the baseline."""
    grid = params.evaluate.baseline
    return {
        image_id: baseline_qualities(
            data.pixels(image_id),
            data.truth(image_id),
            sigmas_small=grid.sigmas_small,
            sigmas_large=grid.sigmas_large,
            deviations=grid.deviations,
            min_areas_px=params.evaluate.min_areas_px,
            object_iou=params.evaluate.object_iou,
        )
        for image_id in tqdm(data.fold_of, desc="tuning the baseline", unit="image")
    }


def _count(
    data: DataSet,
    image_id: str,
    predicted: Labels,
    params: Params,
    probability: Probability | None = None,
) -> ImageCounts:
    return count_image(
        image_id,
        data.group[image_id],
        truth=data.truth(image_id),
        predicted=predicted,
        object_iou=params.evaluate.object_iou,
        probability=probability,
    )


def _score(images: Mapping[str, int], count: Callable[[str], ImageCounts]) -> Scored:
    return Scored([count(image_id) for image_id in images], list(images.values()))


def bundle_spec(
    params: Params,
    members: list[str],
    point: OperatingPoint,
    margin_px: int | None,
    facts: dict[str, Any] | None = None,
    *,
    pixel_size_um: float | None = None,
) -> BundleSpec:
    """How to use the members, with the chosen threshold and minimum area; see `BundleSpec`."""
    return BundleSpec(
        members=members,
        preprocessing=params.preprocess.model_dump(),
        threshold=point.threshold,
        min_area_px=point.min_area_px,
        margin_px=margin_px,
        orientations=params.predict.orientations,
        pixel_size_um=pixel_size_um,
        facts=facts or {},
    )
