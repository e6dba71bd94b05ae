"""What a network costs, and what it finds for that.

    python benchmarks/cost_curve.py [--networks unet-8-3 linknet-16-3] [--seeds 1 2] [--json FILE]

Trains recipes that differ in the network alone, on the folds of the project in the working folder
(`dvc repro split` made them), and scores them out of fold beside the network in use. Then it
measures what the exported networks take. Finished folds are kept in experiments/folds, as those of
`make ablations` are; `--finished` trains nothing and takes what is there.

Several data sets make one figure: run it in a copy of the project for each, with the same FILE,
where those of other data stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from _network_scores import SCORES, SPLIT, TITLES, Network, costs, project, scored
from _paired import machine, publish

FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "cost_curve.png"
Interval = Mapping[str, float | None]
OTHERS = [
    *(Network("unet", width, 3) for width in (8, 12, 24)),
    *(Network("unet", 16, depth) for depth in (2, 4)),
    *(Network("linknet", width, 3) for width in (12, 16, 24)),
    Network("linknet", 16, 2),
]


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of Markdown tables: what each network costs, and what it finds in each data set."""
    networks = _by_cost(found)
    yield "| network | multiply-adds per pixel | parameters | ms per megapixel | default / it |"
    yield "|---|---:|---:|---:|---:|"
    for name, cost in networks.items():
        yield (
            f"| {_title(name, found)} | {cost['multiply_adds_per_pixel']:,.0f} "
            f"| {cost['parameters']:,} | {cost['cpu_ms_per_megapixel']:.0f} "
            f"| {cost['speed_over_default']:.2f} |"
        )
    for data in found["data"]:
        yield ""
        yield (
            f"| {data['source']} | trainings | object F1 [95 %] | over the default "
            "| foreground IoU [95 %] | over the default |"
        )
        yield "|---|---:|---|---|---|---|"
        for name in networks:
            if name in data["rows"]:
                row = data["rows"][name]
                cells = [_title(name, found), str(len(row["by_seed"]))]
                for score in SCORES:
                    cells += [_cell(row["scores"][score]), _cell(row["gain"].get(score), "+")]
                yield f"| {' | '.join(cells)} |"


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the tables were measured on, the noise of a training, and what they say."""
    on, settings = found["machine"], found["settings"]
    sets = ", ".join(
        f"{d['source']} ({d['images']} images in {d['groups']} groups, {d['folds']} folds)"
        for d in found["data"]
    )
    yield (
        f"Recipes that differ in the network alone, out of fold, on {sets}; object F1 at the "
        "evaluation's IoU, intervals over groups. *Over the default* is that of the means over the "
        "trainings, on the same images; bold where its interval leaves 0 out. Time is processor "
        f"time of ONNX Runtime ({on['processor']}, {settings['threads']} thread, "
        f"{settings['side']} x {settings['side']} px, float32, one orientation, in turns, "
        f"{settings['rounds']} rounds)."
    )
    yield ""
    for data in found["data"]:
        if noise := seed_noise(data):
            yield (
                f"In {data['source']} trainings of a network that differ in nothing but the seed "
                f"are up to {noise['object_f1']:.3f} apart in object F1 and "
                f"{noise['foreground_iou']:.3f} in IoU; the intervals do not hold that."
            )
    cheap = as_good_for_less(found)
    titles = ", ".join(_title(name, found) for name in cheap) or "none"
    yield (
        "Cheaper than the default, tried on every data set, and significantly lower in neither "
        f"score on any: {titles}."
    )


def seed_noise(data: Mapping[str, Any]) -> dict[str, float]:
    """The farthest that two trainings of one network are apart in each score; {} with one seed."""
    several = [row["by_seed"].values() for row in data["rows"].values() if len(row["by_seed"]) > 1]
    if not several:
        return {}
    return {
        name: max(max(p[name] for p in points) - min(p[name] for p in points) for points in several)
        for name in SCORES
    }


def as_good_for_less(found: Mapping[str, Any]) -> list[str]:
    """Networks of fewer multiply-adds with no gain below 0, interval and all, in any data set."""

    def holds(data: Mapping[str, Any], name: str) -> bool:
        gain = data["rows"].get(name, {}).get("gain")
        return bool(gain) and all((gain[score]["high"] or 0.0) >= 0 for score in SCORES)

    cost = {name: one["multiply_adds_per_pixel"] for name, one in found["networks"].items()}
    dearest = cost[found["default"]]
    return [
        name
        for name in _by_cost(found)
        if cost[name] < dearest and all(holds(data, name) for data in found["data"])
    ]


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Scores over multiply-adds, a panel for each data set and score, a line per architecture."""
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import NullLocator  # noqa: PLC0415

    from sgseg.evaluation.pictures import save_figure  # noqa: PLC0415

    networks, ticks = found["networks"], (5_000, 10_000, 20_000, 40_000, 80_000)
    colours = {"unet": (0, 158 / 255, 115 / 255), "linknet": (86 / 255, 180 / 255, 233 / 255)}
    figure = Figure(figsize=(9, 3.4 * len(found["data"])), layout="constrained")
    axes = figure.subplots(len(found["data"]), len(SCORES), squeeze=False, sharex=True)
    for row, data in zip(axes, found["data"], strict=True):
        for axis, (score, title) in zip(row, SCORES.items(), strict=True):
            for architecture in dict.fromkeys(one["architecture"] for one in networks.values()):
                names = [n for n in data["rows"] if networks[n]["architecture"] == architecture]
                colour = colours.get(architecture, "0.4")
                for name in names:
                    across = networks[name]["multiply_adds_per_pixel"]
                    entry = data["rows"][name]["scores"][score]
                    axis.plot([across] * 2, [entry["low"], entry["high"]], color=colour, alpha=0.5)
                    for point in data["rows"][name]["by_seed"].values():
                        axis.plot(across, point[score], ".", color=colour, markersize=4)
                    marker = "D" if name == data["default"] else "o"
                    axis.plot(across, entry["value"], marker, color=colour, markersize=6)
                    axis.annotate(
                        f"{networks[name]['width']}/{networks[name]['depth']}",
                        (across, entry["value"]),
                        xytext=(4, 4),
                        textcoords="offset points",
                        fontsize=7,
                        color="0.3",
                    )
                axis.plot([], [], "o", color=colour, label=TITLES[architecture])
            level = data["rows"][data["default"]]["scores"][score]["value"]
            axis.axhline(level, color="0.6", linewidth=1, linestyle=":")
            axis.set_xscale("log")
            axis.margins(x=0.15)
            axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.tick_params(labelsize=8, labelbottom=True)
            axis.grid(axis="y", color="0.92")
            axis.set_title(f"{title}, {data['source']}", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("multiply-adds per pixel", fontsize=9)
    axes[0, 0].plot([], [], "D", color=colours["unet"], label="the default")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False
    )
    save_figure(path, figure)


