"""Figures of a search: how it went, what mattered, and what the good trials have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from sgseg.evaluation.pictures import save_figure
from sgseg.tuning.axes import Axis, axes_of, coordinates
from sgseg.tuning.importances import Importances
from sgseg.tuning.pareto import front
from sgseg.tuning.record import Trial
from sgseg.tuning.space import Space

SCORE = "out-of-fold object F1"
# Okabe & Ito's palette: told apart with any colour vision.
BLUE, ORANGE, GREY, RED = "#0072B2", "#E69F00", "#999999", "#D55E00"
SHADES = colormaps["viridis"]
PANELS_PER_ROW = 4
# Spreads equal values of a choice, always the same way.
GOLDEN = 0.6180339887


def of_state(trials: Sequence[Trial], state: str) -> list[Trial]:
    """The trials that ended so and have a value, by number."""
    found = [trial for trial in trials if trial.state == state and trial.value is not None]
    return sorted(found, key=lambda trial: trial.number)


def save_history(path: Path, trials: Sequence[Trial], *, chosen: Trial | None) -> None:
    """Every trial's score in the order of the search, and the best so far."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    complete, pruned = of_state(trials, "COMPLETE"), of_state(trials, "PRUNED")
    failed = [trial for trial in trials if trial.state == "FAIL"]
    if complete:
        best = np.maximum.accumulate([trial.score for trial in complete])
        numbers = [trial.number for trial in complete]
        axes.step(numbers, best, where="post", color=BLUE, linewidth=1.2, label="best so far")
    _points(axes, complete, marker="o", color=BLUE, label="complete")
    _points(axes, pruned, marker="v", color=GREY, label="given up (score until then)")
    for index, trial in enumerate(failed):
        label = "failed" if index == 0 else None
        axes.axvline(trial.number, 0, 0.05, color=RED, linewidth=2, label=label)
    start = [trial for trial in complete if trial.is_start]
    if start:
        axes.axhline(start[0].score, color=GREY, linestyle=":", label="recipe at start")
    if chosen is not None:
        _ring(axes, [(float(chosen.number), chosen.score)], label="chosen")
    axes.set(xlabel="trial", ylabel=SCORE)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    save_figure(path, figure)


def _points(axes: Axes, trials: Sequence[Trial], **style: Any) -> None:
    if trials:
        numbers = [trial.number for trial in trials]
        axes.scatter(numbers, [trial.score for trial in trials], s=28, zorder=3, **style)


def _ring(axes: Axes, places: Sequence[tuple[float, float]], *, label: str | None = None) -> None:
    axes.scatter(
        [x for x, _ in places],
        [y for _, y in places],
        s=140,
        facecolors="none",
        edgecolors=ORANGE,
        linewidths=2,
        zorder=4,
        label=label,
    )


def save_importances(path: Path, mattered: Importances) -> None:
    """The share of each parameter; of none, why there is none."""
    shares, n_trials = mattered.shares, mattered.n_trials
    figure = Figure(figsize=(8, max(2.0, 1.2 + 0.3 * len(shares))), layout="constrained")
    axes = figure.subplots()
    if shares:
        names = list(shares)[::-1]
        bars = axes.barh(names, [shares[name] for name in names], color=BLUE)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.set_xlim(0, 1.12 * max(shares.values()))
        axes.set_xlabel(f"share of the differences between {n_trials} trials that it explains")
        axes.spines[["top", "right"]].set_visible(False)
    else:
        message = f"{n_trials} trials with a score; it takes two that differ to compare"
        axes.text(0.5, 0.5, message, ha="center", va="center")
        axes.set_axis_off()
    save_figure(path, figure)


