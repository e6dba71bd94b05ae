"""`sgseg promote`: put the evaluated model to the gate."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from sgseg.commands.registry import RUNNING

if TYPE_CHECKING:
    from sgseg.registry import Promotion

DESCRIPTION = """\
Compare the model in models/evaluated with the champion, on the same test images and by the rule in
params.yaml (section promote), and make it the champion if it passes. This is what the stage
`promote` of `dvc repro` does. The decision is in reports/promotion. Run again it changes nothing.
"""


def add_parser(subparsers: Any) -> None:
    """Add `promote` to the commands."""
    parser = subparsers.add_parser(
        "promote", help="let the gate decide on the evaluated model", description=DESCRIPTION
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="end with status 1 if the model is not promoted, and say why",
    )
    parser.add_argument(
        "--propose",
        action="store_true",
        help="register the model and decide, but leave the champion as it is; without --propose "
        "the same decision is taken up later",
    )
    parser.add_argument("--root", default=".", metavar="DIR", help="the project's root")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg promote`."""
    from pathlib import Path  # noqa: PLC0415

    from sgseg.config import load_params  # noqa: PLC0415
    from sgseg.registry import promote  # noqa: PLC0415

    root = Path(arguments.root)
    done = promote(root, load_params(root / "params.yaml"), propose=arguments.propose)
    sys.stdout.write(said(done))
    if arguments.strict and done.against:
        reasons = "".join(f"  - {reason}\n" for reason in done.against)
        sys.stderr.write(f"error: not promoted, and --strict was given:\n{reasons}")
        return 1
    return 0


def said(done: Promotion) -> str:
    """What became of the challenger, for a terminal."""
    running = f"{RUNNING}\n" if done.what in {"promoted", "repackaged"} else ""
    return f"{done.said}\n{running}The decision is in reports/promotion\n"
