"""What quantifying costs beside segmenting, and how it grows with the number of fields.

    python benchmarks/quantify_cost.py [--model models/evaluated] [--json FILE]

A field of 2048 x 2048 px with about 100 cells and 1,000 granules: `sgseg quantify` with the true
masks given - reading, nuclei, cells, splitting, measuring, all files, tables and report - and one
network of the default recipe, in turns: at the default number of orientations (8) and at one, the
least there is. A model of K members takes K times as long; quantifying uses one core, a network
all. Then runs over 10, 30 and 100 smaller fields, each in a process of its own, with their peak
memory. Prints ratios.
"""

# ruff: noqa: T201 - what it finds is printed

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import tifffile
from _paired import Time, described, machine, measure, publish, ratio, spread, take_turns

from sgseg.config import load_params
from sgseg.dataset.simulate import simulate_field
from sgseg.images.write import write_labels
from sgseg.inference.predict import Task
from sgseg.inference.segmenter import Segmenter
from sgseg.quantify.run import Plan, quantify_files
from sgseg.quantify.settings import Channels
from sgseg.quantify.sources import ByMasks

HERE = Path(__file__).parent
WORKER = str(HERE / "_serving_worker.py")
SIDE, MANY_SIDE = 2048, 512
PIXEL_SIZE_UM = 0.11  # so that a field of this size has about 100 cells
DEFAULT, LEAST = "segment, one network", "segment, one network at one orientation"
QUANTIFY = "quantify, a run of one field"
THREE, MORE = "quantify, a run of three", "quantify, one field more"


def draw(folder: Path, side: int) -> tuple[Path, Path, tuple[int, int]]:
    """Image and true mask of a field, and how many cells and granules it has."""
    simulate = load_params().simulate
    simulate = simulate.model_copy(update={"size": side, "pixel_size_um": PIXEL_SIZE_UM})
    field = simulate_field(simulate, condition="arsenite_high", replicate=1, field=1)
    image, mask = folder / "field.tif", folder / "field_mask.tif"
    options: Any = {"imagej": True, "metadata": {"axes": "CYX", "unit": "um"}}
    resolution = (1 / PIXEL_SIZE_UM, 1 / PIXEL_SIZE_UM)
    tifffile.imwrite(image, field.image, resolution=resolution, **options)
    write_labels(mask, field.granules)
    return image, mask, (int(field.cells.max()), int(np.unique(field.granules).size - 1))


def quantify(image: Path, mask: Path, out: Path, n: int = 1) -> None:
    """Measure a field, or copies of it, as the command does."""
    tasks = [Task(image, f"field {number}") for number in range(n)]
    masks = ByMasks({task.name: mask for task in tasks})
    problems = quantify_files(tasks, out, Plan(masks, Channels(granules=0, nuclei=1)))
    if problems:
        sys.exit(f"error: {problems[0]}")


# --- beside segmenting


