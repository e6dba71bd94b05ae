"""Evaluations written by hand: a few images, their counts, and runs that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sgseg.comparison.evaluated import read_images
from sgseg.config import Params, load_params
from sgseg.tracking import CrossValidation, DatasetInput, FoldIdentity, log_evaluation
from sgseg.tracking.identity import EvaluationRecord, FoldRecord, write_record
from sgseg.tracking.runs import create_fold
from sgseg.tracking.store import open_store

ROOT = Path(__file__).parents[2]


class Image(NamedTuple):
    """One row of images.csv; each granule has ten pixels."""

    image_id: str
    tp: int
    fp: int
    fn: int
    group: str = ""
    part: str = "out_of_fold"
    fold: int = 0


A = (
    Image("w1", 8, 2, 2),
    Image("w2", 6, 0, 4, fold=1),
    Image("w3", 5, 5, 5, fold=1),
    Image("e1", 0, 0, 0),
    Image("t1", 4, 1, 1, part="test", fold=-1),
    Image("t2", 3, 2, 2, part="test", fold=-1),
)
B = (
    Image("w1", 9, 1, 1),
    Image("w2", 6, 0, 4, fold=1),
    Image("w3", 8, 2, 2, fold=1),
    Image("e1", 0, 1, 0),
    Image("t1", 5, 0, 0, part="test", fold=-1),
    Image("t2", 2, 3, 3, part="test", fold=-1),
)


def csv_of(images: Sequence[Image]) -> str:
    """images.csv as the stage `evaluate` writes it, with rows of the baseline."""
    rows = [
        {
            "image_id": i.image_id,
            "group": i.group or i.image_id,
            "method": method,
            "part": i.part,
            "fold": i.fold,
            "pixels_tp": 10 * i.tp,
            "pixels_fp": 10 * i.fp,
            "pixels_fn": 10 * i.fn,
            "objects_tp": i.tp,
            "objects_fp": i.fp,
            "objects_fn": i.fn,
        }
        for i in images
        for method in ("network", "baseline")
    ]
    return pd.DataFrame(rows).to_csv(index=False)


def table(*images: Image) -> pd.DataFrame:
    """The rows of the network."""
    return read_images(csv_of(images), "images.csv")


def cross_validation(key: str, params: Mapping[str, str], data: str) -> CrossValidation:
    """One whose digest begins with `key`."""
    return CrossValidation(
        key=key.ljust(32, "0"),
        name=f"cv unet-bce_dice-adam {key.ljust(32, '0')[:7]}",
        experiment="sgseg",
        params={"train.epochs": "60", "evaluate.object_iou": "0.3", **params},
        tags={"mlflow.source.git.commit": "f" * 40, "sgseg.code_digest": "9" * 32},
        datasets=(DatasetInput("simulated", data * 32 + ".dir", "data/dataset"),),
    )


def write(
    root: Path, key: str, images: Sequence[Image] | None, data: str = "d", **params: Any
) -> Path:
    """Write what the stage `evaluate` leaves; without images.csv if there are no images."""
    folder, bundle = root / "reports/evaluation", root / "models/evaluated"
    for path in (folder, bundle):
        path.mkdir(parents=True, exist_ok=True)
    named = {name.replace("__", "."): str(value) for name, value in params.items()}
    cv = cross_validation(key, named, data)
    write_record(EvaluationRecord(cv, started_ms=1000, evaluated_ms=2000), folder)
    (folder / "metrics.json").write_text(json.dumps({"out_of_fold": {"object_f1": {"value": 0.5}}}))
    (folder / "images.csv").unlink(missing_ok=True)
    if images is not None:
        (folder / "images.csv").write_text(csv_of(images))
    (bundle / "bundle.json").write_text(json.dumps({"threshold": 0.4, "min_area_px": 8}))
    return folder


def log(
    root: Path, key: str, images: Sequence[Image] | None, data: str = "d", **params: Any
) -> str:
    """Log such an evaluation, with two folds; the id of its run."""
    folder = write(root, key, images, data, **params)
    cv = cross_validation(
        key, {name.replace("__", "."): str(value) for name, value in params.items()}, data
    )
    done = log_evaluation(folder, root / "models/evaluated", root=root)
    assert done is not None
    assert done.run_id is not None
    store = open_store(root, "sgseg")
    for fold in (0, 1):
        create_fold(store, FoldRecord(FoldIdentity(cv, fold), started_ms=1000 + fold))
    return done.run_id


def params() -> Params:
    return load_params(ROOT / "params.yaml")
