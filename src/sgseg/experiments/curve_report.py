"""Figure, table and page of a learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from sgseg.config import Params
from sgseg.evaluation.pictures import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE, save_figure
from sgseg.experiments.compare import SHOWN, Interval, as_cell, as_row
from sgseg.experiments.learning_curve import Point

DRAWN = ("object_f1", "foreground_iou")
STARTS = {False: "not pre-trained", True: "pre-trained on simulated fields"}


def _colour(rgb: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = rgb
    return red / 255, green / 255, blue / 255


COLOURS = {False: _colour(FALSE_NEGATIVE), True: _colour(TRUE_POSITIVE)}
BASELINE_COLOUR = _colour(FALSE_POSITIVE)


def write_learning_curve(
    folder: Path,
    points: Sequence[Point],
    params: Params,
    *,
    baseline: Mapping[str, Interval],
    ceiling: Mapping[str, Interval],
) -> None:
    """Write `curve.csv`, `curve.png` and `report.md`.

    Parameters
    ----------
    baseline
        Scores of the classical method on the same images.
    ceiling
        Scores of one mask of an image against another.
    """
    pd.DataFrame([_row(point) for point in points]).to_csv(folder / "curve.csv", index=False)
    save_learning_curve(folder / "curve.png", points, baseline=baseline, ceiling=ceiling)
    page = _page(points, params, baseline, ceiling)
    (folder / "report.md").write_text(page, encoding="utf-8")


def save_learning_curve(
    path: Path,
    points: Sequence[Point],
    *,
    baseline: Mapping[str, Interval],
    ceiling: Mapping[str, Interval],
) -> None:
    """Scores over the number of training images, with 95 % intervals, between two lines.

    One is what the classical method reaches, the other how well two labellers agree.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(DRAWN)), DRAWN, strict=True):
        for pretrained, start in STARTS.items():
            _draw(axis, [p for p in points if p.pretrained == pretrained], name, start, pretrained)
        for lines, label, style in (
            (baseline, "difference of Gaussians", {"color": BASELINE_COLOUR, "linestyle": "--"}),
            (ceiling, "two labellers", {"color": "0.4", "linestyle": ":"}),
        ):
            if name in lines:
                axis.axhline(lines[name]["value"], linewidth=1.5, label=label, **style)
        _label_axis(axis, points)
        axis.set_title(SHOWN[name], fontsize=10)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    save_figure(path, figure)


def _draw(axis: Axes, points: Sequence[Point], name: str, label: str, pretrained: bool) -> None:
    # A little apart, so that one interval does not hide the other.
    across = [point.images * (1.02 if pretrained else 1 / 1.02) for point in points]
    values = np.array([point.scores[name]["value"] for point in points], dtype=float)
    axis.plot(across, values, "o-", color=COLOURS[pretrained], label=label, markersize=4)
    for x, point in zip(across, points, strict=True):
        low, high = point.scores[name]["low"], point.scores[name]["high"]
        if low is not None and high is not None:
            axis.plot([x, x], [low, high], color=COLOURS[pretrained], linewidth=1, alpha=0.7)


def _label_axis(axis: Axes, points: Sequence[Point]) -> None:
    sizes = sorted({round(point.images) for point in points})
    axis.set_xscale("log")
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("images to train on", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(axis="y", color="0.92")


def _row(point: Point) -> dict[str, object]:
    return {
        "size": point.size,
        "pretrained": point.pretrained,
        "images": round(point.images, 2),
        "groups": round(point.groups, 2),
        "steps": round(point.steps, 1),
        **as_row(point.scores),
        "seconds": round(point.seconds, 1),
    }


def _page(
    points: Sequence[Point],
    params: Params,
    baseline: Mapping[str, Interval],
    ceiling: Mapping[str, Interval],
) -> str:
    columns = [
        "images (mean of folds)",
        "groups",
        "pre-trained",
        *SHOWN.values(),
        "steps",
        "seconds",
    ]
    lines = [
        [
            f"{point.images:.1f}",
            f"{point.groups:.1f}",
            "yes" if point.pretrained else "no",
            *(as_cell(point.scores[name]) for name in SHOWN),
            f"{point.steps:.0f}",
            f"{point.seconds:.0f}",
        ]
        for point in points
    ]
    for title, scores in (("difference of Gaussians", baseline), ("two labellers", ceiling)):
        lines.append([title, "", "", *(as_cell(scores.get(name)) for name in SHOWN), "", ""])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * 9, *lines))
    settings = params.evaluate
    changes = ", ".join(f"{key} {value}" for key, value in params.learning_curve.pretrained.items())
    return f"""# {params.data.source}: how good from how few images

![learning curve](curve.png)

{table}

Out of fold: each image by a network that neither trained on its group nor was stopped by it, at a
threshold and minimum area chosen on the other folds; a granule counts as found at IoU
{settings.object_iou}. Intervals are over groups ({settings.bootstrap} bootstrap resamples); what
another choice of the training images would change is not in them.

Of each fold's training images whole groups were drawn at random, the smaller sets within the
larger ones. All were trained for about the same number of steps: of fewer images more patches are
cut in an epoch (train.coverage), and what rounding leaves is made up for by more epochs. The images
that stop the training are the same for every size, and not counted. Pre-trained: {changes}.
"""
