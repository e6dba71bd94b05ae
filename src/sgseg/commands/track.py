"""`sgseg track`: put into MLflow the runs and the registered model that it lacks."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from sgseg.errors import InputError, Problem


def add_parser(subparsers: Any) -> None:
    """Add `track` to the commands."""
    parser = subparsers.add_parser(
        "track",
        help="put into MLflow the runs and the model that it lacks",
        description="Put into MLflow the runs of the search, the folds and the evaluation that it "
        "lacks, and the registered model with its aliases: after `dvc pull`, after DVC has "
        "restored results from its cache, in a new store. Run again it does nothing. The store is "
        "mlflow.db in the project, or MLFLOW_TRACKING_URI.",
    )
    parser.add_argument("--root", default=".", metavar="DIR", help="the project's root")
    parser.add_argument("--quiet", action="store_true", help="say only what was put back")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg track`."""
    from sgseg.registry import PutBack, put_back  # noqa: PLC0415
    from sgseg.tracking import Restored, StoreError, track, tracking_uri  # noqa: PLC0415
    from sgseg.tracking.store import without_password  # noqa: PLC0415

    def say(restored: Restored | PutBack) -> None:
        if not (arguments.quiet and restored.what == "already there"):
            _print(str(restored))

    problems: list[Problem] = []
    done: list[Restored] = []
    try:
        done = track(arguments.root, say=say)
    except StoreError:
        raise
    except InputError as error:
        problems += error.problems
    model = put_back(arguments.root)
    if model is not None:
        say(model)
    if problems:
        raise InputError(*problems)
    if arguments.quiet:
        return 0
    if done:
        _print(f"The store is {without_password(tracking_uri(arguments.root))}")
    else:
        _print("No run to track: none in reports/tuning, models/folds or reports/evaluation.")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
