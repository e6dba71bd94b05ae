"""How time and memory of `sgseg predict` grow with the number of images and with their size.

    python benchmarks/growth.py [--json FILE]

Images of one size, more and more of them, then one image that gets larger; each run in a process of
its own, whose largest memory is noted. One network of the default size, one orientation. Linear
means: the same time per megapixel in each row.
"""

# ruff: noqa: T201 - what it finds is printed

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import tifffile
from _paired import described, machine, publish
from _serving_worker import field
from quantify_cost import default_network, peak_mb

MANY_SIDE = 256
TILE = 1000  # px: larger images repeat one of this side, which takes no time to draw


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Run all; all that was found, as it is written to --json."""
    before = machine(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        model = default_network(Path(folder))
        rows = [_run(model, MANY_SIDE, n, options.threads) for n in options.images]
        sides = [round((megapixels * 1e6) ** 0.5) for megapixels in options.megapixels]
        rows += [_run(model, side, 1, options.threads) for side in sides]
    return {"machine": before, "settings": vars(options), "rows": rows}


def _run(model: Path, side: int, n: int, threads: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one-run", str(model), str(side), str(n), str(threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return {"images": n, "side": side, "megapixels": n * side**2 / 1e6, **found}


def one_run(model: Path, side: int, n: int, threads: int) -> None:
    """Say how long a run takes, and the largest memory of this process."""
    from sgseg.inference.predict import Reading, Task, predict_files  # noqa: PLC0415
    from sgseg.inference.segmenter import Segmenter  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "field.tif")
        draw(image, side)
        tasks = []
        for number in range(n):
            path = image.with_name(f"field_{number}.tif")
            path.hardlink_to(image)
            tasks.append(Task(path, path.stem))
        segmenter = Segmenter.load(model, threads=threads)
        before, begin = peak_mb(), perf_counter()
        problems = predict_files(segmenter, tasks, Path(folder, "out"), reading=Reading())
        seconds = perf_counter() - begin
    if problems:
        sys.exit(f"error: {problems[0]}")
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), "before_mb": before}))


def draw(path: Path, side: int) -> None:
    """A field of any size, written row by row: drawing it must not be what takes the memory."""
    tile = field(min(side, TILE))
    times = -(-side // tile.shape[0])

    def strips() -> Iterator[Any]:
        import numpy as np  # noqa: PLC0415

        row = np.concatenate([tile] * times, axis=1)[:, :side]
        for start in range(0, side, tile.shape[0]):
            yield np.ascontiguousarray(row[: min(tile.shape[0], side - start)])

    tifffile.imwrite(
        path, strips(), shape=(side, side), dtype=tile.dtype, rowsperstrip=tile.shape[0]
    )


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a Markdown table, a row per run."""
    yield "| images | size | seconds | s per megapixel | peak memory |"
    yield "|---:|---:|---:|---:|---:|"
    for row in found["rows"]:
        yield (
            f"| {row['images']:,} | {row['side']:,} x {row['side']:,} | {row['seconds']:.1f} "
            f"| {row['seconds'] / row['megapixels']:.2f} | {row['peak_mb']:,.0f} MB |"
        )


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table was measured on."""
    yield (
        f"{described(found['machine'], 'onnxruntime', 'numpy')} One network of the default size, "
        "one orientation; one run per row, in a process of its own."
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--images", type=int, nargs="+", default=[10, 100, 1000])
    add("--megapixels", type=float, nargs="+", default=[1, 4, 16, 100])
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--json", type=Path, metavar="FILE", help="write all times here")
    add("--one-run", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    if options.one_run:
        model, side, n, threads = options.one_run
        one_run(Path(model), int(side), int(n), int(threads))
        return
    file, options.json = options.json, None
    found = compare(options)
    publish(found, file, said=said, table=table)


if __name__ == "__main__":
    main()
