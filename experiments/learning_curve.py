"""Stage `learning_curve`: how good a network gets from how many images."""

import json
from pathlib import Path

from sgseg.config import load_params
from sgseg.dataset.folders import replacing_folder
from sgseg.errors import exit_with_message
from sgseg.quiet import without_startup_messages

DATASET, SPLIT = Path("data/dataset"), Path("data/split")
TUNED = Path("reports/tuning/recipe.yaml")
OUT, WORK = Path("reports/learning_curve"), Path("experiments/folds")


def main() -> None:
    params = load_params(tuned=TUNED)
    # Takes seconds: not before the parameters are known to be right.
    with without_startup_messages():
        from sgseg.evaluation.data import DataSet  # noqa: PLC0415
        from sgseg.experiments.bench import Bench  # noqa: PLC0415
        from sgseg.experiments.compare import (  # noqa: PLC0415
            ceiling_scores,
            classical,
            with_intervals,
        )
        from sgseg.experiments.curve_report import write_learning_curve  # noqa: PLC0415
        from sgseg.experiments.learning_curve import run_learning_curve  # noqa: PLC0415

    bench = Bench(DATASET, SPLIT, WORK, params.data.source, params.learning_curve.workers)
    points = run_learning_curve(params, bench)
    data = DataSet(DATASET, bench.roles, params.split.folds)
    copies = json.loads((DATASET / "copies.json").read_text(encoding="utf-8"))
    with replacing_folder(OUT) as folder:
        write_learning_curve(
            folder,
            points,
            params,
            baseline=with_intervals(classical(params, data), params),
            ceiling=ceiling_scores(copies),
        )


if __name__ == "__main__":
    exit_with_message(main)
