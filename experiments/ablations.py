"""Stage `ablations`: what each change of the recipe is worth."""

import json
from pathlib import Path

from sgseg.config import load_params
from sgseg.dataset.folders import replacing_folder
from sgseg.errors import exit_with_message
from sgseg.quiet import without_startup_messages

DATASET, SPLIT = Path("data/dataset"), Path("data/split")
TUNED = Path("reports/tuning/recipe.yaml")
OUT, WORK = Path("reports/ablations"), Path("experiments/folds")


def main() -> None:
    params = load_params(tuned=TUNED)
    # Takes seconds: not before the parameters are known to be right.
    with without_startup_messages():
        from sgseg.evaluation.data import DataSet  # noqa: PLC0415
        from sgseg.experiments.ablation_report import write_ablations  # noqa: PLC0415
        from sgseg.experiments.ablations import run_ablations  # noqa: PLC0415
        from sgseg.experiments.bench import Bench  # noqa: PLC0415
        from sgseg.experiments.compare import ceiling_scores, classical  # noqa: PLC0415

    bench = Bench(DATASET, SPLIT, WORK, params.data.source, params.ablations.workers)
    outcomes = run_ablations(params, bench)
    data = DataSet(DATASET, bench.roles, params.split.folds)
    copies = json.loads((DATASET / "copies.json").read_text(encoding="utf-8"))
    with replacing_folder(OUT) as folder:
        write_ablations(
            folder,
            outcomes,
            params,
            data,
            baseline=classical(params, data),
            ceiling=ceiling_scores(copies),
        )


if __name__ == "__main__":
    exit_with_message(main)
