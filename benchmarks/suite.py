"""All benchmarks in turn, into benchmarks/results and docs/performance.md: `make bench`.

    python benchmarks/suite.py [--only inference growth] [--pytorch-python PATH]

Each writes what it found as JSON. Then the sections of docs/performance.md between
`<!-- bench: NAME -->` and `<!-- end -->` are filled in from these files; the words around them are
written by hand. `--write` fills in only, and measures nothing.
"""

# ruff: noqa: T201 - what it finds is printed

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results", HERE.parent / "docs" / "performance.md"
# What each is called with; those that know PyTorch are given its interpreter as well.
SUITE: dict[str, list[str]] = {
    "training_step": [],
    "inference": [],
    "serving": [],
    "end_to_end": [],
    "quantify_cost": [],
    "growth": [],
    "pipeline": [],
}
WITH_PYTORCH = {"training_step", "inference"}
SECTION = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill_in(page: str, found: Mapping[str, Any]) -> str:
    """The page with each section as the results say; one without results stays as it is.

    Raises
    ------
    KeyError
        The page has a section that is no benchmark.
    """

    def section(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in SUITE:
            raise KeyError(name)
        if name not in found:
            return match.group()
        module = importlib.import_module(name)
        lines = [*module.said(found[name]), "", *module.table(found[name])]
        return f"{begin}\n" + "\n".join(lines) + f"\n\n{end}"

    return SECTION.sub(section, page)


def measure(name: str, options: argparse.Namespace) -> None:
    """Run one benchmark."""
    command = [sys.executable, str(HERE / f"{name}.py"), *SUITE[name]]
    command += ["--json", str(RESULTS / f"{name}.json")]
    if name in WITH_PYTORCH and options.pytorch_python:
        command += ["--pytorch-python", options.pytorch_python]
    print(f"--- {name}", flush=True)
    subprocess.run(command, check=True)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--only", nargs="+", choices=SUITE, default=list(SUITE), metavar="NAME")
    add("--pytorch-python", metavar="PATH", help="interpreter that has torch and numpy")
    add("--write", action="store_true", help="fill in the page from the results that are there")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    RESULTS.mkdir(exist_ok=True)
    if not options.write:
        for name in options.only:
            measure(name, options)
    files = {name: RESULTS / f"{name}.json" for name in SUITE}
    found = {
        name: json.loads(file.read_text(encoding="utf-8"))
        for name, file in files.items()
        if file.is_file()
    }
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(fill_in(page, found), encoding="utf-8")


if __name__ == "__main__":
    main()
