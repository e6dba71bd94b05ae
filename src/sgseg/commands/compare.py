"""`sgseg compare`: two runs image by image, and addresses that show runs in the MLflow UI."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from sgseg.errors import InputError, Problem

if TYPE_CHECKING:
    from sgseg.comparison.text import Compared

DESCRIPTION = """\
What run B gains over run A on the same images: scores, the difference with a 95 % interval over
groups, which images differ most, and which parameters. A and B each are the id of a run or the
beginning of it, its name, models:/sgseg@champion, champion, challenger, models:/sgseg/3, or a
folder such as reports/evaluation, of another checkout too. See docs/compare.md.
"""


def add_parser(subparsers: Any) -> None:
    """Add `compare` to the commands."""
    parser = subparsers.add_parser(
        "compare", help="show what one run gains over another, by image", description=DESCRIPTION
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="two: A and B")
    parser.add_argument(
        "--part",
        choices=["out_of_fold", "test"],
        default="out_of_fold",
        help="each image by the network that has not seen it (default), or the test set",
    )
    parser.add_argument(
        "--score",
        default="object_f1",
        metavar="NAME",
        help="by which images are told apart: object_f1 (default), foreground_iou, ...",
    )
    parser.add_argument("--out", metavar="DIR", help="write a picture and tables there")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--ui", action="store_true", help="the address of MLflow's page of the two")
    parser.add_argument(
        "--views",
        action="store_true",
        help="save views of the store's runs in MLflow, and print their addresses",
    )
    parser.add_argument("--root", default=".", metavar="DIR", help="the project's root")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg compare`."""
    if arguments.views and not arguments.runs:
        return _views(arguments)
    problems = []
    if arguments.views or len(arguments.runs) != 2:
        given = " ".join(arguments.runs) or "none"
        problems.append(
            Problem(
                "sgseg compare",
                f"received the runs: {given}",
                "two runs, or --views alone",
                "`sgseg compare --views` and `mlflow ui` list what there is.",
            )
        )
    from sgseg.comparison.paired import SCORES  # noqa: PLC0415

    if arguments.score not in SCORES:
        known = ", ".join(SCORES)
        problems.append(Problem("--score", f"{arguments.score!r} is not known", f"one of {known}"))
    if problems:
        raise InputError(*problems)
    return _compare(arguments)


def _compare(arguments: argparse.Namespace) -> int:
    from pathlib import Path  # noqa: PLC0415

    from sgseg.comparison.compare import compare, write_files  # noqa: PLC0415
    from sgseg.comparison.text import as_mapping, as_page  # noqa: PLC0415
    from sgseg.config import load_params  # noqa: PLC0415

    root = Path(arguments.root)
    a, b = arguments.runs
    found = compare(
        a,
        b,
        load_params(root / "params.yaml"),
        part=arguments.part,
        score=arguments.score,
        root=root,
    )
    address = _address(found) if arguments.ui else ""
    files = write_files(Path(arguments.out), found, root=root) if arguments.out else []
    if arguments.json:
        content = as_mapping(found) | ({"ui": address} if arguments.ui else {})
        sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        return 0
    sys.stdout.write(as_page(found))
    if address:
        sys.stdout.write(f"\nin MLflow: {address}\n")
    if files:
        sys.stdout.write("\n" + "".join(f"{path}\n" for path in files))
    return 0


def _address(found: Compared) -> str:
    from sgseg.comparison.addresses import compared_runs, ui_address  # noqa: PLC0415

    sides = (found.a, found.b)
    problems = [
        Problem(side.name, "a folder, and MLflow shows runs", "two runs", "Leave out --ui.")
        for side in sides
        if not side.run_id
    ]
    if problems:
        raise InputError(*problems)
    return compared_runs(ui_address(), [(side.run_id, side.experiment_id) for side in sides])


def _views(arguments: argparse.Namespace) -> int:
    from sgseg.comparison.addresses import LOCAL, ui_address  # noqa: PLC0415
    from sgseg.comparison.views import ready_views  # noqa: PLC0415

    found = ready_views(arguments.root)
    if arguments.json:
        sys.stdout.write(json.dumps([vars(view) for view in found], indent=2) + "\n")
        return 0
    for view in found:
        sys.stdout.write(f"{view.title}\n  {view.address}\n")
    if not found:
        sys.stdout.write("The store has no runs yet: `dvc repro` makes some.\n")
    elif ui_address() == LOCAL:
        sys.stdout.write("\nStart `mlflow ui` in the project's folder first.\n")
    return 0
