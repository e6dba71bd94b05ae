"""How many megapixels a second a network gets through, and how near that is to what the cores can.

    python benchmarks/inference.py [--pytorch-python PATH] [--json FILE]

The default network in ONNX Runtime with 32 and with 8 bits, each alone and within `sgseg.inference`
(raw pixels to granules), in Keras `predict` and in plain PyTorch, and a product of large matrices,
whose arithmetic nothing surpasses: all in turns. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from _paired import Time, Worker, described, machine, publish, ratio, spread, take_turns
from training_step import has_torch

HERE = Path(__file__).parent
WORKER = str(HERE / "_serving_worker.py")
PEAK, KERAS, OURS, OURS_INT8 = (
    "matrix product",
    "Keras predict",
    "sgseg.inference",
    "sgseg.inference, int8",
)


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all; all that was found, as it is written to --json."""
    before = machine(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        settings = {**vars(options), "folder": folder, "int8": True}
        subprocess.run([sys.executable, WORKER, "build", json.dumps(settings)], check=True)
        cases = [
            _case(settings | {"side": side, "n": n})
            for n in options.members
            for side in options.sides
        ]
    return {
        "machine": before,
        "settings": vars(options),
        "multiply_adds_per_pixel": multiply_adds(options.width, options.depth),
        "cases": cases,
    }


def multiply_adds(width: int, depth: int) -> float:
    """Of the network, per pixel of an image."""
    code = (
        "import sys; from sgseg.nets import build_network; from sgseg.nets.cost import *; "
        "n = build_network(architecture='unet', width=int(sys.argv[1]), depth=int(sys.argv[2]), "
        "dropout=0.0, normalisation='batch'); print(multiply_adds_per_pixel(n))"
    )
    command = [sys.executable, "-c", code, str(width), str(depth)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def _case(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One size of the image and one number of members."""
    python, threads = settings["pytorch_python"] or sys.executable, settings["threads"]
    bundle = Path(settings["folder"]) / f"bundle_{settings['n']}"
    eight = {"bundle": f"{bundle}_int8", "suffix": ", int8"}
    commands: list[list[str]] = [[sys.executable, str(HERE / "_matrix_product.py")]]
    for kind, own in (("onnx", {}), ("onnx", eight), ("inference", {}), ("inference", eight)):
        given = json.dumps({**settings, "bundle": str(bundle), **own})
        commands.append([sys.executable, WORKER, kind, given])
    commands.append([sys.executable, WORKER, "keras", json.dumps(settings)])
    if has_torch(python):
        commands.append([python, str(HERE / "_pytorch_forward.py"), json.dumps(settings)])
    with ExitStack() as stack:
        contestants: dict[str, Callable[[], Time]] = {}
        products, pytorch = 0, None
        for command in commands:
            worker = Worker(command, threads)
            stack.callback(worker.close)
            products = worker.info.get("multiply_adds", products)
            pytorch = worker.info.get("version", pytorch)
            for name in worker.info["contestants"]:
                contestants[name] = partial(worker.measure, name, 1)
        rounds = rounds_of(settings)
        times = take_turns(contestants, rounds)
    wall = {name: [one.wall_ms for one in turns] for name, turns in times.items()}
    return {
        "side": settings["side"],
        "members": settings["n"],
        "rounds": rounds,
        "pytorch": pytorch,
        "peak_gigaflops": 2 * products / (median(wall.pop(PEAK)) / 1000) / 1e9,
        "wall_ms": wall,
        "cpu_ms": {name: [one.cpu_ms for one in times[name]] for name in wall},
        "over_keras": {name: ratio(values, wall[KERAS]) for name, values in wall.items()},
    }


def rounds_of(settings: Mapping[str, Any]) -> int:
    """Fewer where one takes long, which varies less."""
    work = settings["n"] * max(1, settings["side"] / 512) ** 2
    return int(max(min(3, settings["rounds"]), settings["rounds"] / work**0.5))


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a Markdown table, a row per case and contestant."""
    yield "| image | members | by | median | half of them | Mpx/s | Keras / it | of the peak |"
    yield "|---|---:|---|---:|---|---:|---:|---:|"
    for case in found["cases"]:
        pixels = case["side"] ** 2
        flop = 2 * found["multiply_adds_per_pixel"] * pixels * case["members"]
        for name, values in case["wall_ms"].items():
            seconds = median(values) / 1000
            share = flop / seconds / 1e9 / case["peak_gigaflops"]
            yield (
                f"| {case['side']} x {case['side']} | {case['members']} | {name} "
                f"| {seconds * 1000:,.0f} ms | {spread(values)} "
                f"| {pixels / 1e6 / seconds:.2f} | {case['over_keras'][name]:.2f} | {share:.0%} |"
            )


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table was measured on."""
    settings, cases = found["settings"], found["cases"]
    peaks = [case["peak_gigaflops"] for case in cases]
    rounds = sorted({case["rounds"] for case in cases}, reverse=True)
    yield (
        f"{described(found['machine'], 'onnxruntime', 'keras', 'tensorflow', 'numpy')} PyTorch "
        f"{cases[0]['pytorch'] or 'absent'}. U-Net of width {settings['width']} and depth "
        f"{settings['depth']}, {found['multiply_adds_per_pixel']:,.0f} multiply-adds per pixel, "
        f"one orientation; medians of {', '.join(map(str, rounds))} rounds, the fewer the larger "
        f"the work. The peak is that of a product of matrices with 32 bits, "
        f"{median(peaks):.0f} GFLOP/s."
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--pytorch-python", metavar="PATH", help="interpreter that has torch and numpy")
    add("--sides", type=int, nargs="+", default=[512, 1024, 2048], help="of the image, px")
    add("--members", type=int, nargs="+", default=[1, 5])
    add("--rounds", type=int, default=12, help="of the least work, see `rounds_of`")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--width", type=int, default=16)
    add("--depth", type=int, default=3)
    add("--json", type=Path, metavar="FILE", help="write all times here")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    file, options.json = options.json, None
    found = compare(options)
    publish(found, file, said=said, table=table)


if __name__ == "__main__":
    main()
