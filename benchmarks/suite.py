"""All benchmarks in turn, into benchmarks/results and docs/performance.md: `make bench`.

    python benchmarks/suite.py [--only inference growth] [--pytorch-python PATH]

Each writes what it found as JSON. Then the sections of docs/performance.md between
`<!-- bench: NAME -->` and `<!-- end -->` are filled in from these files; the words around them are
written by hand. `--write` fills in only, and measures nothing. What takes hours (`ASKED_FOR`) is
measured where `--only` names it, and filled in always.
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
from textwrap import fill
from time import perf_counter
from typing import Any

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results", HERE.parent / "docs" / "performance.md"
SUITE = (
    "training_step",
    "inference",
    "serving",
    "end_to_end",
    "quantify_cost",
    "growth",
    "pipeline",
)
ASKED_FOR = ("cost_curve",)
SUMMARY = "aims"
"""A section of what all others found."""
# These are given an interpreter that has PyTorch.
WITH_PYTORCH = {"training_step", "inference"}
WIDTH, AS_WORDS = 140, {"break_on_hyphens": False, "break_long_words": False}
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
        if name not in {*SUITE, *ASKED_FOR, SUMMARY}:
            raise KeyError(name)
        own = found if name == SUMMARY else found.get(name)
        if not own:
            return match.group()
        module = importlib.import_module(name)
        said = [fill(line, WIDTH, **AS_WORDS) for line in module.said(own)]
        return f"{begin}\n" + "\n".join([*said, "", *module.table(own)]) + f"\n\n{end}"

    return SECTION.sub(section, page)


def measure(name: str, options: argparse.Namespace) -> bool:
    """Run one benchmark; whether it came to its end."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(RESULTS / f"{name}.json")]
    if name in WITH_PYTORCH and options.pytorch_python:
        command += ["--pytorch-python", options.pytorch_python]
    print(f"--- {name}", flush=True)
    begin = perf_counter()
    code = subprocess.run(command, check=False).returncode
    print(f"--- {name}: {perf_counter() - begin:.0f} s, exit code {code}", flush=True)
    return code == 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    choices = (*SUITE, *ASKED_FOR)
    add("--only", nargs="+", choices=choices, default=SUITE, metavar="NAME")
    add("--pytorch-python", metavar="PATH", help="interpreter that has torch and numpy")
    add("--write", action="store_true", help="fill in the page from the results that are there")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    RESULTS.mkdir(exist_ok=True)
    failed = [] if options.write else [name for name in options.only if not measure(name, options)]
    files = {name: RESULTS / f"{name}.json" for name in (*SUITE, *ASKED_FOR)}
    found = {
        name: json.loads(file.read_text(encoding="utf-8"))
        for name, file in files.items()
        if file.is_file()
    }
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(fill_in(page, found), encoding="utf-8")
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed; the page has their earlier results")


if __name__ == "__main__":
    main()