def beside_segmenting(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Times of both in turns."""
    image, mask, (cells, granules) = draw(folder, options.side)
    pixels = tifffile.imread(image)[0]
    model = options.model or default_network(folder)
    networks = {
        name: Segmenter.load(model, members=1, orientations=n, threads=options.threads)
        for name, n in ((DEFAULT, load_params().predict.orientations), (LEAST, 1))
    }

    def segment(name: str) -> Time:
        return measure(lambda: networks[name].predict(pixels), 1)

    def run(n: int) -> Time:
        shutil.rmtree(folder / "out", ignore_errors=True)
        return measure(lambda: quantify(image, mask, folder / "out", n), 1)

    contestants: dict[str, Callable[[], Time]] = {
        DEFAULT: lambda: segment(DEFAULT),
        LEAST: lambda: segment(LEAST),
        QUANTIFY: lambda: run(1),
        THREE: lambda: run(3),
    }
    take_turns(contestants, 1)  # what is done once per process
    times = take_turns(contestants, options.rounds)
    wall = {name: [one.wall_ms for one in turns] for name, turns in times.items()}
    cpu = {name: [one.cpu_ms for one in turns] for name, turns in times.items()}
    # What a run does once, whatever the number of fields (figures, report), drops out.
    for values in (wall, cpu):
        pairs = zip(values[QUANTIFY], values.pop(THREE), strict=True)
        values[MORE] = [(three - one) / 2 for one, three in pairs]
    return {
        "side": options.side,
        "cells": cells,
        "granules": granules,
        "wall_ms": wall,
        "cpu_ms": cpu,
        "ratios": {
            f"{one} / {other}": {
                "wall": ratio(wall[other], wall[one]),
                "cpu": ratio(cpu[other], cpu[one]),
            }
            for one in (DEFAULT, LEAST)
            for other in (QUANTIFY, MORE)
        },
    }


def default_network(folder: Path) -> Path:
    """A bundle with one network of the default size, random weights: they change no time."""
    settings = {"folder": str(folder), "members": [1], "width": 16, "depth": 3}
    subprocess.run([sys.executable, WORKER, "build", json.dumps(settings)], check=True)
    return folder / "bundle_1"


# --- many fields


def many(options: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    """Time and peak memory of runs over more and more fields."""
    image, mask, _ = draw(folder, options.many_side)
    rows = []
    for n in options.fields:
        command = [sys.executable, str(Path(__file__)), "--one-run", str(image), str(mask), str(n)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append({"fields": n, **json.loads(done.stdout)})
    return rows


def one_run(image: Path, mask: Path, n: int) -> None:
    """Say how long a run over n fields takes, and the largest memory of this process."""
    with tempfile.TemporaryDirectory() as folder:
        begin = perf_counter()
        quantify(image, mask, Path(folder), n)
        seconds = perf_counter() - begin
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Largest resident memory so far; NaN where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


# --- report


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the tables were measured on."""
    one = found["beside"]
    yield (
        f"{described(found['machine'], 'onnxruntime', 'numpy', 'scipy')} The field has "
        f"{one['side']} x {one['side']} px, {one['cells']} cells and {one['granules']} granules; "
        f"medians of {len(one['wall_ms'][QUANTIFY])} rounds. Of many fields one run per row."
    )


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of two Markdown tables: beside segmenting, and over many fields."""
    one, rows = found["beside"], found["many"]
    yield f"| | ms | half of them | processor, ms | over {QUANTIFY} | over {MORE} |"
    yield "|---|---:|---|---:|---:|---:|"
    for name, values in one["wall_ms"].items():
        over = [one["ratios"].get(f"{name} / {other}") for other in (QUANTIFY, MORE)]
        cells = ["" if times is None else f"{times['wall']:.2f}" for times in over]
        yield (
            f"| {name} | {median(values):,.0f} | {spread(values)} "
            f"| {median(one['cpu_ms'][name]):,.0f} "
            f"| {' | '.join(cells)} |"
        )
    yield ""
    yield "| fields | seconds | per field, over the first row | peak memory |"
    yield "|---:|---:|---:|---:|"
    first = rows[0]["seconds"] / rows[0]["fields"]
    for row in rows:
        each = row["seconds"] / row["fields"] / first
        yield f"| {row['fields']} | {row['seconds']:.1f} | {each:.2f} | {row['peak_mb']:,.0f} MB |"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--model", type=Path, help="a bundle, of which the first network is used")
    add("--side", type=int, default=SIDE, help="of the large field, px")
    add("--many-side", type=int, default=MANY_SIDE, help="of each of many fields, px")
    add("--fields", type=int, nargs="+", default=[10, 30, 100])
    add("--rounds", type=int, default=3)
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--json", type=Path, metavar="FILE", help="write all times here")
    add("--one-run", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    if options.one_run:
        image, mask, n = options.one_run
        one_run(Path(image), Path(mask), int(n))
        return
    found: dict[str, Any] = {"machine": machine(options.threads)}
    with tempfile.TemporaryDirectory() as folder:
        found["beside"] = beside_segmenting(options, Path(folder))
        found["many"] = many(options, Path(folder))
    publish(found, options.json, said=said, table=table)


if __name__ == "__main__":
    main()
