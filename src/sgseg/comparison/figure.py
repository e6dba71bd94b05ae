"""The comparison as a picture: the difference of each image, and B against A."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sgseg.comparison.paired import LOWER_IS_BETTER, SCORES
from sgseg.comparison.text import Compared

# Okabe & Ito's palette: told apart with any colour vision; shapes also in gray.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#999999")
SHAPES = ("o", "s", "^", "D", "v", "P", "X")
NAMED = 60
"""Up to so many images have their names at the axis."""
LONGEST = 28
"""Characters of a name that are shown."""


def write_figure(path: Path, found: Compared, kinds: pd.Series[str]) -> None:
    """Write the picture (PNG).

    Parameters
    ----------
    kinds
        By image_id, what the points are coloured and sorted by (the condition); empty: nothing.
    """
    images = found.result.images.copy()
    images["kind"] = images["image_id"].map(kinds) if len(kinds) else ""
    images["kind"] = images["kind"].fillna("unknown").astype(str)
    images = images.sort_values(["kind", "difference"], kind="stable").reset_index(drop=True)
    rows = min(len(images), NAMED)
    figure = Figure(figsize=(11, max(4.2, 0.16 * rows + 1.2)), layout="constrained")
    FigureCanvasAgg(figure)
    dots, scatter = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _differences(dots, images, found)
    _scatter(scatter, images, found)
    if len(set(images["kind"])) > 1:
        scatter.legend(loc="best", fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, format="png")


def _differences(axis: Axes, images: pd.DataFrame, found: Compared) -> None:
    """Images in rows, by kind and then by difference; the pooled difference as a band."""
    row, title = found.result.row(found.result.score), SCORES[found.result.score]
    axis.axvline(0, color="black", linewidth=0.8)
    if row.difference is not None and row.low is not None and row.high is not None:
        axis.axvspan(row.low, row.high, color="#999999", alpha=0.25, linewidth=0)
        axis.axvline(row.difference, color="#666666", linestyle="--", linewidth=1)
        axis.set_title("band: all images together, 95 % interval", fontsize=8, color="#555555")
    for i, (_, part) in enumerate(images.groupby("kind")):
        axis.hlines(part.index, 0, part["difference"], color=_colour(i), linewidth=0.8, alpha=0.6)
        axis.plot(part["difference"], part.index, _shape(i), color=_colour(i), markersize=4)
    if len(images) <= NAMED:
        axis.set_yticks(range(len(images)), [_short(name) for name in images["image_id"]])
        for label in axis.get_yticklabels():
            label.set(fontsize=6, parse_math=False)
    else:
        axis.set_yticks([])
        axis.set_ylabel(f"{len(images)} images")
    better = "left" if found.result.score in LOWER_IS_BETTER else "right"
    axis.set_xlabel(f"B - A, {title} ({better}: B is better)")
    axis.margins(y=0.02)


def _scatter(axis: Axes, images: pd.DataFrame, found: Compared) -> None:
    """A point per image; on the diagonal they are equal."""
    title = SCORES[found.result.score]
    both = pd.concat([images["a"], images["b"]])
    low, high = (float(both.min()), float(both.max())) if len(both) else (0.0, 1.0)
    margin = 0.04 * (high - low) or 0.05
    limits = (low - margin, high + margin)
    axis.plot(limits, limits, color="black", linewidth=0.8)
    for i, (kind, part) in enumerate(images.groupby("kind")):
        axis.plot(
            part["a"],
            part["b"],
            _shape(i),
            color=_colour(i),
            markersize=5,
            alpha=0.75,
            label=_short(str(kind)),
        )
    axis.set(xlim=limits, ylim=limits, aspect="equal")
    axis.set_xlabel(f"A: {_short(found.a.name, 48)}", parse_math=False, fontsize=8)
    axis.set_ylabel(f"B: {_short(found.b.name, 48)}", parse_math=False, fontsize=8)
    axis.set_title(f"{title}, by image", fontsize=9)


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _shape(index: int) -> str:
    return SHAPES[index % len(SHAPES)]


def _short(text: str, length: int = LONGEST) -> str:
    return text if len(text) <= length else f"{text[: length - 4]} ..."
