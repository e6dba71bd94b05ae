"""Pictures of results: image, truth and prediction side by side, and curves. Files, no display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sgseg.images.write import overlay

# Okabe & Ito's palette: told apart with any colour vision.
TRUE_POSITIVE = (0, 158, 115)
FALSE_POSITIVE = (230, 159, 0)
FALSE_NEGATIVE = (86, 180, 233)
COLOURS = {
    "granule found": TRUE_POSITIVE,
    "found, but not in the truth": FALSE_POSITIVE,
    "missed": FALSE_NEGATIVE,
}


@dataclass(frozen=True)
class Case:
    """One image with its truth and prediction, all (H, W)."""

    title: str
    pixels: NDArray[Any]
    truth: NDArray[np.int32]
    predicted: NDArray[np.int32]


def as_gray(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """The image without any outline, as `overlay` shows it: (H, W) -> (H, W, 3) uint8."""
    return overlay(pixels, np.zeros(pixels.shape, dtype=np.int32))


def agreement(case: Case) -> NDArray[np.uint8]:
    """The image, darkened, with true and predicted foreground in colour, (H, W, 3) uint8."""
    picture = as_gray(case.pixels) // 2
    truth, predicted = case.truth > 0, case.predicted > 0
    for colour, where in (
        (TRUE_POSITIVE, truth & predicted),
        (FALSE_POSITIVE, predicted & ~truth),
        (FALSE_NEGATIVE, truth & ~predicted),
    ):
        picture[where] = colour
    return picture


def save_gallery(path: Path, cases: Sequence[Case]) -> None:
    """One row per case: image, truth, prediction, agreement by colour."""
    columns = ("image", "truth", "prediction", "agreement")
    figure = Figure(figsize=(3 * len(columns), 3.2 * len(cases) + 0.5), layout="constrained")
    axes = figure.subplots(len(cases), len(columns), squeeze=False)
    for row, case in zip(axes, cases, strict=True):
        panels = (
            as_gray(case.pixels),
            overlay(case.pixels, case.truth),
            overlay(case.pixels, case.predicted),
            agreement(case),
        )
        for axis, panel in zip(row, panels, strict=True):
            axis.imshow(panel, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        # A file name may hold a `$`, which would start a formula.
        row[0].set_title(case.title, fontsize=9, loc="left", parse_math=False)
    for axis, name in zip(axes[0][1:], columns[1:], strict=True):
        axis.set_title(name, fontsize=9)
    add_legend(figure)
    save_figure(path, figure)


def add_legend(figure: Figure) -> None:
    """Below a figure, what the colours of `agreement` mean."""
    figure.legend(
        handles=[
            Patch(color=(red / 255, green / 255, blue / 255), label=name)
            for name, (red, green, blue) in COLOURS.items()
        ],
        loc="outside lower center",
        ncols=3,
        fontsize=9,
        frameon=False,
    )


def save_training_curves(path: Path, history: Sequence[Mapping[str, float]], best: int) -> None:
    """Loss, pixel and object scores of a fold over its epochs; a line marks the epoch kept."""
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    panels = (("loss",), ("iou", "dice"), ("object_f1",))
    for axis, names in zip(figure.subplots(1, 3), panels, strict=True):
        for name in names:
            for prefix, style in (("", "--"), ("val_", "-")):
                if prefix + name in history[0]:
                    axis.plot(
                        range(1, len(history) + 1),
                        [scores[prefix + name] for scores in history],
                        style,
                        label=f"{'validation' if prefix else 'training'} {name}",
                    )
        axis.axvline(best, color="0.6", linewidth=1)
        axis.set_xlabel("epoch")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    save_figure(path, figure)


def save_curve(
    path: Path, curves: Mapping[str, tuple[Any, Any]], *, x: str, y: str, title: str
) -> None:
    """Lines y over x on the unit square, such as ROC or precision over recall."""
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axis = figure.subplots()
    for name, (across, up) in curves.items():
        axis.plot(across, up, label=name)
    axis.set(xlim=(0, 1), ylim=(0, 1.01), xlabel=x, ylabel=y, title=title)
    axis.legend(fontsize=8)
    save_figure(path, figure)


def save_figure(path: Path, figure: Figure) -> None:
    """PNG without a time stamp: the same figure gives the same bytes."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110, metadata={"Software": None})
