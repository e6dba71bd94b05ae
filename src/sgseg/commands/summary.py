"""`sgseg summary`: the scores of the last evaluation as a table, and where to go from there."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

MLFLOW_UI = ".venv/bin/mlflow ui"
SERVE = "make serve  (docs/serving.md)"
SCORES = (
    "object_f1",
    "object_precision",
    "object_recall",
    "foreground_iou",
    "foreground_dice",
    "count_error",
    "false_per_empty",
)


def add_parser(subparsers: Any) -> None:
    """Add `summary` to the commands."""
    parser = subparsers.add_parser(
        "summary",
        help="show the scores of the last evaluation",
        description="Show the scores of the last evaluation, and where its pictures are.",
    )
    parser.add_argument(
        "--report", default="reports/evaluation", metavar="DIR", help="what `evaluate` wrote"
    )
    parser.add_argument(
        "--promotion", default="reports/promotion", metavar="DIR", help="what `promote` wrote"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg summary`."""
    from sgseg.evaluation.table import HEADLINE, as_text, measured, score_rows  # noqa: PLC0415
    from sgseg.tracking.evaluation import read_scores  # noqa: PLC0415
    from sgseg.tracking.store import without_password  # noqa: PLC0415

    report = Path(arguments.report)
    metrics = read_scores(report / "metrics.json")
    table = as_text(measured(score_rows(metrics, {name: HEADLINE[name] for name in SCORES})))
    server = os.environ.get("MLFLOW_TRACKING_URI")
    runs = without_password(server) if server else MLFLOW_UI
    sys.stdout.write(
        f"\n{table}\n\n"
        f"report and pictures   {report / 'report.html'}\n"
        f"compare runs          {runs}\n"
        f"{_promotion(Path(arguments.promotion))}"
    )
    return 0


def _promotion(folder: Path) -> str:
    """What the gate said, and how to serve the model in use; nothing before it was asked."""
    from sgseg.gate.decision import FILE, read_decision  # noqa: PLC0415

    if not (folder / FILE).is_file():
        return ""
    decision = read_decision(folder)
    said = {"promote": "passed", "keep": "not passed"}[decision.outcome]
    return (
        f"the gate              {said}: {folder / 'decision.html'}\n"
        f"which one is in use   sgseg registry list\n"
        f"serve that one        {SERVE}\n"
    )
