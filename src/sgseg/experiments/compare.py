"""Methods side by side: scores with intervals, and differences with intervals of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sgseg.config import Params
from sgseg.evaluation.baseline import baseline_qualities, segment_classically
from sgseg.evaluation.data import DataSet
from sgseg.evaluation.operating import cross_fitted
from sgseg.evaluation.summary import ImageCounts, count_image, score, summarise
from sgseg.evaluation.table import CEILING

# What an experiment shows, and how a reader knows it.
SHOWN = {
    "object_f1": "object F1",
    "foreground_iou": "foreground IoU",
    "foreground_dice": "Dice",
    "object_f1_50": "object F1 at IoU 0.5",
}
Interval = dict[str, float | None]


def with_intervals(counts: Sequence[ImageCounts], params: Params) -> dict[str, Interval]:
    """The scores in `SHOWN`: value, low and high of the 95 % interval over groups."""
    settings = params.evaluate
    found = summarise(_plain(counts), resamples=settings.bootstrap, seed=settings.seed)
    return {name: found[name] for name in SHOWN}


def paired_difference(
    counts: Sequence[ImageCounts], reference: Sequence[ImageCounts], *, resamples: int, seed: int
) -> dict[str, Interval]:
    """What a method gains over another on the same images, with a 95 % interval over groups.

    In each resample both are scored on the same groups: that some groups are harder than others,
    which makes most of the interval of a single score, cancels out (Efron & Tibshirani 1993,
    doi:10.1007/978-1-4899-4541-9, chapter 13).

    Raises
    ------
    ValueError
        They are not scores of the same images.
    """
    mine, theirs = ({c.image_id: c for c in side} for side in (_plain(counts), _plain(reference)))
    if mine.keys() != theirs.keys():
        raise ValueError("two methods can be compared on the same images only")
    names = sorted(mine)
    groups, member = np.unique([mine[name].group for name in names], return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=resamples)
    # The first row counts each image once.
    weights = np.vstack([np.ones(len(names)), draws[:, member]])
    a, b = (score([side[name] for name in names], weights) for side in (mine, theirs))
    result = {}
    for name in SHOWN:
        value, *resampled = a[name] - b[name]
        low, high = np.percentile(resampled, [2.5, 97.5]) if len(groups) > 1 else (None, None)
        result[name] = {"value": _rounded(value), "low": _rounded(low), "high": _rounded(high)}
    return result


def classical(params: Params, data: DataSet) -> list[ImageCounts]:
    """Each development image by a difference of Gaussians that was tuned on the other folds."""
    grid, object_iou = params.evaluate.baseline, params.evaluate.object_iou
    tables = {
        image_id: baseline_qualities(
            data.pixels(image_id),
            data.truth(image_id),
            sigmas_small=grid.sigmas_small,
            sigmas_large=grid.sigmas_large,
            deviations=grid.deviations,
            min_areas_px=params.evaluate.min_areas_px,
            object_iou=object_iou,
        )
        for image_id in data.fold_of
    }
    points = cross_fitted(tables, data.fold_of)
    return [
        count_image(
            image_id,
            data.group[image_id],
            truth=data.truth(image_id),
            predicted=segment_classically(data.pixels(image_id), points[fold]),
            object_iou=object_iou,
        )
        for image_id, fold in data.fold_of.items()
    ]


def ceiling_scores(copies: Mapping[str, Any]) -> dict[str, Interval]:
    """Scores of one mask of an image against another, as `ingest` wrote them, without intervals."""
    ceiling = copies.get("ceiling") or {}
    return {
        name: {"value": ceiling[key], "low": None, "high": None}
        for name, key in CEILING.items()
        if key in ceiling
    }


def as_row(scores: Mapping[str, Interval], suffix: str = "") -> dict[str, float | None]:
    """Columns of a table: `object_f1`, `object_f1_low`, `object_f1_high` and so on."""
    return {
        f"{name}{suffix}{'' if part == 'value' else f'_{part}'}": number
        for name, entry in scores.items()
        for part, number in entry.items()
    }


def as_cell(entry: Interval | None, *, signed: bool = False, interval: bool = True) -> str:
    """`0.790 [0.72, 0.85]`, a gain as `+0.021 [-0.012, +0.049]`, or '' where there is none."""
    value, low, high = entry.values() if entry else (None, None, None)
    if value is None:
        return ""
    number, bound = ("+.3f", "+.3f") if signed else (".3f", ".2f")
    if not interval or low is None or high is None:
        return f"{value:{number}}"
    return f"{value:{number}} [{low:{bound}}, {high:{bound}}]"


def _plain(counts: Sequence[ImageCounts]) -> list[ImageCounts]:
    """Without the histograms: the areas under curves, which take long, are not shown."""
    return [replace(c, histogram=None) for c in counts]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)
