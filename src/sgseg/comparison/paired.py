"""What B gains over A on the same images: scores, intervals, wins and losses. Numbers alone.

Scores pool the counts of all images; the interval of a difference is drawn over groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from sgseg.evaluation.summary import ImageCounts, paired_difference, point_scores, score
from sgseg.scores import Confusion, ObjectCounts

SCORES = {
    "object_f1": "object F1",
    "object_precision": "object precision",
    "object_recall": "object recall",
    "foreground_iou": "foreground IoU, mean of images",
    "foreground_dice": "Dice, mean of images",
    "pooled_iou": "foreground IoU, all pixels together",
    "precision": "pixel precision",
    "recall": "pixel recall",
    "count_error": "error of the count per image",
    "false_per_empty": "false granules per empty image",
}
"""Those that follow from the counts in images.csv."""
LOWER_IS_BETTER = {"count_error", "false_per_empty"}
AT_OBJECT_IOU = {"object_f1", "object_precision", "object_recall"}
"""Those that depend on `evaluate.object_iou`."""
COUNTS = ("pixels_tp", "pixels_fp", "pixels_fn", "objects_tp", "objects_fp", "objects_fn")
SAME = 1e-9
"""Scores of an image that differ by less are the same."""
Verdict = Literal["A", "B", "tie", "no interval", "undefined"]


@dataclass(frozen=True)
class Row:
    """One score: of A, of B, and B minus A with its 95 % interval. None: not defined.

    There is no interval over a single group, nor for a score that some draws of groups do not have.
    """

    name: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None

    @property
    def verdict(self) -> Verdict:
        """Which is better; a tie if the interval includes 0."""
        if self.difference is None:
            return "undefined"
        if self.low is None or self.high is None:
            return "no interval"
        if self.low <= 0 <= self.high:
            return "tie"
        return "B" if (self.low > 0) != (self.name in LOWER_IS_BETTER) else "A"


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same images.

    Parameters
    ----------
    score
        The score by which images are told apart, a key of `SCORES`.
    rows
        Every score that can be compared.
    images
        By image: image_id, group, a, b and difference (B - A) of `score`; what differs most first.
        Images for which the score is not defined are left out.
    n_images, n_groups
        Compared.
    b_better, a_better, equal
        Number of rows of `images`.
    """

    score: str
    rows: tuple[Row, ...]
    images: pd.DataFrame
    n_images: int
    n_groups: int
    b_better: int
    a_better: int
    equal: int

    def row(self, name: str) -> Row:
        """The row of a score."""
        return next(row for row in self.rows if row.name == name)


def compare_counts(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    score_name: str,
    names: Sequence[str] = tuple(SCORES),
    resamples: int,
    seed: int,
) -> Comparison:
    """Compare two tables of counts of the same images.

    Parameters
    ----------
    a, b
        Columns image_id, group and `COUNTS`; a row per image, in the same order. Where the groups
        differ, images that share one in either table stay together.
    score_name
        By which images are told apart.
    names
        Scores to compare, `score_name` among them.
    resamples, seed
        Of the bootstrap over groups, see `paired_difference`.

    Raises
    ------
    ValueError
        The tables are not of the same images, or hold none.
    """
    if list(a["image_id"]) != list(b["image_id"]) or a.empty:
        raise ValueError("tables of the same images in the same order are needed")
    groups = joined_groups(a, b)
    counts = [counts_of(table, groups) for table in (a, b)]
    points = [point_scores(side) for side in counts]
    gained = paired_difference(
        [counts[1]], [counts[0]], names=names, resamples=resamples, seed=seed
    )
    n_groups = len(set(groups.values()))
    rows = tuple(
        Row(name, points[0][name], points[1][name], *_interval(gained[name])) for name in names
    )
    images = _by_image(counts, groups, score_name)
    better = images["difference"] * (-1 if score_name in LOWER_IS_BETTER else 1)
    wins, losses = int((better > SAME).sum()), int((better < -SAME).sum())
    return Comparison(
        score=score_name,
        rows=rows,
        images=images,
        n_images=len(a),
        n_groups=n_groups,
        b_better=wins,
        a_better=losses,
        equal=len(images) - wins - losses,
    )


def joined_groups(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, str]:
    """Group of every image; images that share one in A or in B are in one."""
    group = dict(zip(a["image_id"], a["group"].astype(str), strict=True))
    for _, members in b.groupby("group")["image_id"]:
        met = {group[image] for image in members}
        if len(met) > 1:
            first = min(met)
            group = {image: first if name in met else name for image, name in group.items()}
    return group


def counts_of(table: pd.DataFrame, groups: Mapping[str, str]) -> list[ImageCounts]:
    """The rows of a table as counts. True negatives and matches at IoU 0.5 are not in it."""
    unknown = ObjectCounts(0, 0, 0, 0.0)
    return [
        ImageCounts(
            image_id=str(image),
            group=groups[image],
            pixels=Confusion(int(p_tp), int(p_fp), int(p_fn), 0),
            objects=ObjectCounts(int(o_tp), int(o_fp), int(o_fn), 0.0),
            objects_50=unknown,
        )
        for image, p_tp, p_fp, p_fn, o_tp, o_fp, o_fn in table[["image_id", *COUNTS]].itertuples(
            index=False
        )
    ]


def _interval(entry: Mapping[str, float | None]) -> tuple[float | None, float | None, float | None]:
    return entry["value"], entry["low"], entry["high"]


def _by_image(
    counts: Sequence[Sequence[ImageCounts]], groups: Mapping[str, str], name: str
) -> pd.DataFrame:
    # Each image as a data set of its own.
    a, b = (score(side, np.eye(len(side)))[name] for side in counts)
    table = pd.DataFrame({"image_id": list(groups), "group": list(groups.values()), "a": a, "b": b})
    table["difference"] = table["b"] - table["a"]
    table = table[table["difference"].notna()]
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)
