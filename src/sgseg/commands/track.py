"""`sgseg track`: put into MLflow the runs that it lacks."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add `track` to the commands."""
    parser = subparsers.add_parser(
        "track",
        help="put into MLflow the runs that it lacks",
        description="Put into MLflow the runs of the search, the folds and the evaluation that it "
        "lacks: after `dvc pull`, after DVC has restored results from its cache, in a new store. "
        "Run again it does nothing. The store is mlflow.db in the project, or MLFLOW_TRACKING_URI.",
    )
    parser.add_argument("--root", default=".", metavar="DIR", help="the project's root")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg track`."""
    from sgseg.tracking import track, tracking_uri  # noqa: PLC0415
    from sgseg.tracking.store import without_password  # noqa: PLC0415

    done = track(arguments.root, say=lambda restored: _print(str(restored)))
    if done:
        _print(f"The store is {without_password(tracking_uri(arguments.root))}")
    else:
        _print("No run to track: none in reports/tuning, models/folds or reports/evaluation.")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
