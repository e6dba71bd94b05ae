"""What the pipeline costs a user: all of it, none of it, one fold, and the start of each command.

    python benchmarks/pipeline.py [--project FOLDER] [--json FILE]

In a clone of the project (or in `--project`, where everything has run): `dvc repro` of everything,
of nothing, of one fold that is trained again; and `sgseg COMMAND --help`, several times in turns.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from _paired import described, machine, publish, spread, take_turns

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all; all that was found, as it is written to --json."""
    before = machine(os.cpu_count() or 1)
    repro: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        project = options.project
        if project is None:
            project = Path(scratch, "project")
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
            repro["everything"] = [_seconds(["dvc", "repro"], project)]
        nothing = partial(_seconds, ["dvc", "repro"], project)
        repro["nothing has changed"] = [nothing() for _ in range(options.rounds)]
        again = ["dvc", "repro", "--force", "--single-item", "train@0"]
        repro["one fold, trained again"] = [
            _seconds(again, project) for _ in range(options.fold_rounds)
        ]
        starts = take_turns(_commands(project), options.rounds)
    return {"machine": before, "repro": repro, "start": starts}


def _commands(project: Path) -> dict[str, Callable[[], float]]:
    """The start of the command line and of each command."""
    from sgseg.cli import parser  # noqa: PLC0415

    (commands,) = (a.choices for a in parser()._actions if isinstance(a.choices, dict))
    calls = {"sgseg --help": ["sgseg", "--help"]}
    calls |= {f"sgseg {name} --help": ["sgseg", name, "--help"] for name in commands}
    return {name: partial(_seconds, call, project) for name, call in calls.items()}


def _seconds(command: Sequence[str], project: Path) -> float:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
        "PYTHONPATH": str(project / "src"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    begin = perf_counter()
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    seconds = perf_counter() - begin
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a Markdown table, a row per case."""
    yield "| | seconds | half of them | runs |"
    yield "|---|---:|---|---:|"
    rows = {f"`dvc repro`, {name}": values for name, values in found["repro"].items()}
    rows |= {f"`{name}`": values for name, values in found["start"].items()}
    for name, values in rows.items():
        yield f"| {name} | {median(values):.2f} | {spread(values, 2)} | {len(values)} |"


def said(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table was measured on."""
    yield (
        f"{described(found['machine'], 'dvc', 'mlflow', 'tensorflow')} Medians. *Everything* is a "
        "clone without any result, with the parameters as they are in git."
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--project", type=Path, metavar="FOLDER", help="where everything has run already")
    add("--rounds", type=int, default=5)
    add("--fold-rounds", type=int, default=3, help="of the fold that is trained again")
    add("--json", type=Path, metavar="FILE", help="write all times here")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    found = compare(options)
    publish(found, options.json, said=said, table=table)


if __name__ == "__main__":
    main()
