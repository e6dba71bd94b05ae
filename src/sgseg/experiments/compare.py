"""Methods side by side: scores with intervals, and differences with intervals of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sgseg.config import Params
from sgseg.evaluation.baseline import segment_classically
from sgseg.evaluation.cross_validation import baseline_tables
from sgseg.evaluation.data import DataSet
from sgseg.evaluation.operating import cross_fitted
from sgseg.evaluation.summary import ImageCounts, count_image, summarise
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


def classical(params: Params, data: DataSet) -> list[ImageCounts]:
    """Each development image by a difference of Gaussians that was tuned on the other folds."""
    tables = baseline_tables(params, data)
    points = cross_fitted(tables, data.fold_of)
    return [
        count_image(
            image_id,
            data.group[image_id],
            truth=data.truth(image_id),
            predicted=segment_classically(data.pixels(image_id), points[fold]),
            object_iou=params.evaluate.object_iou,
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
