"""Drift as a figure: each statistic of the images of before and of the new ones, a point each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from sgseg.evaluation.pictures import save_figure
from sgseg.retrain.drift import Drift, Shift

# Okabe & Ito's palette, and gray: told apart with any colour vision.
BEFORE, NEW, FLAG = "#777777", "#0072b2", "#d55e00"
COLUMNS = 4
DECADES = 30
"""Times the smallest value that the largest is, from which on the axis is logarithmic."""
MOST_POINTS = 300
"""Of more images an even choice of the sorted values is drawn."""


def drawn(drift: Drift) -> list[Shift]:
    """The statistics that vary and are known on both sides, the flagged ones first."""
    shown = [shift for shift in drift.shifts if shift.before and shift.new and not shift.constant]
    return sorted(shown, key=lambda shift: not shift.flagged)


def save_drift(path: Path, shifts: Sequence[Shift]) -> None:
    """A small panel per statistic: points, and the median as a line; flagged ones in orange."""
    columns = min(COLUMNS, len(shifts))
    rows = -(-len(shifts) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.1 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, shift in zip(axes, shifts, strict=False):
        _panel(axis, shift)
    for axis in axes[len(shifts) :]:
        axis.set_visible(False)
    save_figure(path, figure)


def _panel(axis: Axes, shift: Shift) -> None:
    colours = (BEFORE, FLAG if shift.flagged else NEW)
    for place, (values, colour) in enumerate(zip((shift.before, shift.new), colours, strict=True)):
        points = _few(values)
        axis.plot(place + _aside(len(points)), points, ".", color=colour, alpha=0.6, markersize=5)
        axis.plot([place - 0.33, place + 0.33], [np.median(values)] * 2, color=colour, linewidth=2)
    # Brightness and counts spread over decades; a share may well be 0.
    values = (*shift.before, *shift.new)
    if min(values) > 0 and max(values) > DECADES * min(values):
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    weight = "bold" if shift.flagged else "normal"
    axis.set_title(shift.title, fontsize=8, fontweight=weight)
    axis.set_xticks([0, 1], [f"before ({len(shift.before)})", f"new ({len(shift.new)})"])
    axis.set_xlim(-0.6, 1.6)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)


def _few(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    if len(ordered) <= MOST_POINTS:
        return ordered
    places = np.linspace(0, len(ordered) - 1, MOST_POINTS).round().astype(int)
    return [ordered[place] for place in places]


def _aside(count: int) -> np.ndarray:
    """Shifts to the side, the same every time, so that points of like values do not hide."""
    # Multiples of the golden ratio fill an interval evenly, however many there are.
    return (np.arange(count) * 0.6180339887 % 1 - 0.5) * 0.5
