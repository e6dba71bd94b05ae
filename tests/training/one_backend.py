"""What a training does under the backend that KERAS_BACKEND names; the tests start it.

`python -m training.one_backend FOLDER`: a network `start.keras` and a data set are in the folder,
and `found.json` with all that is compared is written into it.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from sgseg.config import Params, load_params, with_values
from sgseg.evaluation.summary import point_scores
from sgseg.nets import build_network
from sgseg.nets.metrics import PixelScores
from sgseg.nets.optimizers import averaged_weights
from sgseg.training import fold
from sgseg.training.augment import Augmentation
from sgseg.training.batches import batches
from sgseg.training.cross_validation import run_fold
from sgseg.training.devices import prepare_devices
from sgseg.training.out_of_fold import cross_validate, score

from .tiny import RECIPE, TRAIN, VALIDATION, digest, train, weights

NETWORK: dict[str, Any] = {
    "architecture": "unet",
    "width": 4,
    "depth": 2,
    "dropout": 0.0,
    "normalisation": "batch",
}
STEPS = 3


def losses(start: Path) -> list[float]:
    """Losses of the first steps from given weights on given batches."""
    recipe = replace(
        RECIPE, network=NETWORK, init=start, augmentation=Augmentation(), weights_average=0.9
    )
    network = build_network(**NETWORK)
    fold.start_from(network, start)
    model = fold._compiled(network, PixelScores(), TRAIN, recipe)
    drawn = batches(
        TRAIN, sampling=recipe.sampling, augmentation=recipe.augmentation, seed=(1,), epoch=0
    )
    found = [
        float(model.train_on_batch(images, masks, return_dict=True)["loss"])
        for _, (images, masks) in zip(range(STEPS), drawn, strict=False)
    ]
    assert len(averaged_weights(model.optimizer, model)) == len(model.trainable_variables)
    return found


class StopHereError(Exception):
    pass


def resumed(folder: Path) -> dict[str, Any]:
    """A training, the same one interrupted after its first epoch, and one in half precision."""

    def stop(epoch: int, scores: Any) -> None:
        raise StopHereError

    options: dict[str, Any] = {"network": RECIPE.network, "epochs": 2}
    whole = train(folder / "whole.npz", **options)
    with suppress(StopHereError):
        train(folder / "broken.npz", on_epoch=stop, **options)
    again = train(folder / "broken.npz", **options)
    half = train(folder / "half.npz", precision="mixed_bfloat16", **options)
    return {
        "whole": digest(whole),
        "again": digest(again),
        "histories_equal": whole.history == again.history,
        "history": whole.history,
        "half": half.history,
        "half_dtypes": sorted({str(v.dtype) for v in weights(half) if v.dtype.kind not in "iu"}),
    }


def params() -> Params:
    """The project's parameters, shrunk."""
    return with_values(
        load_params(Path(__file__).parents[2] / "params.yaml"),
        {
            "network": NETWORK | {"deep_supervision": False},
            "predict.orientations": 1,
            "train.epochs": 1,
            "train.batch_size": 2,
            "train.patch_size": 32,
        },
    )


def main(folder: Path) -> None:
    roles = pd.read_csv(folder / "roles.csv", dtype=str, keep_default_na=False)
    run_fold(
        params(),
        0,
        dataset=folder / "dataset",
        roles=roles,
        folder=folder / "fold",
        checkpoint=folder / "fold.npz",
    )
    results = list(
        cross_validate(
            params(), dataset=folder / "dataset", roles=roles, folds=[0], checkpoints=folder / "oof"
        )
    )
    found = {
        "devices": prepare_devices().tags,
        "numpy": np.__version__,
        "losses": losses(folder / "start.keras"),
        "scores": point_scores(score(results, params())),
        "validation": len(VALIDATION),
        "policy": keras.config.dtype_policy().name,
        **resumed(folder),
    }
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
