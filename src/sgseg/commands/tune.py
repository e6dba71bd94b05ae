"""`sgseg tune`: search for a recipe, with as many workers as one likes."""

from __future__ import annotations

import argparse
from typing import Any

DESCRIPTION = """\
Search for a recipe as the section `tune` of params.yaml says, and write reports/tuning. This is
what the stage `tune` of `dvc repro` does; here several workers may share the work, on one or
several machines, and a study that was begun is gone on with. See docs/tuning.md.
"""


def add_parser(subparsers: Any) -> None:
    """Add `tune` to the commands."""
    parser = subparsers.add_parser(
        "tune", help="search for a recipe with Optuna", description=DESCRIPTION
    )
    parser.add_argument(
        "--workers",
        type=_at_least_one,
        default=1,
        metavar="N",
        help="trials at the same time on this machine, which share its cores (default: 1); with "
        "--scheduler on the cluster",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="let the workers of a Dask cluster do the trials; it must see this folder under the "
        "same path, see docs/cluster.md",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="a database that several machines can reach, such as postgresql://user@host/database;"
        " by default a file in the folder tuning",
    )
    parser.add_argument(
        "--trials",
        type=_at_least_one,
        metavar="N",
        help="trials in all, with those done before; instead of what params.yaml says",
    )
    parser.add_argument(
        "--budget",
        choices=["none", "small", "full"],
        help="one of tune.budgets, instead of tune.budget",
    )
    parser.set_defaults(run=run)


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"1 or more is needed. Received: {text}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg tune`."""
    from sgseg.tuning.stage import Wish, tune  # noqa: PLC0415

    start = None
    if arguments.scheduler is not None:
        from sgseg.cluster.trials import start_on  # noqa: PLC0415

        start = start_on(arguments.scheduler)
    tune(
        Wish(
            budget=arguments.budget,
            trials=arguments.trials,
            workers=arguments.workers,
            storage=arguments.storage,
            start=start,
        )
    )
    return 0
