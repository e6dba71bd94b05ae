"""Recipes side by side: what each change of a recipe is worth on images that were held out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
from tqdm import tqdm

from sgseg.config import Params, with_values
from sgseg.config.experiments import OWN_RECIPE
from sgseg.errors import InputError, Problem
from sgseg.evaluation.summary import ImageCounts, paired_difference, point_scores
from sgseg.experiments.bench import Bench, Fold
from sgseg.experiments.compare import SHOWN, Interval, with_intervals
from sgseg.training.out_of_fold import FoldResult, score

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Variant:
    """A recipe of the table.

    Parameters
    ----------
    name
        In the table.
    origin
        The recipe that it is compared with; '' for none.
    changes
        Its values that differ from the origin's, by dotted name.
    params
        All of its parameters.
    seeds
        Of the trainings whose maps are averaged.
    """

    name: str
    origin: str
    changes: Mapping[str, Any]
    params: Params
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a recipe.

    Parameters
    ----------
    variant
        The recipe.
    results
        A result per fold; empty if it failed.
    counts
        Of each held-out image.
    scores, gain
        With intervals; `gain` is over the origin and empty where that failed.
    single_f1
        Object F1 of each of its trainings alone, where there are several.
    error
        Why it failed.
    """

    variant: Variant
    results: Sequence[FoldResult] = ()
    counts: Sequence[ImageCounts] = ()
    scores: Mapping[str, Interval] = field(default_factory=dict)
    gain: Mapping[str, Interval] = field(default_factory=dict)
    single_f1: Sequence[float] = ()
    error: str = ""

    @property
    def seconds(self) -> float:
        """Training and prediction of all folds."""
        return sum(result.seconds for result in self.results)

    @property
    def milliseconds_per_megapixel(self) -> float:
        """Of predicting with one fold's networks."""
        return float(np.mean([result.milliseconds_per_megapixel for result in self.results]))


def variants(params: Params) -> list[Variant]:
    """The recipe in use and those of `ablations.rows`, each with complete parameters.

    Raises
    ------
    InputError
        Values of rows are not allowed; all of them are named.
    """
    own = Variant(OWN_RECIPE, "", {}, params, (params.train.seed,))
    found, before = {own.name: own}, own
    problems: list[Problem] = []
    for row in params.ablations.rows:
        origin = before if row.from_ is None else found[row.from_]
        recipe = origin.params
        try:
            recipe = with_values(origin.params, row.values)
        except InputError as error:
            problems += [
                replace(p, where=f"ablations, row {row.name!r}, {p.where}") for p in error.problems
            ]
        seeds = (recipe.train.seed,) if "train.seed" in row.values else origin.seeds
        before = found[row.name] = Variant(
            name=row.name,
            origin=origin.name,
            changes=row.values,
            params=recipe,
            seeds=seeds if row.seeds is None else tuple(row.seeds),
        )
    if problems:
        raise InputError(*problems)
    return list(found.values())


def run_ablations(params: Params, bench: Bench) -> list[Outcome]:
    """Train every recipe of the table and score it out of fold.

    A recipe that fails is part of what comes back.

    Raises
    ------
    InputError
        A row's values are not allowed.
    """
    rows = {variant.name: variant for variant in variants(params)}
    trainings = {name: _trainings(variant, bench) for name, variant in rows.items()}
    outcomes: dict[str, Outcome] = {}
    wanted = {name: list(chain(*several)) for name, several in trainings.items()}
    for name, error in tqdm(bench.run(wanted), total=len(rows), desc="recipes", unit="recipe"):
        if error:
            outcomes[name] = Outcome(rows[name], error=error)
            log.warning("%s: %s", name, error)
        else:
            outcomes[name] = _outcome(rows[name], bench, trainings[name])
            log.info("%s", _line(outcomes[name]))
    return [_with_gain(outcomes[name], outcomes, params) for name in rows]


def averaged(trainings: Sequence[Sequence[FoldResult]]) -> list[FoldResult]:
    """The mean map of each held-out image over several trainings of the same folds.

    What they cost is added up.
    """
    result = []
    for same_fold in zip(*trainings, strict=True):
        images = [
            replace(
                same_image[0],
                probability=np.mean([image.probability for image in same_image], axis=0),
            )
            for same_image in zip(*(fold.images for fold in same_fold), strict=True)
        ]
        cost = sum(fold.milliseconds_per_megapixel for fold in same_fold)
        result.append(
            replace(
                same_fold[0],
                images=images,
                seconds=sum(fold.seconds for fold in same_fold),
                milliseconds_per_megapixel=cost,
            )
        )
    return result


def _trainings(variant: Variant, bench: Bench) -> list[list[Fold]]:
    """The folds of each of its seeds."""
    return [
        bench.folds(with_values(variant.params, {"train.seed": seed})) for seed in variant.seeds
    ]


def _outcome(variant: Variant, bench: Bench, trainings: Sequence[Sequence[Fold]]) -> Outcome:
    found = [[bench.result(fold) for fold in folds] for folds in trainings]
    results = averaged(found)
    counts = score(results, variant.params)
    singles = [point_scores(score(one, variant.params))["object_f1"] for one in found]
    return Outcome(
        variant,
        results,
        counts,
        with_intervals(counts, variant.params),
        single_f1=[f1 for f1 in singles if f1 is not None] if len(singles) > 1 else (),
    )


def _with_gain(outcome: Outcome, others: Mapping[str, Outcome], params: Params) -> Outcome:
    origin = others.get(outcome.variant.origin)
    if origin is None or not origin.counts or not outcome.counts:
        return outcome
    settings = params.evaluate
    gain = paired_difference(
        [outcome.counts],
        [origin.counts],
        names=SHOWN,
        resamples=settings.bootstrap,
        seed=settings.seed,
    )
    return replace(outcome, gain=gain)


def _line(outcome: Outcome) -> str:
    scores = outcome.scores
    return (
        f"{outcome.variant.name}: object F1 {scores['object_f1']['value']:.3f}, "
        f"foreground IoU {scores['foreground_iou']['value']:.3f}"
    )
