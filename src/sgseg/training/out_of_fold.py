"""A recipe cross-validated in this process: predictions of images by networks that never saw them.

What a search, an ablation or a learning curve compares. The stages `train` and `evaluate` do the
same with files in between, so that folds are trained once and scored as often as one likes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.config import Params
from sgseg.dataset.manifest import (
    read_canonical_image,
    read_canonical_labels,
    read_manifest,
    shown_channels,
)
from sgseg.errors import InputError, Problem
from sgseg.evaluation.operating import (
    OperatingPoint,
    best_point,
    cross_fitted,
    granules,
    qualities_of_map,
)
from sgseg.evaluation.summary import ImageCounts, count_image
from sgseg.inference.network import run_in_orientations
from sgseg.inference.preprocess import resample
from sgseg.training.cross_validation import load_examples, preprocessing_of, recipe_of
from sgseg.training.fold import train_fold
from sgseg.training.scoring import Scores, predict

Choose = Callable[[int, list[str]], list[str]]
OnEpoch = Callable[[int, int, Scores], None]


@dataclass(frozen=True)
class HeldOut:
    """An image as seen by a network that saw nothing of its group.

    Parameters
    ----------
    image_id, group
        From the manifest.
    fold
        In which it was held out.
    truth
        Label image (H, W), 0 is background.
    probability
        Of granule (H, W), in [0, 1].
    """

    image_id: str
    group: str
    fold: int
    truth: NDArray[np.int32]
    probability: NDArray[np.float32]


@dataclass(frozen=True)
class FoldResult:
    """One trained fold.

    Parameters
    ----------
    images
        The images held out in it.
    history
        Scores of each epoch.
    best_epoch
        Whose weights were kept, from 1.
    seconds
        That training and prediction took, since the last start.
    n_train
        Images that were trained on.
    milliseconds_per_megapixel
        Of prediction in all orientations asked for.
    """

    fold: int
    images: list[HeldOut]
    history: list[Scores]
    best_epoch: int
    seconds: float
    n_train: int
    milliseconds_per_megapixel: float


def cross_validate(
    params: Params,
    *,
    dataset: Path,
    roles: pd.DataFrame,
    folds: Sequence[int],
    checkpoints: Path,
    choose: Choose | None = None,
    on_epoch: OnEpoch | None = None,
) -> Iterator[FoldResult]:
    """Train one fold after the other and predict what it held out. Test images are never read.

    Parameters
    ----------
    params
        `network`, `preprocess`, `train` and `predict.orientations` are the recipe.
    dataset, roles
        What `ingest` and `split` wrote.
    folds
        Which, in this order; each is yielded as soon as it is done.
    checkpoints
        Folder for the state of unfinished folds, see `train_fold`; it must be of the same recipe.
    choose
        Narrows the training images of a fold: called with its number and their names.
    on_epoch
        Called with fold, epoch from 1 and scores.

    Raises
    ------
    InputError
        The split has no such fold, or there is nothing to train on, to stop by or to predict.
    """
    missing = [fold for fold in folds if f"role_{fold}" not in roles]
    if missing:
        raise InputError(*(Problem(f"fold {n}", "the split has no such fold") for n in missing))
    for fold in folds:
        yield _fold(
            params,
            fold,
            dataset=dataset,
            roles=roles,
            checkpoint=checkpoints / f"fold_{fold}.npz",
            choose=choose,
            on_epoch=on_epoch,
        )


def _fold(
    params: Params,
    fold: int,
    *,
    dataset: Path,
    roles: pd.DataFrame,
    checkpoint: Path,
    choose: Choose | None,
    on_epoch: OnEpoch | None,
) -> FoldResult:
    started = time.perf_counter()
    preprocessing = preprocessing_of(params)
    ids = {
        role: roles.loc[roles[f"role_{fold}"] == role, "image_id"].tolist()
        for role in ("train", "validation", "held_out")
    }
    chosen = ids["train"] if choose is None else choose(fold, ids["train"])
    trained = train_fold(
        load_examples(dataset, chosen, preprocessing, soft_labels=params.train.soft_labels),
        load_examples(dataset, ids["validation"], preprocessing),
        recipe_of(params),
        fold=fold,
        checkpoint=checkpoint,
        on_epoch=None if on_epoch is None else partial(on_epoch, fold),
    )
    group = dict(zip(roles["image_id"], roles["group"], strict=True))
    sizes = read_manifest(dataset).set_index("image_id")["pixel_size_um"]
    channels = shown_channels(dataset)
    images, spent, n_pixels = [], 0.0, 0
    for image_id in ids["held_out"]:
        pixels = read_canonical_image(dataset, image_id, channels=channels)
        size = sizes[image_id]
        prepared = preprocessing.prepare(pixels, None if pd.isna(size) else float(size))
        begun = time.perf_counter()
        found = run_in_orientations(
            partial(predict, trained.model), prepared, params.predict.orientations
        )
        spent, n_pixels = spent + time.perf_counter() - begun, n_pixels + found.size
        truth = read_canonical_labels(dataset, image_id)
        images.append(HeldOut(image_id, group[image_id], fold, truth, resample(found, truth.shape)))
    return FoldResult(
        fold=fold,
        images=images,
        history=trained.history,
        best_epoch=trained.best_epoch,
        seconds=time.perf_counter() - started,
        n_train=len(chosen),
        milliseconds_per_megapixel=1e9 * spent / n_pixels if n_pixels else float("nan"),
    )


def score(results: Sequence[FoldResult], params: Params) -> list[ImageCounts]:
    """Counts of every held-out image at its fold's point, for `evaluation.summary`."""
    points = operating_points(results, params)
    return [
        count_image(
            image.image_id,
            image.group,
            truth=image.truth,
            predicted=granules(image.probability, points[image.fold]),
            object_iou=params.evaluate.object_iou,
            probability=image.probability,
        )
        for image in held_out(results)
    ]


def held_out(results: Sequence[FoldResult]) -> list[HeldOut]:
    """The images of all folds."""
    return [image for result in results for image in result.images]


def operating_points(results: Sequence[FoldResult], params: Params) -> dict[int, OperatingPoint]:
    """Threshold and minimum area for each fold, chosen on the images held out in the others.

    A single fold has no others: they are then chosen on the very images that are scored, which
    flatters it, and serves only to compare such folds with each other.

    Raises
    ------
    InputError
        No image is held out in these folds.
    """
    images = held_out(results)
    if not images:
        raise InputError(Problem("cross-validation", "no image is held out in these folds"))
    tables = {
        image.image_id: qualities_of_map(
            image.probability,
            image.truth,
            thresholds=params.evaluate.thresholds,
            min_areas_px=params.evaluate.min_areas_px,
            object_iou=params.evaluate.object_iou,
        )
        for image in images
    }
    fold_of = {image.image_id: image.fold for image in images}
    if len(set(fold_of.values())) > 1:
        return cross_fitted(tables, fold_of)
    return {images[0].fold: best_point(tables.values())}
