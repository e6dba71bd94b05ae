"""What a search maximises: the object F1 of images by networks that never saw their groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from sgseg.config import Params
from sgseg.evaluation.summary import ImageCounts, point_scores
from sgseg.quiet import without_startup_messages
from sgseg.tuning.job import Job
from sgseg.tuning.trial import FoldScore, Scores

VALUE = "object_f1"


def cross_validated(job: Job, folder: Path) -> Iterator[FoldScore]:
    """Train and score a recipe fold by fold; images of the test set are never read.

    Parameters
    ----------
    job
        With the recipe as its parameters.
    folder
        For checkpoints: what was trained before an interruption is not trained again.
    """
    with without_startup_messages():
        from sgseg.training.out_of_fold import FoldResult, cross_validate, score  # noqa: PLC0415

    results: list[FoldResult] = []
    for result in cross_validate(
        job.params,
        dataset=job.dataset,
        roles=pd.read_csv(job.roles, dtype=str, keep_default_na=False),
        folds=job.folds,
        checkpoints=folder / "checkpoints",
    ):
        results.append(result)
        counts = score(results, job.params)
        scores = point_scores(counts)
        fold_of = {image.image_id: done.fold for done in results for image in done.images}
        speeds = [done.milliseconds_per_megapixel for done in results]
        yield FoldScore(
            fold=result.fold,
            value=scores[VALUE],
            scores=scores,
            by_fold=_by_fold(counts, fold_of),
            cost=_cost(job.params, speeds),
            history=result.history,
        )


def _by_fold(counts: Sequence[ImageCounts], fold_of: dict[str, int]) -> dict[int, Scores]:
    return {
        fold: point_scores([item for item in counts if fold_of[item.image_id] == fold])
        for fold in sorted(set(fold_of.values()))
    }


def _cost(params: Params, milliseconds_per_megapixel: Sequence[float]) -> float | None:
    """Multiply-adds per pixel, or measured milliseconds per megapixel on this machine."""
    if params.tune.cost == "multiply_adds":
        from sgseg.nets import build_network, multiply_adds_per_pixel  # noqa: PLC0415

        network = build_network(**params.network.model_dump())
        return multiply_adds_per_pixel(network) * params.predict.orientations
    if params.tune.cost == "milliseconds":
        return sum(milliseconds_per_megapixel) / len(milliseconds_per_megapixel)
    return None
