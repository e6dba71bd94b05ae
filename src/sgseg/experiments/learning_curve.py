"""How good a network gets from how many images, with and without pre-training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan

import numpy as np
import pandas as pd
from tqdm import tqdm

from sgseg.config import Params, with_values
from sgseg.dataset.manifest import read_manifest
from sgseg.errors import InputError, Problem
from sgseg.experiments.bench import Bench, Fold
from sgseg.experiments.compare import Interval, with_intervals
from sgseg.training.batches import Example, Sampling, steps_per_epoch
from sgseg.training.cross_validation import preprocessing_of, recipe_of
from sgseg.training.out_of_fold import score

log = logging.getLogger(__name__)
MOST_COVERAGE = 1e6


@dataclass(frozen=True)
class Point:
    """One number of training images.

    Parameters
    ----------
    size
        As it was asked for.
    pretrained
        Whether the networks start from a trained one.
    folds
        What is trained.
    images, groups, steps
        Trained on, and how long; mean of the folds.
    scores
        Out of fold, with intervals; empty until it is trained.
    seconds
        Training and prediction of all folds.
    """

    size: int | str
    pretrained: bool
    folds: Sequence[Fold]
    images: float
    groups: float
    steps: float
    scores: Mapping[str, Interval] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """For a reader."""
        start = "pre-trained" if self.pretrained else "not pre-trained"
        return f"{self.size} images, {start}"


def run_learning_curve(params: Params, bench: Bench) -> list[Point]:
    """Train on every number of images, with and without pre-training, and score out of fold.

    Raises
    ------
    InputError
        A training failed; those that were finished are kept.
    """
    settings = params.learning_curve
    starts = {False: params, True: with_values(params, settings.pretrained)}
    points = {
        point.name: point
        for size in _sizes(settings.sizes, bench.roles, params.split.folds)
        for point in (_planned(start, bench, size, known) for known, start in starts.items())
    }
    problems = []
    wanted = {name: point.folds for name, point in points.items()}
    for name, error in tqdm(bench.run(wanted), total=len(points), desc="points", unit="point"):
        if error:
            problems.append(Problem(name, error))
            continue
        results = [bench.result(fold) for fold in points[name].folds]
        points[name] = replace(
            points[name],
            scores=with_intervals(score(results, params), params),
            seconds=sum(result.seconds for result in results),
        )
        log.info("%s: object F1 %.3f", name, points[name].scores["object_f1"]["value"])
    if problems:
        raise InputError(*problems)
    return list(points.values())


def some_groups(roles: pd.DataFrame, fold: int, size: int, *, seed: int) -> list[str]:
    """About `size` training images of a fold: whole groups, as many as come nearest.

    The groups come in a random order that depends on seed and fold only, so that what is chosen for
    a smaller size is part of what is chosen for a larger one.
    """
    train = roles[roles[f"role_{fold}"] == "train"]
    groups = np.unique(train["group"])
    order = np.random.default_rng([seed, fold]).permutation(groups)
    sizes = train["group"].value_counts()
    reached = np.cumsum([int(sizes[group]) for group in order])
    chosen = order[: 1 + int(np.abs(reached - size).argmin())]
    ids: list[str] = train.loc[train["group"].isin(chosen), "image_id"].tolist()
    return ids


def as_long(
    sampling: Sampling, epochs: int, *, some: Sequence[Example], every: Sequence[Example]
) -> tuple[float, int]:
    """Coverage and number of epochs for as many steps on `some` images as on `every` one.

    The coverage is the largest with which an epoch has no more steps than with all images; what the
    rounding to whole patches leaves is made up for by more epochs.
    """

    def steps(coverage: float) -> int:
        return steps_per_epoch(some, replace(sampling, coverage=coverage))

    most = steps_per_epoch(every, sampling)
    low, high = sampling.coverage, sampling.coverage
    while steps(high) <= most and high < MOST_COVERAGE:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if steps(middle) <= most else (low, middle)
    return low, max(1, round(epochs * most / steps(low)))


def _sizes(
    asked: Sequence[int | str], roles: pd.DataFrame, folds: Sequence[int]
) -> list[int | str]:
    """Those that every fold has more images than."""
    fewest = min(int((roles[f"role_{fold}"] == "train").sum()) for fold in folds)
    sizes = [size for size in asked if isinstance(size, str) or size < fewest]
    for size in asked:
        if size not in sizes:
            log.warning("a fold has %d images to train on: no point at %s", fewest, size)
    return sizes


def _planned(params: Params, bench: Bench, size: int | str, pretrained: bool) -> Point:
    sampling, train = recipe_of(params).sampling, params.train
    blanks = _blank_examples(params, bench)
    folds, images, groups, steps = [], [], [], []
    for number in params.split.folds:
        rows = bench.roles[bench.roles[f"role_{number}"] == "train"].set_index("image_id")
        ids = list(rows.index)
        changes: dict[str, float] = {}
        if not isinstance(size, str):
            ids = some_groups(bench.roles, number, size, seed=params.learning_curve.seed)
        if len(ids) < len(rows):
            coverage, epochs = as_long(
                sampling,
                train.epochs,
                some=[blanks[image_id] for image_id in ids],
                every=[blanks[image_id] for image_id in rows.index],
            )
            changes = {
                "train.coverage": coverage,
                "train.epochs": epochs,
                "train.patience": max(1, round(train.patience * epochs / train.epochs)),
            }
        changed = with_values(params, changes)
        folds += bench.folds(changed, {number: ids})
        images.append(len(ids))
        groups.append(rows.loc[ids, "group"].nunique())
        of_epoch = steps_per_epoch(
            [blanks[image_id] for image_id in ids], recipe_of(changed).sampling
        )
        steps.append(of_epoch * changed.train.epochs)
    return Point(
        size,
        pretrained,
        folds,
        images=float(np.mean(images)),
        groups=float(np.mean(groups)),
        steps=float(np.mean(steps)),
    )


def _blank_examples(params: Params, bench: Bench) -> dict[str, Example]:
    """Each image of the data set as large as the network sees it, and with nothing in it."""
    preprocessing = preprocessing_of(params)
    known = read_manifest(bench.dataset).dropna(subset=["height", "width"])
    examples = {}
    for image_id, *shape, size in zip(
        known["image_id"],
        known["height"].astype(int),
        known["width"].astype(int),
        known["pixel_size_um"].astype(float),
        strict=True,
    ):
        seen = preprocessing.network_shape((shape[0], shape[1]), None if isnan(size) else size)
        # Of any shape, and without memory for its pixels.
        image = np.broadcast_to(np.float32(0), seen)
        examples[image_id] = Example(image_id, image, np.broadcast_to(np.int32(0), seen))
    return examples