def save_slice(path: Path, trials: Sequence[Trial], space: Space, *, chosen: Trial | None) -> None:
    """The score over each parameter on its own; later trials are brighter."""
    shown = of_state(trials, "COMPLETE") + of_state(trials, "PRUNED")
    axes_shown = axes_of(space, shown)
    n_columns = min(PANELS_PER_ROW, max(1, len(axes_shown)))
    n_rows = max(1, -(-len(axes_shown) // n_columns))
    figure = Figure(figsize=(3.2 * n_columns + 1, 2.9 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    last = max([trial.number for trial in shown], default=1) or 1
    norm = Normalize(0, last)
    for index, panel in enumerate(panels.flat):
        if index >= len(axes_shown):
            panel.set_axis_off()
            continue
        axis = axes_shown[index]
        known = [(trial, coordinates(trial, space).get(axis.name)) for trial in shown]
        places = [(trial, value) for trial, value in known if value is not None]
        _slice(panel, axis, places, norm, chosen)
        if index % n_columns == 0:
            panel.set_ylabel(SCORE)
    bar = figure.colorbar(ScalarMappable(norm, SHADES), ax=panels, label="trial", aspect=30)
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle("o complete   × given up   orange ring: chosen", fontsize="medium")
    save_figure(path, figure)


def _slice(
    panel: Axes,
    axis: Axis,
    places: Sequence[tuple[Trial, Any]],
    norm: Normalize,
    chosen: Trial | None,
) -> None:
    for trial, value in places:
        place = value if axis.choices is None else axis.position(value) + _spread(trial.number)
        marker = "o" if trial.state == "COMPLETE" else "x"
        panel.scatter(place, trial.score, marker=marker, s=26, color=SHADES(norm(trial.number)))
        if chosen is not None and trial.number == chosen.number:
            _ring(panel, [(place, trial.score)])
    if axis.choices is not None:
        panel.set_xlim(-0.5, len(axis.choices) - 0.5)
        panel.set_xticks(range(len(axis.choices)), [str(choice) for choice in axis.choices])
        if len(axis.choices) > 3:
            for label in panel.get_xticklabels():
                label.set(rotation=35, horizontalalignment="right", rotation_mode="anchor")
    else:
        panel.set_xscale("log" if axis.log else "linear")
        panel.set_xlim(*axis.limits())
        if axis.log:
            labels = [f"{value:.2g}" for value in axis.landmarks()]
            panel.set_xticks(axis.landmarks(), labels)
            panel.xaxis.set_minor_locator(NullLocator())
        else:
            panel.xaxis.set_major_locator(MaxNLocator(5, integer=axis.is_whole))
    panel.set_title(axis.name, fontsize="small")
    panel.tick_params(labelsize="small")
    panel.grid(alpha=0.3)


def _spread(number: int) -> float:
    return 0.5 * ((number * GOLDEN) % 1 - 0.5)


def save_parallel(
    path: Path, trials: Sequence[Trial], space: Space, *, chosen: Trial | None
) -> None:
    """Each trial as a line through its parameters; the better, the brighter.

    Parameters that belong to one variant of a union only are left to the slices.
    """
    shown = sorted(of_state(trials, "COMPLETE"), key=lambda trial: trial.score)
    lines = [axis for axis in axes_of(space, shown) if not axis.is_conditional]
    figure = Figure(figsize=(max(5.0, 1.45 * len(lines) + 2), 4.6), layout="constrained")
    axes = figure.subplots()
    values = [trial.score for trial in shown]
    norm = Normalize(min(values, default=0.0), max(values, default=1.0))
    for trial in shown:
        at = coordinates(trial, space)
        heights = [axis.fraction(at[axis.name]) + _shift(axis, trial.number) for axis in lines]
        is_chosen = chosen is not None and trial.number == chosen.number
        axes.plot(
            range(len(lines)),
            heights,
            color=ORANGE if is_chosen else SHADES(norm(trial.score)),
            linewidth=3 if is_chosen else 1.2,
            alpha=1.0 if is_chosen else 0.75,
            marker="o",
            markersize=3,
        )
    for place, axis in enumerate(lines):
        axes.axvline(place, color="black", linewidth=0.8, zorder=0)
        for height, label in axis.ticks():
            axes.annotate(
                label,
                (place, height),
                xytext=(3, 3),
                textcoords="offset points",
                fontsize="x-small",
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.5},
                zorder=5,
            )
    axes.set_xticks(range(len(lines)), [axis.name for axis in lines], rotation=25, ha="right")
    axes.set_yticks([])
    axes.set(xlim=(-0.2, max(0.2, len(lines) - 0.5)), ylim=(-0.06, 1.1))
    axes.spines[:].set_visible(False)
    figure.colorbar(ScalarMappable(norm, SHADES), ax=axes, label=SCORE, aspect=30)
    title = "Complete trials; orange: chosen" if shown else "No complete trial"
    axes.set_title(title, fontsize="medium", loc="left")
    save_figure(path, figure)


def _shift(axis: Axis, number: int) -> float:
    """Keeps lines through the same choice apart."""
    if axis.choices is None:
        return 0.0
    return 0.2 / max(1, len(axis.choices) - 1) * _spread(number)


def save_pareto(path: Path, trials: Sequence[Trial], *, cost: str, chosen: Trial | None) -> None:
    """Score over cost, and the trials of which none is both better and cheaper."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    priced = [trial for trial in of_state(trials, "COMPLETE") if trial.cost is not None]
    best = front(priced)
    axes.scatter(
        [t.price for t in priced], [t.score for t in priced], s=28, color=GREY, label="trial"
    )
    axes.step(
        [trial.price for trial in best],
        [trial.score for trial in best],
        where="post",
        marker="o",
        color=BLUE,
        label="Pareto front",
    )
    for trial in best:
        axes.annotate(
            str(trial.number),
            (trial.price, trial.score),
            xytext=(4, 5),
            textcoords="offset points",
            fontsize="small",
        )
    if chosen is not None and chosen.cost is not None:
        _ring(axes, [(chosen.cost, chosen.score)], label="chosen")
    costs = [trial.price for trial in priced]
    if costs and max(costs) > 10 * min(costs) > 0:
        axes.set_xscale("log")
    axes.set(xlabel=cost, ylabel=SCORE)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    save_figure(path, figure)
