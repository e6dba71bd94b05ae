"""One process's work: `python -m sgseg.experiments.fold FOLDER...` trains the fold of each folder.

A folder holds the job, the checkpoint of its training and, once that is done, its result: the
probability maps of the images held out, and what is known of the training.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sgseg.config import Params, with_values
from sgseg.dataset.manifest import read_canonical_labels
from sgseg.errors import exit_with_message
from sgseg.experiments.children import end_with_parent
from sgseg.images.write import replacing
from sgseg.training.out_of_fold import FoldResult, HeldOut, cross_validate

JOB_FILE = "job.json"


def main() -> None:
    """Train the folds in the folders named on the command line, one after the other."""
    end_with_parent()
    for folder in map(Path, sys.argv[1:]):
        run_job(folder)


def write_job(
    folder: Path,
    *,
    params: Params,
    fold: int,
    train_ids: Sequence[str] | None,
    orientations: Collection[int],
    dataset: Path,
    roles: Path,
) -> None:
    """Write what `run_job` is to do; see `cross_validate` and `bench.Fold`."""
    content = {
        "fold": fold,
        "train_ids": train_ids,
        "orientations": sorted(orientations),
        "dataset": str(dataset),
        "roles": str(roles),
        "params": params.model_dump(mode="json", by_alias=True),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / JOB_FILE) as path:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def run_job(folder: Path) -> None:
    """Train a fold, or go on with it, and write a result for each number of orientations."""
    job = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    train_ids, spent = job["train_ids"], 0.0
    for orientations in job["orientations"]:
        # The first one trains; the others find the training finished and only predict.
        (result,) = cross_validate(
            with_values(
                Params.model_validate(job["params"]), {"predict.orientations": orientations}
            ),
            dataset=Path(job["dataset"]),
            roles=read_roles(job["roles"]),
            folds=[job["fold"]],
            checkpoints=folder,
            choose=None if train_ids is None else lambda _fold, _ids: list(train_ids),
        )
        spent += result.seconds
        save_result(result_file(folder, orientations), replace(result, seconds=spent))
    for checkpoint in folder.glob("fold_*.npz"):
        checkpoint.unlink()


def read_roles(path: str | Path) -> pd.DataFrame:
    """The table that `split` wrote, all of it text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def result_file(folder: Path, orientations: int) -> Path:
    """Where the result with so many orientations lies."""
    return folder / f"orientations_{orientations}.npz"


def save_result(path: Path, result: FoldResult) -> None:
    """Write a result, without the truth, which is in the data set."""
    facts = {
        "fold": result.fold,
        "image_ids": [image.image_id for image in result.images],
        "history": result.history,
        "best_epoch": result.best_epoch,
        "seconds": result.seconds,
        "n_train": result.n_train,
        "milliseconds_per_megapixel": result.milliseconds_per_megapixel,
    }
    maps: dict[str, Any] = {f"map_{n}": image.probability for n, image in enumerate(result.images)}
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, facts=np.array(json.dumps(facts)), **maps)


def load_result(path: Path, dataset: Path, roles: pd.DataFrame) -> FoldResult:
    """What `save_result` wrote, with the truth of the data set that it was predicted from."""
    group = dict(zip(roles["image_id"], roles["group"], strict=True))
    with np.load(path, allow_pickle=False) as file:
        facts = json.loads(str(file["facts"]))
        images = [
            HeldOut(
                image_id,
                group[image_id],
                facts["fold"],
                read_canonical_labels(dataset, image_id),
                file[f"map_{n}"],
            )
            for n, image_id in enumerate(facts.pop("image_ids"))
        ]
    return FoldResult(images=images, **facts)


if __name__ == "__main__":
    exit_with_message(main)
