"""How the sizes of granules are distributed, over conditions and replicates: a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

from sgseg.quantify.measures import Found, observations
from sgseg.quantify.palette import COLOURS, LINES
from sgseg.quantify.statistics import Statistics

MIN_GRANULES = 10
"""A replicate with fewer has no distribution to speak of."""


def sizes_of(statistics: Statistics, found: Found) -> pd.DataFrame:
    """The areas that are shown: condition, replicate, value; of replicates with enough granules."""
    rows = observations(statistics.tables, found)
    rows = rows[rows["value"] > 0]
    count = rows.groupby(["condition", "replicate"])["value"].transform("size")
    return rows[count >= MIN_GRANULES]


def size_distribution(statistics: Statistics, found: Found, *, bins: int = 16) -> Figure:
    """Areas of granules: histogram and cumulative share, on a logarithmic axis."""
    rows = sizes_of(statistics, found)
    low, high = rows["value"].min(), rows["value"].max()
    if high <= low:
        low, high = low / 2, high * 2
    edges = np.geomspace(low, high * 1.0001, bins + 1)
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    handles = []
    for place, name in enumerate(statistics.names):
        look: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": LINES[place % len(LINES)],
        }
        mine = rows[rows["condition"] == name]
        if mine.empty:
            continue
        shares = np.array(
            [
                np.histogram(part["value"], edges)[0] / len(part)
                for _, part in mine.groupby("replicate", sort=True)
            ]
        )
        steps = np.hstack([np.zeros((len(shares), 1)), shares.cumsum(axis=1)])
        for axis, values, across in ((left, shares, edges), (right, steps, edges)):
            _draw_lines(axis, values, across, look)
        handles.append(Line2D([], [], **look, linewidth=2, label=name or "all fields"))
    left.set(xscale="log", xlabel=found.label, ylabel="share of granules per bin", ylim=(0, None))
    right.set(xscale="log", xlabel=found.label, ylabel="cumulative share", ylim=(0, 1.01))
    for axis in (left, right):
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    left.yaxis.set_major_locator(MaxNLocator(5))
    if len(statistics.names) > 1:
        legend = right.legend(
            handles=handles, fontsize=8, frameon=False, loc="lower right", handlelength=3.5
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _draw_lines(axis: Axes, values: Any, across: Any, look: dict[str, Any]) -> None:
    """Replicates as thin lines and their mean as a thick one; a value per bin, or per edge."""
    if values.shape[1] < len(across):
        across = np.sqrt(across[:-1] * across[1:])
    for line in values:
        axis.plot(across, line, **look, linewidth=0.6, alpha=0.4)
    axis.plot(across, values.mean(axis=0), **look, linewidth=2)
