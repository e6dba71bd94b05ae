"""Scores of champion and challenger as rows of text: by score, by condition, by replicate.

From what the gate counted on each image; no model is run here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sgseg.evaluation.summary import ImageCounts, paired_difference, point_scores
from sgseg.evaluation.table import CEILING, HEADLINE
from sgseg.gate.decision import Decision, ImageScores, Interval, UsedImage
from sgseg.gate.rule import LOWER_IS_BETTER, TITLES, signed
from sgseg.scores import Confusion, ObjectCounts

Side = Literal["challenger", "champion"]
SHOWN = (
    "object_f1",
    "object_precision",
    "object_recall",
    "foreground_iou",
    "pooled_iou",
    "count_error",
    "false_per_empty",
)
COUNTED = tuple(name for name in SHOWN if name != "pooled_iou")
"""Scores that follow from what decision.json keeps of each image."""
_PARTS = 1_000_000
"""decision.json keeps an image's IoU to six digits, not its pixels."""
FEWEST_GROUPS = 3
"""From which on an interval is shown: two groups can be drawn in three ways only."""


@dataclass(frozen=True)
class ScoreRow:
    """A score of both models, as text; empty where there is none."""

    title: str
    champion: str
    challenger: str
    difference: str
    said: str


@dataclass(frozen=True)
class PartRow:
    """Both models on the images of one condition or replicate, as text: `champion → challenger`."""

    name: str
    images: int
    granules: int
    f1: str
    difference: str
    iou: str
    false: str


def score_rows(decision: Decision) -> list[ScoreRow]:
    """Each score on the same test images, with the paired difference."""
    differences = _differences(decision, decision.images, COUNTED) if decision.champion else {}
    differences |= {
        check.score: check.difference
        for check in decision.checks
        if check.difference is not None and check.score not in differences
    }
    rows = []
    for name in SHOWN:
        mine = decision.challenger.scores.get(name)
        theirs = decision.champion.scores.get(name) if decision.champion else None
        change = differences.get(name)
        if mine is not None or theirs is not None:
            rows.append(
                ScoreRow(
                    TITLES[name],
                    interval(theirs),
                    interval(mine),
                    signed(change) if change else "",
                    in_words(name, change),
                )
            )
    return rows


def in_words(name: str, change: Interval | None) -> str:
    """Whether a difference is for the better, and whether its interval leaves that open."""
    if change is None or change["value"] is None:
        return ""
    low, high = change["low"], change["high"]
    if low is None or high is None:
        return "no interval"
    if low <= 0 <= high:
        return "may be chance"
    return "better" if (low > 0) != (name in LOWER_IS_BETTER) else "worse"


def other_rows(
    champion: Mapping[str, Any], challenger: Mapping[str, Any], metrics: Mapping[str, Any]
) -> list[list[str]]:
    """Out of fold of both, the baseline and two labellers: a row of text per score.

    Parameters
    ----------
    champion, challenger
        `scores` among the facts of their bundles; {} where there are none.
    metrics
        Of the last evaluation (metrics.json), for baseline and ceiling.
    """
    ceiling = metrics.get("label_ceiling") or {}
    rows = []
    for name in ("object_f1", "object_precision", "object_recall", "foreground_iou"):
        cells = [
            *(
                interval((side.get("out_of_fold") or {}).get(name))
                for side in (champion, challenger)
            ),
            *(
                interval((metrics.get(part) or {}).get(name))
                for part in ("baseline_out_of_fold", "baseline_test")
            ),
            _number(ceiling.get(CEILING.get(name, ""))),
        ]
        if any(cells):
            rows.append([HEADLINE[name], *cells])
    return rows


def part_rows(decision: Decision, parts: Mapping[str, str]) -> list[PartRow]:
    """Both models on the images of each part.

    Parameters
    ----------
    parts
        Name of the condition or replicate by image id; images without one are a part of their own.
    """
    members: dict[str, list[UsedImage]] = {}
    for image in decision.images:
        members.setdefault(parts.get(image.image_id) or "", []).append(image)
    named = sorted(members, key=lambda name: (name == "", name))
    return [_part_row(decision, name or "unknown", members[name]) for name in named]


def _part_row(decision: Decision, name: str, images: Sequence[UsedImage]) -> PartRow:
    granules = sum(image.granules for image in images)
    scores = [_scores(images, side) for side in ("champion", "challenger")]
    false = [
        sum(count.objects.fp for count in counts)
        for side in ("champion", "challenger")
        if (counts := counts_of(images, side))
    ]
    # Without a granule in the truth, F1 is 0 from the first false one on: it says nothing.
    difference = _differences(decision, images, ("object_f1",)) if granules else {}
    return PartRow(
        name,
        len(images),
        granules,
        _both([side.get("object_f1") for side in scores]) if granules else "",
        signed(difference["object_f1"]) if difference else "",
        _both([side.get("foreground_iou") for side in scores]),
        " → ".join(map(str, false)),
    )


def _both(values: Sequence[float | None]) -> str:
    return " → ".join(f"{value:.3f}" for value in values if value is not None)


def _scores(images: Sequence[UsedImage], side: str) -> dict[str, float | None]:
    counts = counts_of(images, side)
    return point_scores(counts) if counts else {}


def _differences(
    decision: Decision, images: Sequence[UsedImage], names: Sequence[str]
) -> dict[str, Interval]:
    mine, theirs = counts_of(images, "challenger"), counts_of(images, "champion")
    if not mine or not theirs:
        return {}
    found = paired_difference(
        [mine],
        [theirs],
        names=names,
        resamples=int(decision.settings["resamples"]),
        seed=int(decision.settings["seed"]),
    )
    if len({image.group for image in images}) >= FEWEST_GROUPS:
        return found
    return {name: {**value, "low": None, "high": None} for name, value in found.items()}


def counts_of(images: Sequence[UsedImage], side: str) -> list[ImageCounts]:
    """What the gate counted, as far as decision.json keeps it; [] if a model was not run.

    Objects are exact. Pixels give the right IoU of each image, and nothing else.
    """
    sides: list[ImageScores | None] = [getattr(image, side) for image in images]
    return [
        _counts(image, scores)
        for image, scores in zip(images, sides, strict=True)
        if scores is not None
    ]


def _counts(image: UsedImage, scores: ImageScores) -> ImageCounts:
    right = round(_PARTS * scores.foreground_iou)
    objects = ObjectCounts(scores.found, scores.false, image.granules - scores.found, 0.0)
    return ImageCounts(
        image.image_id, image.group, Confusion(right, _PARTS - right, 0, 0), objects, objects
    )


def interval(score: Mapping[str, Any] | None) -> str:
    """`0.787 [0.727, 0.880]`; without brackets where there is no interval."""
    if not score or score.get("value") is None:
        return ""
    text = f"{score['value']:.3f}"
    if score.get("low") is not None and score.get("high") is not None:
        text += f" [{score['low']:.3f}, {score['high']:.3f}]"
    return text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
