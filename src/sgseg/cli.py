"""`sgseg ...`: one subcommand per module of `sgseg.commands`.

Heavy imports wait until a command runs.
"""

from __future__ import annotations

import argparse
import importlib

from sgseg import __version__
from sgseg.errors import exit_with_message

COMMANDS = (
    "compare",
    "data",
    "folds",
    "import_data",
    "predict",
    "promote",
    "quantify",
    "registry",
    "retrain",
    "summary",
    "track",
    "tune",
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main_parser = argparse.ArgumentParser(
        prog="sgseg", description="Segment stress granules in fluorescence images."
    )
    main_parser.add_argument("--version", action="version", version=f"sgseg {__version__}")
    subparsers = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"sgseg.commands.{name}").add_parser(subparsers)
    return main_parser


def main() -> None:
    """Entry point of the `sgseg` command."""
    arguments = parser().parse_args()
    exit_with_message(lambda: arguments.run(arguments))
