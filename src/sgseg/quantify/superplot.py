"""One measure over conditions as a SuperPlot (Lord et al. 2020, doi:10.1083/jcb.202001064).

Small dots are cells, in the colour and shape of their replicate; large ones are the means of
replicates, on which the statistics rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sgseg.quantify.design import natural
from sgseg.quantify.dots import spread, thinned
from sgseg.quantify.measures import Found, observations
from sgseg.quantify.palette import COLOURS, SHAPES
from sgseg.quantify.statistics import Statistics

MOST_DOTS = 1500
"""Small dots per condition: more would be a blot, and heavy."""
MOST_NAMED = 8
"""Replicates named in a legend."""


def superplot(statistics: Statistics, found: Found, *, bars: str = "ci") -> Figure:
    """One measure over conditions: cells, means of replicates, mean of the condition."""
    names = statistics.names
    figure = Figure(figsize=(1.6 + 1.15 * max(len(names), 2), 3.5), layout="constrained")
    axis = figure.subplots()
    dots = dots_of(statistics, found)
    looks = _looks(statistics)
    for place, name in enumerate(names):
        _draw_dots(axis, place, dots[dots["condition"] == name], looks)
        _draw_mean(axis, place, _row(statistics, found, name), bars)
    _draw_replicates(axis, statistics, found, looks)
    axis.set_ylabel(found.label)
    if found.measure.has_ratio:
        # A little below 0, so that dots on it are whole.
        axis.set_ylim(bottom=-0.03 * axis.get_ylim()[1])
    if found.name == "positive_fraction":
        axis.set_ylim(-0.03, 1.03)
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.set_xticks(range(len(names)), [_label(statistics, found, name) for name in names])
    for text in axis.get_xticklabels():
        # A name may hold a `$`, which would start a formula.
        text.set_parse_math(False)
        if len(names) > 6:
            text.set(rotation=30, ha="right", rotation_mode="anchor")
    _write_p(axis, statistics, found)
    _legend(figure, looks)
    return figure


def dots_of(statistics: Statistics, found: Found) -> pd.DataFrame:
    """The values of the small dots: condition, replicate, value.

    A cell is positive or not, which makes no dot worth seeing: of positive cells a dot is the share
    in a field.
    """
    dots = observations(statistics.tables, found)
    if found.name == "positive_fraction":
        shares = dots.groupby(["condition", "replicate", "field"])["value"].mean()
        dots = shares.reset_index()
    return dots


def _looks(statistics: Statistics) -> dict[str, tuple[str, str]]:
    """Colour and shape of each replicate by its name, the same in all figures."""
    names = sorted(set(statistics.replicates["replicate"]), key=natural)
    return {
        name: (COLOURS[k % len(COLOURS)], SHAPES[k % len(SHAPES)]) for k, name in enumerate(names)
    }


def _draw_dots(
    axis: Axes, place: int, rows: pd.DataFrame, looks: dict[str, tuple[str, str]]
) -> None:
    shown = thinned(rows, MOST_DOTS)
    across = place + 0.8 * spread(shown["value"].to_numpy())
    for name, (colour, shape) in looks.items():
        mine = (shown["replicate"] == name).to_numpy()
        axis.scatter(
            across[mine],
            shown["value"].to_numpy()[mine],
            s=9,
            marker=shape,
            color=colour,
            alpha=0.45,
            linewidths=0,
            rasterized=True,
        )


def _draw_mean(axis: Axes, place: int, row: pd.Series, bars: str) -> None:
    if not np.isfinite(row["mean"]):
        return
    axis.hlines(row["mean"], place - 0.36, place + 0.36, color="black", linewidth=1.4, zorder=7)
    reach = {
        "ci": row["mean_high"] - row["mean"],
        "sem": row["sd"] / np.sqrt(row["n_replicates"]),
        "sd": row["sd"],
    }[bars]
    if np.isfinite(reach):
        axis.errorbar(place, row["mean"], reach, color="black", capsize=6, linewidth=1.4, zorder=7)


def _draw_replicates(
    axis: Axes, statistics: Statistics, found: Found, looks: dict[str, tuple[str, str]]
) -> None:
    table = statistics.replicates
    place = {name: number for number, name in enumerate(statistics.names)}
    # Side by side in each condition, not one above the other where replicates agree.
    rank = table.groupby("condition").cumcount() + 0.5
    size = table.groupby("condition")["replicate"].transform("size")
    across = table["condition"].map(place) + 0.6 * (rank / size - 0.5)
    for name, (colour, shape) in looks.items():
        mine = table["replicate"] == name
        if statistics.design.is_paired:
            axis.plot(across[mine], table.loc[mine, found.name], color="0.6", lw=0.7, zorder=2)
        axis.scatter(
            across[mine],
            table.loc[mine, found.name],
            s=46,
            marker=shape,
            color=colour,
            edgecolors="black",
            linewidths=0.8,
            zorder=6,
        )


def _label(statistics: Statistics, found: Found, name: str) -> str:
    n = int(_row(statistics, found, name)["n_replicates"])
    return f"{name or 'all fields'}\nn = {n}"


def _row(statistics: Statistics, found: Found, name: str) -> pd.Series:
    table = statistics.conditions
    return table[(table["measure"] == found.name) & (table["condition"] == name)].iloc[0]


def _write_p(axis: Axes, statistics: Statistics, found: Found) -> None:
    """Above each condition what its test says, if there is one."""
    table = statistics.comparisons
    for place, name in enumerate(statistics.names):
        rows = table[(table["measure"] == found.name) & (table["condition"] == name)]
        if len(rows):
            p = rows["p"].iloc[0]
            text = in_words(p) if np.isfinite(p) else "no p"
        elif name == statistics.design.reference:
            text = "reference"
        else:
            continue
        axis.annotate(
            text,
            (place, 1.02),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=8,
        )


def in_words(p: float) -> str:
    """A p-value as papers print it."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def _legend(figure: Figure, looks: dict[str, tuple[str, str]]) -> None:
    shown = [name for name in looks if name][:MOST_NAMED]
    if not shown:
        return
    handles: list[Any] = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=looks[name][1],
            color=looks[name][0],
            markeredgecolor="black",
            label=name,
        )
        for name in shown
    ]
    more = len(looks) - len(shown)
    title = "replicate" if not more else f"replicate\n(and {more} more)"
    legend = figure.legend(
        handles=handles, title=title, loc="outside right upper", frameon=False, fontsize=8
    )
    legend.get_title().set_fontsize(8)
    for text in legend.get_texts():
        text.set_parse_math(False)
