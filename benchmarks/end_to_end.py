"""Where the time of `sgseg predict --quantify` goes, and how much of it is the network.

    python benchmarks/end_to_end.py [--fields 200] [--json FILE]

Fields of 512 x 512 px with two channels, one network of the default size: a run of the command in
this process, its parts timed, at the default number of orientations and at one, where all else
shows. Before and after each run the network alone, on calls of the same shapes: a sample of them,
scaled to all.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from _paired import described, machine, publish
from quantify_cost import default_network, draw

from sgseg.config import load_params
from sgseg.inference.network import OnnxFile

# Where a part of the work is called from: module and name.
PARTS = {
    "read and decode": [("sgseg.quantify.run", "read_field")],
    "network": [("sgseg.inference.network", "OnnxFile.run")],
    "normalise, average, find granules": [("sgseg.inference.segmenter", "Segmenter.predict")],
    "nuclei, cells, measuring": [("sgseg.quantify.run", "measure_field")],
    "write files of each field": [
        ("sgseg.quantify.run", "write_field"),
        ("sgseg.quantify.resume", "Store.keep"),
    ],
    "tables, statistics, report": [("sgseg.quantify.run", "_write_run")],
}
SAMPLE = 4  # of so many calls one is made again, alone
BLOCKS = 2  # before the run and after it


class Clock:
    """Seconds spent in the parts, in all threads, what another part calls not counted twice."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.calls: list[tuple[int, ...]] = []
        self._lock, self._of_thread = threading.Lock(), threading.local()

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, with its time noted."""

        def call(*arguments: Any, **options: Any) -> Any:
            if part == "network":
                self.calls.append(arguments[2].shape)
            inner = self._inner()
            inner.append(0.0)
            begin = perf_counter()
            try:
                return work(*arguments, **options)
            finally:
                taken = perf_counter() - begin
                with self._lock:
                    self.seconds[part] += taken - inner.pop()
                if inner:
                    inner[-1] += taken

        return call

    def _inner(self) -> list[float]:
        """Of each part that is running in this thread, the seconds of those that it called."""
        if not hasattr(self._of_thread, "inner"):
            self._of_thread.inner = []
        inner: list[float] = self._of_thread.inner
        return inner


@contextmanager
def timing() -> Iterator[Clock]:
    """A clock that runs in every part."""
    clock = Clock()
    with ExitStack() as stack:
        for part, places in PARTS.items():
            for module, name in places:
                holder: Any = importlib.import_module(module)
                *path, last = name.split(".")
                for step in path:
                    holder = getattr(holder, step)
                original = getattr(holder, last)
                setattr(holder, last, clock.timed(part, original))
                stack.callback(setattr, holder, last, original)
        yield clock


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all; all that was found, as it is written to --json."""
    before = machine(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        model = default_network(Path(folder))
        image, _, _ = draw(Path(folder), options.side)
        fields = Path(folder, "fields")
        fields.mkdir()
        for number in range(options.fields):
            (fields / f"field_{number:04}.tif").hardlink_to(image)
        wanted = options.orientations or [load_params().predict.orientations, 1]
        runs = [
            _run(model, fields, Path(folder, f"out_{n}"), n, options) for n in dict.fromkeys(wanted)
        ]
    return {"machine": before, "settings": vars(options), "runs": runs}


def _run(
    model: Path, fields: Path, out: Path, orientations: int, options: argparse.Namespace
) -> dict[str, Any]:
    """A run of the command, with the network alone before and after it."""
    alone = Alone(model, options)
    shapes = [(options.side, options.side)] * (options.fields * orientations)
    bare = [alone.seconds(shapes)]
    with timing() as clock:
        wall, cpu = _command(model, fields, out, orientations, options.threads)
    if sorted(clock.calls) != sorted(shapes):
        sys.exit("error: the network was called otherwise than for each field and orientation")
    bare.append(alone.seconds(shapes))
    return {
        "orientations": orientations,
        "wall_s": wall,
        "cpu_s": cpu,
        "bare_s": sum(bare) / BLOCKS,
        "bare_blocks_s": bare,
        "parts_s": clock.seconds,
    }


def _command(
    model: Path, fields: Path, out: Path, orientations: int, threads: int
) -> tuple[float, float]:
    """Wall and processor seconds of a run of the command, its start left out."""
    from sgseg.inference.predict import find_tasks  # noqa: PLC0415
    from sgseg.inference.segmenter import Segmenter  # noqa: PLC0415
    from sgseg.quantify.files import Outputs  # noqa: PLC0415
    from sgseg.quantify.run import Plan, quantify_files  # noqa: PLC0415
    from sgseg.quantify.settings import Channels  # noqa: PLC0415
    from sgseg.quantify.sources import of_bundle  # noqa: PLC0415

    segmenter = Segmenter.load(model, orientations=orientations, threads=threads)
    # As the command makes it.
    outputs = Outputs(overlay=False, beside=True)
    plan = Plan(of_bundle(segmenter, model), Channels(granules=0, nuclei=1), outputs=outputs)
    wall, cpu = perf_counter(), process_time()
    problems = quantify_files(find_tasks([fields], out), out, plan)
    wall, cpu = perf_counter() - wall, process_time() - cpu
    if problems:
        sys.exit(f"error: {problems[0]}")
    return wall, cpu


class Alone:
    """The network, nothing else in between."""

    def __init__(self, model: Path, options: argparse.Namespace) -> None:
        import numpy as np  # noqa: PLC0415

        self._file = OnnxFile(model / "model.onnx", threads=options.threads)
        shape = (options.side, options.side)
        self._image = np.random.default_rng(0).standard_normal(shape, np.float32)
        self.seconds([self._image.shape])

    def seconds(self, shapes: Sequence[tuple[int, ...]]) -> float:
        """What so many calls take, from a sample of them."""
        n = -(-len(shapes) // (SAMPLE * BLOCKS))
        begin = perf_counter()
        for _ in range(n):
            self._file.run(self._file.members[0], self._image)
        return (perf_counter() - begin) / n * len(shapes)


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of Markdown tables: each run beside the network alone, and its parts."""
    yield "| orientations | command, s | network alone, s | its share | cores busy |"
    yield "|---:|---:|---:|---:|---:|"
    for run in found["runs"]:
        blocks = " and ".join(f"{seconds:.1f}" for seconds in run["bare_blocks_s"])
        yield (
            f"| {run['orientations']} | {run['wall_s']:.1f} | {run['bare_s']:.1f} ({blocks}) "
            f"| **{run['bare_s'] / run['wall_s']:.0%}** | {run['cpu_s'] / run['wall_s']:.2f} |"
        )
    yield ""
    heads = [f"orientations: {run['orientations']}, s | of the run" for run in found["runs"]]
    yield f"| where the time goes | {' | '.join(heads)} |"
    yield f"|---|{'---:|---:|' * len(heads)}"
    for part in found["runs"][0]["parts_s"]:
        cells = [
            f"{run['parts_s'][part]:.1f} | {run['parts_s'][part] / run['wall_s']:.1%}"
            for run in found["runs"]
        ]
        yield f"| {part} | {' | '.join(cells)} |"


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table was measured on."""
    settings = found["settings"]
    yield (
        f"{described(found['machine'], 'onnxruntime', 'numpy', 'scipy')} {settings['fields']} "
        f"fields of {settings['side']} x {settings['side']} px with two channels, one network; one "
        "run each, without the start of the command. The network alone is measured before and "
        "after it (in brackets). Files are read, measured and written while the network runs, so "
        "that the parts add up to more than the run."
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--fields", type=int, default=200)
    add("--side", type=int, default=512, help="of a field, px")
    add("--orientations", type=int, nargs="+", help="the default one and 1")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--json", type=Path, metavar="FILE", help="write all times here")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    file, options.json = options.json, None
    found = compare(options)
    publish(found, file, said=said, table=table)


if __name__ == "__main__":
    main()
