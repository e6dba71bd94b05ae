"""Train one fold of the cross-validation: `python pipelines/train.py FOLD`."""

import sys
from pathlib import Path

import pandas as pd

from sgseg.config import load_params, sources_of_space
from sgseg.errors import InputError, Problem, exit_with_message
from sgseg.quiet import without_startup_messages
from sgseg.tracking import DatasetInput, FoldIdentity, cross_validation, dvc_md5, live_fold
from sgseg.training.code import WEIGHT_CODE

DATASET = Path("data/dataset")
SPLIT = Path("data/split")
TUNED = Path("reports/tuning/recipe.yaml")


def main() -> None:
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        raise InputError(Problem("train", "no fold given", "python pipelines/train.py FOLD"))
    fold, params = int(sys.argv[1]), load_params(tuned=TUNED)
    # Takes seconds: not before the arguments are known to be right.
    with without_startup_messages():
        from sgseg.training.cross_validation import run_fold  # noqa: PLC0415
        from sgseg.training.devices import prepare_devices  # noqa: PLC0415

    identity = FoldIdentity(
        cross_validation(
            params,
            datasets=[
                DatasetInput(params.data.source, dvc_md5(DATASET), str(DATASET)),
                DatasetInput("split", dvc_md5(SPLIT), str(SPLIT)),
            ],
            code=WEIGHT_CODE,
            sources=sources_of_space(tuned=TUNED),
        ),
        fold,
        tags=prepare_devices().tags,
    )
    checkpoints, folder = Path("checkpoints"), Path(f"models/folds/{fold}")
    checkpoint = checkpoints / identity.cv.key / f"fold_{fold}.npz"
    for other in checkpoints.glob(f"*/fold_{fold}.npz"):
        if other != checkpoint:
            other.unlink()
    with live_fold(identity, folder) as live:
        run_fold(
            params,
            fold,
            dataset=DATASET,
            roles=pd.read_csv(SPLIT / "roles.csv", dtype=str, keep_default_na=False),
            folder=folder,
            checkpoint=checkpoint,
            on_epoch=live.epoch,
        )


if __name__ == "__main__":
    exit_with_message(main)
