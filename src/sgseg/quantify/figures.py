"""The figures of a run as files: a SuperPlot per measure, and the sizes of granules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sgseg.images.write import replacing
from sgseg.quantify.measures import LEVELS, Found
from sgseg.quantify.sizes import MIN_GRANULES, size_distribution, sizes_of
from sgseg.quantify.statistics import Statistics
from sgseg.quantify.superplot import MOST_DOTS, dots_of, superplot

DPI = 200
STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "path",
    # Identifiers in an SVG would be random.
    "svg.hashsalt": "sgseg",
}
BARS = {"ci": "95 % interval", "sem": "standard error", "sd": "standard deviation"}


@dataclass(frozen=True)
class Picture:
    """A picture for the report: a PNG, JPEG or SVG file, and what is said about it."""

    path: Path
    title: str
    caption: str = ""


def write_figures(folder: str | Path, statistics: Statistics, *, bars: str = "ci") -> list[Picture]:
    """Write each figure into `folder` as PNG and SVG; the same tables give the same bytes.

    Parameters
    ----------
    bars
        Around the mean of each condition, over replicates: "ci" (the interval of `statistics`,
        none below three replicates), "sem" or "sd".

    Returns
    -------
    list of Picture
        The SVG files, in the order of the measures: tested ones and then the distribution of
        sizes; other measures have no figure unless nothing is tested.
    """
    if bars not in BARS:
        raise ValueError(f"bars {bars!r}; expected one of {', '.join(BARS)}")
    folder = Path(folder)
    pictures = []
    for found in _shown(statistics):
        with _style():
            figure = superplot(statistics, found, bars=bars)
            path = save(folder / found.name, figure)
        pictures.append(Picture(path, found.measure.title, _caption(statistics, found, bars)))
    sizes = next((f for f in statistics.measures if f.stem == "mean_granule_area"), None)
    if sizes is not None and len(sizes_of(statistics, sizes)):
        with _style():
            path = save(folder / "granule_sizes", size_distribution(statistics, sizes))
        pictures.append(Picture(path, "Sizes of granules", SIZES_CAPTION))
    return pictures


SIZES_CAPTION = (
    "Area of granules on a logarithmic axis. Thick: mean of the replicates, each counting once;"
    f" thin: replicates with at least {MIN_GRANULES} granules. Right: share of granules of at most"
    " this area."
)


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


def _shown(statistics: Statistics) -> list[Found]:
    tested = [found for found in statistics.measures if found.stem in statistics.tested]
    return tested or statistics.measures


def _caption(statistics: Statistics, found: Found, bars: str) -> str:
    small = "fields" if found.name == "positive_fraction" else LEVELS[found.measure.level]
    text = f"Small: {small}; large: means of replicates."
    drawn = BARS[bars]
    if bars == "ci":
        drawn = f"{100 * statistics.options.confidence:g} % interval"
    text += f" Line and bar: mean of the replicates and its {drawn}."
    if statistics.design.is_paired:
        text += " Thin lines join the same replicate."
    if dots_of(statistics, found)["condition"].value_counts().max() > MOST_DOTS:
        text += f" Of more than {MOST_DOTS} in a condition an even selection is drawn."
    return text


def save(stem: Path, figure: Figure) -> Path:
    """Write `<stem>.png` and `<stem>.svg`, without a time stamp; the path of the SVG."""
    FigureCanvasAgg(figure)
    plain: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
    }
    for kind, metadata in plain.items():
        with replacing(stem.with_name(f"{stem.name}.{kind}")) as temporary:
            figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
    return stem.with_name(f"{stem.name}.svg")
