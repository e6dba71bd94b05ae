"""One fold of a cross-validation, from the canonical data set to a folder with its network."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Iterable
from pathlib import Path

import keras
import pandas as pd

from sgseg.config import Params
from sgseg.dataset.manifest import (
    read_canonical_image,
    read_canonical_labels,
    read_manifest,
    shown_channels,
)
from sgseg.errors import InputError, Problem
from sgseg.evaluation.pictures import Case, save_gallery, save_training_curves
from sgseg.inference.preprocess import Preprocessing, resample
from sgseg.scores import count_pixels
from sgseg.training.augment import Augmentation
from sgseg.training.batches import Example, Sampling
from sgseg.training.export import export_onnx
from sgseg.training.fold import OnEpoch, Recipe, Trained, train_fold
from sgseg.training.scoring import predict, stopping_labels
from sgseg.training.soft_labels import soft_masks

log = logging.getLogger(__name__)


def preprocessing_of(params: Params) -> Preprocessing:
    """The preprocessing that the parameters ask for."""
    size = params.preprocess.resize
    return Preprocessing(
        normalise=params.preprocess.normalise,
        target_pixel_size_um=params.preprocess.target_pixel_size_um,
        resize=None if size is None else (size[0], size[1]),
    )


def recipe_of(params: Params) -> Recipe:
    """The training recipe that the parameters ask for."""
    train = params.train
    magnitudes = train.augment.model_dump()
    strength = magnitudes.pop("strength")
    return Recipe(
        network=params.network.model_dump(),
        precision=train.precision,
        init=None if train.init is None else Path(train.init),
        sampling=Sampling(
            patch_size=train.patch_size,
            coverage=train.coverage,
            batch_size=train.batch_size,
            foreground_share=train.foreground_share,
        ),
        augmentation=Augmentation(**magnitudes).stronger(strength),
        epochs=train.epochs,
        loss=train.loss.model_dump(),
        optimizer=train.optimizer.model_dump(),
        learning_rate=train.learning_rate,
        schedule=train.schedule.model_dump(),
        weights_average=train.weights_average,
        monitor=train.monitor,
        patience=train.patience,
        object_iou=params.evaluate.object_iou,
        seed=train.seed,
    )


def load_examples(
    dataset: Path,
    image_ids: Iterable[str],
    preprocessing: Preprocessing,
    *,
    soft_labels: bool = False,
) -> list[Example]:
    """Prepared images of the canonical data set, in the order of `image_ids`, with all channels.

    With `soft_labels`, an image of which there are copies among `image_ids` is to be learned from
    the mean of their masks.
    """
    image_ids = list(image_ids)
    manifest = read_manifest(dataset)
    sizes = dict(zip(manifest["image_id"], manifest["pixel_size_um"].astype(float), strict=True))
    soft = soft_masks(dataset, image_ids) if soft_labels else {}
    channels = shown_channels(dataset)
    examples = []
    for image_id in image_ids:
        pixel_size_um = None if math.isnan(sizes[image_id]) else sizes[image_id]
        pixels = read_canonical_image(dataset, image_id, channels=channels)
        image = preprocessing.prepare(pixels, pixel_size_um)
        labels = preprocessing.prepare_labels(
            read_canonical_labels(dataset, image_id), pixel_size_um
        )
        mean = resample(soft[image_id], labels.shape) if image_id in soft else None
        examples.append(Example(image_id, image, labels, mean))
    return examples


def run_fold(
    params: Params,
    fold: int,
    *,
    dataset: Path,
    roles: pd.DataFrame,
    folder: Path,
    checkpoint: Path,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train a fold and write `model.keras`, `model.onnx`, `history.csv` and pictures into `folder`.

    Parameters
    ----------
    dataset
        Folder that `ingest` wrote.
    roles
        Table that `split` wrote.
    checkpoint
        See `train_fold`. Left in place, so that a kill before the result is recorded costs nothing.

    Raises
    ------
    InputError
        The split has no such fold.
    """
    column = f"role_{fold}"
    if column not in roles:
        raise InputError(
            Problem(f"fold {fold}", "the split has no such fold", "a number of split.folds")
        )
    preprocessing = preprocessing_of(params)
    ids = {role: roles.loc[roles[column] == role, "image_id"] for role in ("train", "validation")}
    train = load_examples(
        dataset, ids["train"], preprocessing, soft_labels=params.train.soft_labels
    )
    validation = load_examples(dataset, ids["validation"], preprocessing)
    log.info("fold %d: %d images to train on, %d to stop by", fold, len(train), len(validation))
    trained = train_fold(
        train, validation, recipe_of(params), fold=fold, checkpoint=checkpoint, on_epoch=on_epoch
    )
    folder.mkdir(parents=True, exist_ok=True)
    _write_history(folder / "history.csv", trained.history)
    _write_keras(folder / "model.keras", trained.model)
    export_onnx(trained.model, folder / "model.onnx")
    save_training_curves(folder / "curves.png", trained.history, trained.best_epoch)
    if validation:
        save_gallery(folder / "gallery.png", _validation_cases(trained.model, validation))
    return trained


def _write_keras(path: Path, model: keras.Model) -> None:
    partial = path.with_name(f".{path.stem}.partial.keras")
    model.save(partial)
    partial.replace(path)


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *history[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"epoch": epoch, **scores} for epoch, scores in enumerate(history, 1))
    partial = path.with_name(f".{path.name}")
    partial.write_text(text.getvalue(), encoding="utf-8")
    partial.replace(path)


def _validation_cases(model: keras.Model, validation: list[Example]) -> list[Case]:
    """The best, the median and the worst validation image."""
    cases = []
    for example in validation:
        found = stopping_labels(predict(model, example.image))
        iou = count_pixels(example.mask, found > 0).iou
        title = f"{example.image_id}: IoU {iou:.2f}"
        cases.append((iou, Case(title, example.first, example.labels, found)))
    cases.sort(key=lambda pair: pair[0], reverse=True)
    chosen = sorted({0, len(cases) // 2, len(cases) - 1})
    return [cases[index][1] for index in chosen]
