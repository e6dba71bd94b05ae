"""Champion beside challenger: pictures of the images on which they differ most, and the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from sgseg.evaluation.pictures import Case, add_legend, agreement, as_gray, save_figure
from sgseg.gate.decision import Check, Decision, UsedImage
from sgseg.gate.rule import LOWER_IS_BETTER, TITLES
from sgseg.images.write import overlay

PICTURES = 4
WINDOW_PX = 256
"""Of a larger image, a window of this size is shown: a granule is a few pixels wide."""
FARTHEST = 8.0
"""Margins: beyond, an interval is cut off for the others to be seen."""
Labels = NDArray[np.int32]
GOOD, BAD = (0 / 255, 114 / 255, 178 / 255), (213 / 255, 94 / 255, 0 / 255)


@dataclass(frozen=True)
class Comparison:
    """An image (H, W) with its truth and what each model found; `champion` is None without one."""

    pixels: NDArray[Any]
    truth: Labels
    champion: Labels | None
    challenger: Labels


def most_different(decision: Decision, number: int = PICTURES) -> list[UsedImage]:
    """The images on which the two differ most; without a champion the worst ones.

    By object F1, foreground IoU and the share of false granules: in an empty control, where the
    first two are 0 from the first false granule on, the last one tells two from twenty.
    """

    def difference(image: UsedImage) -> float:
        mine, theirs = image.challenger, image.champion
        if theirs is None:
            return 2 - mine.object_f1 - mine.foreground_iou
        return (
            abs(mine.object_f1 - theirs.object_f1)
            + abs(mine.foreground_iou - theirs.foreground_iou)
            + abs(mine.false - theirs.false) / (1 + image.granules)
        )

    ranked = sorted(decision.images, key=lambda image: (-difference(image), image.image_id))
    return [image for image in ranked if difference(image) > 0][:number]


def save_comparison(path: Path, shown: Comparison) -> None:
    """Image, truth, champion and challenger in a row, right and wrong granules by colour."""
    part = densest(shown)
    pixels, truth = shown.pixels[part], shown.truth[part]
    panels = [("image", as_gray(pixels)), ("truth", overlay(pixels, truth))]
    for name, found in (("champion", shown.champion), ("challenger", shown.challenger)):
        if found is not None:
            panels.append((name, agreement(Case(name, pixels, truth, found[part]))))
    height, width = truth.shape
    figure = Figure(
        figsize=(3.1 * len(panels), 3.1 * min(1.5, height / width) + 0.7), layout="constrained"
    )
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (name, panel) in zip(axes, panels, strict=True):
        axis.imshow(panel, interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(name, fontsize=10)
    add_legend(figure)
    save_figure(path, figure)


def densest(shown: Comparison, size: int = WINDOW_PX) -> tuple[slice, slice]:
    """The window of at most `size` px with most pixels on which the two, or truth, disagree."""
    other = shown.truth if shown.champion is None else shown.champion
    apart = ((shown.challenger > 0) != (other > 0)).astype(np.float32)
    window = tuple(min(size, side) for side in apart.shape)
    share = ndimage.uniform_filter(apart, window, mode="constant")
    middle = np.unravel_index(int(share.argmax()), share.shape)
    starts = [
        int(np.clip(centre - length // 2, 0, side - length))
        for centre, length, side in zip(middle, window, apart.shape, strict=True)
    ]
    rows, columns = (
        slice(start, start + length) for start, length in zip(starts, window, strict=True)
    )
    return rows, columns


def save_differences(path: Path, checks: Sequence[Check]) -> None:
    """What the challenger gains of each score in units of its margin, with the 95 % interval.

    To the right is better, also where less is better; left of -1 more is lost than the rule allows.
    """
    figure = Figure(figsize=(8, 0.42 * len(checks) + 1.1), layout="constrained")
    axis = figure.subplots()
    reach = 2.0
    for row, check in enumerate(reversed(checks)):
        value, low, high = gain_in_margins(check)
        colour = BAD if check.passed is False else GOOD
        axis.plot([low, high], [row, row], color=colour, linewidth=2)
        axis.plot(value, row, "o", color=colour)
        reach = max(reach, *(abs(end) for end in (value, low, high)))
    reach = min(reach, FARTHEST)
    axis.axvline(0, color="0.3", linewidth=1)
    axis.axvspan(-2 * reach, -1, color=BAD, alpha=0.12, linewidth=0)
    axis.set_yticks(range(len(checks)), [TITLES[check.score] for check in reversed(checks)])
    axis.set(xlim=(-1.05 * reach, 1.05 * reach), ylim=(-0.6, len(checks) - 0.4))
    said = "← worse      gain of the challenger, in margins of the rule      better →"
    axis.set_xlabel(said, fontsize=9)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    save_figure(path, figure)


def drawn(checks: Sequence[Check]) -> list[Check]:
    """The checks of a difference that is known, by a margin that it can be divided by."""
    return [
        check
        for check in checks
        if check.difference is not None
        and check.difference["value"] is not None
        and check.limit > 0
    ]


def gain_in_margins(check: Check) -> tuple[float, float, float]:
    """The gain and its interval, more is better; without an interval the gain alone."""
    assert check.difference is not None
    assert check.difference["value"] is not None
    unit = (-1 if check.score in LOWER_IS_BETTER else 1) * check.limit
    value = check.difference["value"]
    ends = [
        (value if end is None else end) / unit
        for end in (check.difference["low"], check.difference["high"])
    ]
    return value / unit, min(ends), max(ends)