def _by_cost(found: Mapping[str, Any]) -> dict[str, Any]:
    networks = found["networks"]
    order = sorted(networks, key=lambda name: networks[name]["multiply_adds_per_pixel"])
    return {name: networks[name] for name in order}


def _title(name: str, found: Mapping[str, Any]) -> str:
    title = Network.parse(name).title
    return f"**{title}** (default)" if name == found["default"] else title


def _cell(entry: Interval | None, sign: str = "") -> str:
    """`0.810 [0.76, 0.86]`; a gain as `+0.021 [-0.01, +0.05]`, bold where 0 is not in it."""
    if not entry or entry["value"] is None:
        return ""
    value, low, high = (entry[part] for part in ("value", "low", "high"))
    if low is None or high is None:
        return f"{value:{sign}.3f}"
    bound = ".3f" if sign else ".2f"
    number = f"{value:{sign}.3f}"
    if sign and (low > 0 or high < 0):
        number = f"**{number}**"
    return f"{number} [{low:{sign}{bound}}, {high:{sign}{bound}}]"


def merged(new: Mapping[str, Any], before: Mapping[str, Any]) -> list[Any]:
    """The data sets of a former run, with the one of this run in its place or at the end."""
    data = {one["source"]: one for one in before.get("data", [])}
    return list((data | {new["source"]: new}).values())


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--networks", type=Network.parse, nargs="*", default=OTHERS, metavar="NAME")
    add("--seeds", type=int, nargs="+", default=[1], help="of the trainings")
    add("--finished", action="store_true", help="train nothing: only what is finished")
    add("--side", type=int, default=512, help="of the image that is timed, px")
    add("--rounds", type=int, default=8)
    add("--threads", type=int, default=1)
    add("--json", type=Path, metavar="FILE", help="write all here; other data in it stays")
    add("--figure", type=Path, metavar="FILE", default=FIGURE, help="drawn where --json is given")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    file = options.json
    before = json.loads(file.read_text()) if file is not None and file.is_file() else {}
    on = machine(options.threads)
    if not SPLIT.is_dir():
        sys.exit(f"error: there is no {SPLIT} here: `dvc repro split` makes it")
    params, bench = project()
    data = scored(
        params,
        bench,
        networks=options.networks,
        seeds=options.seeds,
        finished=options.finished,
    )
    together = merged(data, before)
    if len({one["default"] for one in together}) > 1:
        sys.exit(f"error: the data in {file} were compared with another network")
    everyone = dict.fromkeys([data["default"], *(name for one in together for name in one["rows"])])
    found = {
        "machine": on,
        "settings": {name: getattr(options, name) for name in ("side", "rounds", "threads")},
        "default": data["default"],
        "networks": costs(list(map(Network.parse, everyone)), options),
        "data": together,
    }
    if file is not None:
        draw(found, options.figure)
    publish(found, file, said=said, table=table)


if __name__ == "__main__":
    main()
