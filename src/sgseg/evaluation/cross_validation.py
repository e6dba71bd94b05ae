"""Scoring a finished cross-validation: out of fold, on the test set, beside the classical baseline.

An out-of-fold prediction of an image comes from the one network that neither trained on its group
nor was stopped by it. Threshold and minimum area are chosen on such predictions only; the score of
a fold uses what was chosen on the other folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sgseg.config import Params
from sgseg.errors import InputError, Problem
from sgseg.evaluation.baseline import (
    BaselinePoint,
    baseline_qualities,
    segment_classically,
)
from sgseg.evaluation.data import DataSet, Maps
from sgseg.evaluation.disagreement import ImageDisagreement, compare
from sgseg.evaluation.operating import (
    OperatingPoint,
    Quality,
    best_point,
    cross_fitted,
    granules,
    qualities_of_map,
)
from sgseg.evaluation.results import Evaluation, NetworkScores, Scored
from sgseg.evaluation.summary import ImageCounts, count_image
from sgseg.inference.bundle import BundleSpec, spec_preprocessing
from sgseg.inference.network import ORIENTATIONS
from sgseg.inference.segmenter import Segmenter
from sgseg.inference.uncertainty import RunningMoments

Labels = NDArray[np.int32]
Probability = NDArray[np.float32]


def evaluate(
    params: Params, data: DataSet, segmenter: Segmenter, scratch: Path
) -> tuple[Evaluation, Callable[[str], Probability]]:
    """Score the members of a bundle, one per fold in the order of `split.folds`.

    Parameters
    ----------
    segmenter
        All members, whatever `predict.members` says: each is needed out of fold.
    scratch
        Where the probability maps live.

    Returns
    -------
    The counts, and a function that gives the probability map (H, W) of an image as it was scored:
    out of fold for development images, that of the members in use for test images.

    Raises
    ------
    InputError
        No image is held out in any fold.
    """
    folds, used = params.split.folds, params.predict.orientations
    if not data.fold_of:
        raise InputError(Problem("data/split/roles.csv", "no image is held out in any fold"))
    all_maps = {n: Maps(scratch / f"orientations_{n}") for n in ORIENTATIONS}
    for orientations, maps in all_maps.items():
        _predict(data, segmenter, folds, maps, orientations)
    networks = {n: _score_networks(params, data, maps) for n, maps in all_maps.items()}
    maps, point = all_maps[used], networks[used].point
    first_alone = folds[0] if params.predict.members == "one" else None

    tables = baseline_tables(params, data)
    baseline_point = best_point(tables.values())
    baseline_points = cross_fitted(tables, data.fold_of)

    def classical(image_id: str, at: BaselinePoint) -> ImageCounts:
        return _count(data, image_id, segment_classically(data.pixels(image_id), at), params)

    held_out, test = data.fold_of, dict.fromkeys(data.test_ids, -1)
    evaluation = Evaluation(
        orientations=used,
        test=networks[used].test
        if first_alone is None
        else networks[used].test_members[first_alone],
        networks=networks,
        disagreement=[_disagreement(params, data, maps, i, point) for i in data.test_ids],
        baseline_point=baseline_point,
        baseline_out_of_fold=_score(
            held_out, lambda image_id: classical(image_id, baseline_points[held_out[image_id]])
        ),
        baseline_tuned_on_itself=_score(held_out, partial(classical, at=baseline_point)),
        baseline_test=_score(test, partial(classical, at=baseline_point)),
    )

    def as_scored(image_id: str) -> Probability:
        return maps.load(image_id, first_alone if image_id in test else None)

    return evaluation, as_scored


def _predict(
    data: DataSet, segmenter: Segmenter, folds: Sequence[int], maps: Maps, orientations: int
) -> None:
    """One map per image, of test images also one per member."""
    what = f"{orientations} orientation{'' if orientations == 1 else 's'}"
    for image_id, fold in tqdm(data.fold_of.items(), desc=f"out of fold, {what}", unit="image"):
        found = segmenter.probability(
            data.shown(image_id),
            pixel_size_um=data.pixel_size_um(image_id),
            members=[folds.index(fold)],
            orientations=orientations,
        )
        maps.save(image_id, found)
    for image_id in tqdm(data.test_ids, desc=f"test set, {what}", unit="image"):
        moments = RunningMoments(with_deviation=False)
        members = segmenter.maps(
            data.shown(image_id), data.pixel_size_um(image_id), orientations=orientations
        )
        for fold, found in zip(folds, members, strict=True):
            moments.add(found)
            maps.save(image_id, found, fold)
        maps.save(image_id, moments.mean)


def _score_networks(params: Params, data: DataSet, maps: Maps) -> NetworkScores:
    tables = _network_tables(params, data, maps)
    point, points = best_point(tables.values()), cross_fitted(tables, data.fold_of)

    def network(image_id: str, at: OperatingPoint, member: int | None = None) -> ImageCounts:
        found = maps.load(image_id, member)
        return _count(data, image_id, granules(found, at), params, found)

    held_out, test = data.fold_of, dict.fromkeys(data.test_ids, -1)
    return NetworkScores(
        point=point,
        points=points,
        out_of_fold=_score(
            held_out, lambda image_id: network(image_id, points[held_out[image_id]])
        ),
        tuned_on_itself=_score(held_out, partial(network, at=point)),
        test=_score(test, partial(network, at=point)),
        test_members={
            fold: _score(test, partial(network, at=point, member=fold))
            for fold in params.split.folds
        },
    )


def _disagreement(
    params: Params, data: DataSet, maps: Maps, image_id: str, point: OperatingPoint
) -> ImageDisagreement:
    """Of all members on one test image."""
    return compare(
        image_id,
        data.group[image_id],
        truth=data.truth(image_id),
        predicted=granules(maps.load(image_id), point),
        masks=(granules(maps.load(image_id, fold), point) > 0 for fold in params.split.folds),
        object_iou=params.evaluate.object_iou,
    )


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


def baseline_tables(params: Params, data: DataSet) -> dict[str, dict[BaselinePoint, Quality]]:
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
    other_points: Mapping[int, OperatingPoint] | None = None,
    data: DataSet | None = None,
) -> BundleSpec:
    """How to use the members, with the chosen threshold and minimum area; see `BundleSpec`.

    `other_points` are those chosen for other numbers of orientations than the one in use; `data`
    says what the members were trained on.
    """
    preprocessing = params.preprocess.model_dump()
    return BundleSpec(
        members=members,
        preprocessing=preprocessing,
        threshold=point.threshold,
        min_area_px=point.min_area_px,
        margin_px=margin_px,
        orientations=params.predict.orientations,
        members_in_use=params.predict.members,
        points_at_orientations={str(n): asdict(at) for n, at in (other_points or {}).items()},
        pixel_size_um=None if data is None else data.median_pixel_size_um,
        statistics={}
        if data is None
        else data.training_statistics(spec_preprocessing(preprocessing)),
        trained_on=[] if data is None else data.trained_on,
        facts=facts or {},
    )
