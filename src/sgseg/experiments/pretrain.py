"""A network trained on simulated fields, for others to start from.

The fields differ in pixel size, granules, light and clutter, so that real images lie among them
rather than beside them (domain randomisation: Tobin et al. 2017, doi:10.1109/IROS.2017.8202133).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from sgseg.config import Params, Simulate, with_values
from sgseg.dataset.folders import replacing_folder
from sgseg.dataset.simulate import simulate_field
from sgseg.tracking.provenance import code_digest, digest
from sgseg.training.batches import Example
from sgseg.training.code import WEIGHT_CODE
from sgseg.training.cross_validation import preprocessing_of, recipe_of
from sgseg.training.fold import Trained, train_fold

# What shapes the weights: a training in progress starts anew when any of it changes.
CODE = (*WEIGHT_CODE, "src/sgseg/dataset/simulate", "src/sgseg/experiments/pretrain.py")


def pretrain(params: Params, out: Path, *, checkpoints: Path, root: Path = Path()) -> Trained:
    """Train the configured network on simulated fields.

    Parameters
    ----------
    out
        Folder that gets `model.keras`, `history.csv` and `facts.json`.
    checkpoints
        Folder for the state of an unfinished training; those of other settings in it are removed.
    root
        The project's root.
    """
    began = time.perf_counter()
    params = _for_pretraining(params)
    key = _key(params, root)
    checkpoint = checkpoints / key / "pretrain.npz"
    for other in checkpoints.glob("*/pretrain.npz"):
        if other != checkpoint:
            other.unlink()
    settings = params.pretrain
    numbers = range(settings.fields + settings.validation_fields)
    examples = [
        simulated_example(params, number)
        for number in tqdm(numbers, desc="simulating", unit="field")
    ]
    train, validation = examples[: settings.fields], examples[settings.fields :]
    trained = train_fold(train, validation, recipe_of(params), fold=0, checkpoint=checkpoint)
    with replacing_folder(out) as folder:
        trained.model.save(folder / "model.keras")
        history = pd.DataFrame(trained.history, index=range(1, len(trained.history) + 1))
        history.to_csv(folder / "history.csv", index_label="epoch")
        facts = {
            "key": key,
            "network": params.network.model_dump(),
            "fields": len(train),
            "granules": _granules(train),
            "validation_fields": len(validation),
            "validation_granules": _granules(validation),
            "best_epoch": trained.best_epoch,
            "best": trained.history[trained.best_epoch - 1],
            "seconds": round(time.perf_counter() - began, 1),
        }
        (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return trained


def simulated_example(params: Params, number: int) -> Example:
    """Field `number`, from 0, as the network sees it; each on a day of its own."""
    settings = params.pretrain
    rng = np.random.default_rng([settings.seed, number])
    changes = {
        name: float(rng.choice(values))
        for name, values in settings.vary.model_dump().items()
        if values
    }
    content = params.simulate.model_dump() | changes
    simulate = Simulate.model_validate(content | {"seed": settings.seed, "size": settings.size})
    condition = str(rng.choice(list(simulate.conditions)))
    field = simulate_field(simulate, condition=condition, replicate=number + 1, field=1)
    preprocessing, size = preprocessing_of(params), simulate.pixel_size_um
    # The marker, and the nuclei where the network is shown a second channel.
    marker, nuclei = field.image
    seen = marker if params.ingest.second_channel is None else np.stack([marker, nuclei], axis=-1)
    return Example(
        image_id=f"simulated {number}",
        image=preprocessing.prepare(seen, size),
        labels=preprocessing.prepare_labels(field.granules, size),
    )


def _for_pretraining(params: Params) -> Params:
    """The project's recipe with the values of `pretrain` in the place of its own."""
    settings = params.pretrain
    values = {
        "train.seed": settings.seed,
        "train.epochs": settings.epochs,
        "train.learning_rate": settings.learning_rate,
        "train.init": None,
        "train.soft_labels": False,
    }
    return with_values(params, values)


def _key(params: Params, root: Path) -> str:
    sections = {"network", "preprocess", "train", "simulate", "pretrain"}
    return digest(
        [
            params.model_dump(mode="json", include=sections),
            params.evaluate.object_iou,
            params.ingest.second_channel is None,
            code_digest(CODE, root),
        ]
    )


def _granules(examples: Sequence[Example]) -> int:
    return sum(len(example.granules) for example in examples)
