"""Where the time of `sgseg predict --quantify` goes, and how much of it is the network.

    python benchmarks/end_to_end.py [--fields 200] [--json FILE]

Fields of 512 x 512 px with two channels: one run of the command in this process, its parts timed;
then the networks alone on the same prepared pixels, as often as the run called them. One network of
the default size at 8 orientations, as in a model of one member.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from _paired import machine, publish
from quantify_cost import default_network, draw

from sgseg.config import load_params
from sgseg.inference.network import OnnxFile

# Where a part of the work is called from: module and name.
PARTS = {
    "read and decode": [("sgseg.quantify.run", "read_field")],
    "network": [("sgseg.inference.network", "OnnxFile.run")],
    "nuclei, cells, measuring": [("sgseg.quantify.run", "measure_field")],
    "write files of each field": [("sgseg.quantify.run", "write_field")],
    "tables, statistics, report": [("sgseg.quantify.run", "_write_run")],
}
REST = "rest of segmenting: normalising, averaging, labels, checks"


class Clock:
    """Seconds spent in the parts, the ones that another one calls not counted twice."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._open: list[float] = []
        self.calls: list[tuple[int, ...]] = []

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, with its time noted."""

        def call(*arguments: Any, **options: Any) -> Any:
            if part == "network":
                self.calls.append(arguments[2].shape)
            self._open.append(0.0)
            begin = perf_counter()
            try:
                return work(*arguments, **options)
            finally:
                taken = perf_counter() - begin
                self.seconds[part] += taken - self._open.pop()
                if self._open:
                    self._open[-1] += taken

        return call


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
        with timing() as clock:
            wall, cpu = _run(model, fields, Path(folder, "out"), options.threads)
        bare = _bare(model, clock.calls, options.threads)
    return {
        "machine": before,
        "settings": vars(options),
        "wall_s": wall,
        "cpu_s": cpu,
        "bare_s": bare,
        "parts_s": clock.seconds | {REST: wall - sum(clock.seconds.values())},
    }


def _run(model: Path, fields: Path, out: Path, threads: int) -> tuple[float, float]:
    """Wall and processor seconds of a run of the command."""
    from sgseg.inference.predict import find_tasks  # noqa: PLC0415
    from sgseg.inference.segmenter import Segmenter  # noqa: PLC0415
    from sgseg.quantify.run import Plan, quantify_files  # noqa: PLC0415
    from sgseg.quantify.settings import Channels  # noqa: PLC0415
    from sgseg.quantify.sources import ByModel  # noqa: PLC0415

    orientations = load_params().predict.orientations
    segmenter = Segmenter.load(model, orientations=orientations, threads=threads)
    plan = Plan(ByModel(segmenter, facts={}), Channels(granules=0, nuclei=1))
    wall, cpu = perf_counter(), process_time()
    problems = quantify_files(find_tasks([fields], out), out, plan)
    wall, cpu = perf_counter() - wall, process_time() - cpu
    if problems:
        sys.exit(f"error: {problems[0]}")
    return wall, cpu


def _bare(model: Path, calls: Sequence[tuple[int, ...]], threads: int) -> float:
    """Seconds of the same calls of ONNX Runtime, nothing else in between."""
    import numpy as np  # noqa: PLC0415

    file = OnnxFile(model / "model.onnx", threads=threads)
    images = {shape: np.zeros(shape, np.float32) for shape in set(calls)}
    begin = perf_counter()
    for shape in calls:
        file.run(file.members[0], images[shape])
    return perf_counter() - begin


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a Markdown table, a row per part."""
    yield "| where the time goes | seconds | share |"
    yield "|---|---:|---:|"
    for part, seconds in found["parts_s"].items():
        yield f"| {part} | {seconds:.1f} | {seconds / found['wall_s']:.1%} |"
    yield f"| all | {found['wall_s']:.1f} | |"


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table was measured on."""
    on, settings = found["machine"], found["settings"]
    yield (
        f"{on['processor']}, {on['cores']} cores, {on['threads']} threads, load {on['load']:.1f} "
        f"before, Python {on['python']}. {settings['fields']} fields of {settings['side']} x "
        f"{settings['side']} px; {found['cpu_s'] / found['wall_s']:.2f} cores busy on average. The "
        f"same calls of the network alone take {found['bare_s']:.1f} s: "
        f"**{found['bare_s'] / found['wall_s']:.0%}** of the run."
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--fields", type=int, default=200)
    add("--side", type=int, default=512, help="of a field, px")
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
