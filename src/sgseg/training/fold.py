"""Training of one network. Knows nothing of files of images, of DVC or of MLflow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from tqdm import tqdm

from sgseg.errors import InputError, Problem
from sgseg.nets import build_network, training_model
from sgseg.nets.losses import Loss, build_loss
from sgseg.nets.metrics import PixelScores
from sgseg.nets.optimizers import (
    averaged_weights,
    build_optimizer,
    build_schedule,
    plateau_rate,
)
from sgseg.nets.precision import with_scaled_loss
from sgseg.training.augment import Augmentation
from sgseg.training.batches import Example, Sampling, batches, steps_per_epoch
from sgseg.training.checkpoint import Progress, load_progress, save_progress
from sgseg.training.devices import prepare_devices
from sgseg.training.fused import with_fused_operations
from sgseg.training.reproducible import begin_epoch, make_reproducible
from sgseg.training.scoring import Scores, pixel_scores, score_examples

log = logging.getLogger(__name__)
OnEpoch = Callable[[int, Scores], None]


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained; see `params.yaml` for each value's meaning.

    `loss`, `optimizer` and `schedule` hold a `name` and the parameters of what it names.
    """

    network: dict[str, Any]
    precision: str
    init: Path | None
    sampling: Sampling
    augmentation: Augmentation
    epochs: int
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    learning_rate: float
    schedule: dict[str, Any]
    weights_average: float
    monitor: str
    patience: int
    object_iou: float
    seed: int


@dataclass(frozen=True)
class Trained:
    """A network with its best weights, not compiled, and the scores of every epoch.

    `best_epoch` is the number of the best one, from 1.
    """

    model: keras.Model
    history: list[Scores]
    best_epoch: int


def train_fold(
    train: list[Example],
    validation: list[Example],
    recipe: Recipe,
    *,
    fold: int,
    checkpoint: Path,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train one network and keep the weights of its best validation epoch.

    Parameters
    ----------
    train, validation
        Images with truth. Validation decides when to stop and which weights to keep; it must share
        no group with `train`, nor with the images on which the result will be scored. It may be
        empty where the last weights are kept (`monitor`: "last").
    fold
        Number of the fold; with the recipe's seed it determines everything random.
    checkpoint
        File for the state after each epoch. Where it exists, training goes on from it, so it must
        be of the same images and recipe. It is left in place: remove it once the result is safe.
    on_epoch
        Called after each epoch with its number, from 1, and its scores, as soon as that epoch can
        no longer be lost; on a resumed training also for the epochs before.

    Raises
    ------
    InputError
        There is nothing to train on or to stop by, or the loss ceases to be a number.
    """
    _check_not_empty(fold, train, validation, recipe)
    log.info("fold %d trains on %s in %s", fold, prepare_devices(), recipe.precision)
    make_reproducible(recipe.seed, fold)
    channels = _channels(train)
    network = build_network(**recipe.network, precision=recipe.precision, channels=channels)
    if recipe.init is not None:
        start_from(network, recipe.init)
    pixels = PixelScores()
    model = _compiled(network, pixels, train, recipe)
    progress = _resume(model, checkpoint)
    if on_epoch is not None:
        for epoch, scores in enumerate(progress.history, start=1):
            on_epoch(epoch, scores)
    # What is scored and kept, in float32: these weights or, where it is asked for, their average.
    shown = build_network(**recipe.network, channels=channels)
    with tqdm(
        total=recipe.epochs,
        initial=progress.epoch,
        desc=f"fold {fold}",
        unit="epoch",
        mininterval=5,
    ) as bar:
        while progress.epoch < recipe.epochs and not _is_out_of_patience(progress, recipe):
            _set_learning_rate(model, recipe, progress.history)
            scores = _one_epoch(model, pixels, train, recipe, fold=fold, epoch=progress.epoch)
            _assign(shown.variables, _shown_values(network, model, recipe))
            if validation:
                held_out = score_examples(
                    shown, validation, loss=recipe.loss, object_iou=recipe.object_iou
                )
                scores |= {f"val_{name}": value for name, value in held_out.items()}
            _record(progress, model, shown, scores, recipe.monitor)
            save_progress(checkpoint, progress)
            if on_epoch is not None:
                on_epoch(progress.epoch, scores)
            bar.set_postfix_str(_summary(scores), refresh=False)
            bar.update()
    # Not compiled: a saved network needs neither loss nor the optimizer's state, twice its size.
    _assign(shown.variables, progress.best)
    return Trained(shown, progress.history, progress.best_epoch + 1)


def start_from(network: keras.Model, path: Path) -> None:
    """Give a network the weights of a saved one of the same architecture.

    Raises
    ------
    InputError
        There is no such file, or the network in it is another.
    """
    if not path.is_file():
        raise InputError(Problem(str(path), "no such file", "a network to start from (train.init)"))
    try:
        saved = keras.models.load_model(path, compile=False)
    except (ValueError, OSError) as error:
        said = str(error).splitlines()[0]
        raise InputError(Problem(str(path), f"not a saved network: {said}")) from None
    own, other = ([tuple(w.shape) for w in model.weights] for model in (network, saved))
    if own != other:
        raise InputError(
            Problem(
                str(path),
                f"{saved.name} of {saved.count_params():,} parameters",
                f"{network.name} of {network.count_params():,}, as section `network` asks for",
                "Train a network of this architecture to start from, or set train.init: null.",
            )
        )
    network.set_weights(saved.get_weights())


def _compiled(
    network: keras.Model, pixels: PixelScores, train: list[Example], recipe: Recipe
) -> keras.Model:
    """The network with optimizer, loss and metrics."""
    model = with_fused_operations(training_model(network))
    steps = steps_per_epoch(train, recipe.sampling) * recipe.epochs
    schedule = build_schedule(peak=recipe.learning_rate, steps=steps, **recipe.schedule)
    optimizer = build_optimizer(
        learning_rate=schedule, weights_average=recipe.weights_average, **recipe.optimizer
    )
    optimizer = with_scaled_loss(optimizer, recipe.precision)
    optimizer.build(model.trainable_variables)
    # XLA was slower here on every network tried on two cores, and compiles for ten seconds. Without
    # it JAX would run the step one operation at a time.
    model.compile(
        optimizer,
        _of_every_output(build_loss(**recipe.loss)),
        metrics=[pixels],
        jit_compile=keras.backend.backend() == "jax",
    )
    return model


def _of_every_output(loss: Loss) -> Loss:
    """Mean over the outputs (N, H, W, D) of a network that is supervised at D depths."""

    def mean_loss(truth: Any, probability: Any) -> Any:
        depths = probability.shape[-1]
        if depths == 1:
            return loss(truth, probability)
        return sum(loss(truth, probability[..., i : i + 1]) for i in range(depths)) / depths

    return mean_loss


def _set_learning_rate(model: keras.Model, recipe: Recipe, history: list[Scores]) -> None:
    """The schedules of a number of steps are part of the optimizer; a plateau is seen here."""
    if recipe.schedule["name"] == "plateau":
        model.optimizer.learning_rate = plateau_rate(
            recipe.learning_rate,
            factor=recipe.schedule["factor"],
            patience=recipe.schedule["patience"],
            losses=[scores["val_loss"] for scores in history],
        )


def _shown_values(network: keras.Model, model: keras.Model, recipe: Recipe) -> list[NDArray[Any]]:
    """Values of all variables of the network, with the running average for the trained ones."""
    values = _values(network.variables)
    if recipe.weights_average:
        trained = {id(v): i for i, v in enumerate(network.variables)}
        averages = averaged_weights(model.optimizer, model)
        for variable, average in zip(model.trainable_variables, averages, strict=True):
            values[trained[id(variable)]] = np.array(ops.convert_to_numpy(average))
    return values


def _check_not_empty(
    fold: int, train: list[Example], validation: list[Example], recipe: Recipe
) -> None:
    problems = []
    if not train:
        problems.append(
            Problem(f"fold {fold}", "no image to train on", "at least one", "Import more images.")
        )
    watched = recipe.monitor != "last" or recipe.schedule["name"] == "plateau"
    if watched and not validation:
        remedy = (
            "Import more images, set split.validation_fraction above 0, or train to the end "
            "(train.monitor: last, and no schedule that waits for a plateau)."
        )
        problems.append(Problem(f"fold {fold}", "no image to stop by", "at least one", remedy))
    if problems:
        raise InputError(*problems)


def _channels(train: list[Example]) -> int:
    (channels,) = {example.channels for example in train}
    return channels


def _resume(model: keras.Model, checkpoint: Path) -> Progress:
    progress = load_progress(checkpoint)
    if progress is None:
        return Progress()
    if not (
        _fit(model.variables, progress.model)
        and _fit(model.optimizer.variables, progress.optimizer)
    ):
        log.warning("%s: of another network; training starts from the beginning", checkpoint)
        return Progress()
    log.info("going on after epoch %d from %s", progress.epoch, checkpoint)
    _assign(model.variables, progress.model)
    _assign(model.optimizer.variables, progress.optimizer)
    return progress


def _fit(variables: list[Any], values: list[NDArray[Any]]) -> bool:
    return [tuple(variable.shape) for variable in variables] == [value.shape for value in values]


def _assign(variables: list[Any], values: list[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _values(variables: list[Any]) -> list[NDArray[Any]]:
    # A copy: some backends hand out a view of memory that the next step overwrites.
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _one_epoch(
    model: keras.Model,
    pixels: PixelScores,
    train: list[Example],
    recipe: Recipe,
    *,
    fold: int,
    epoch: int,
) -> Scores:
    """Train on every batch of an epoch; scores over all of it, learning rate at its end."""
    begin_epoch(recipe.seed, fold, epoch)
    # Keras forgets its metrics at each `train_on_batch`: they would be those of the last one.
    counts, loss, n_images = np.zeros(pixels.counts.shape, np.int64), 0.0, 0
    for images, masks in batches(
        train,
        sampling=recipe.sampling,
        augmentation=recipe.augmentation,
        seed=(recipe.seed, fold),
        epoch=epoch,
    ):
        result = model.train_on_batch(images, masks, return_dict=True)
        counts += ops.convert_to_numpy(pixels.counts)
        loss += float(result["loss"]) * len(images)
        n_images += len(images)
    scores = {"loss": loss / n_images} | pixel_scores(counts)
    if not np.isfinite(scores["loss"]):
        raise InputError(
            Problem(
                f"fold {fold}, epoch {epoch + 1}",
                f"the loss became {scores['loss']}",
                "a number",
                "Lower train.learning_rate, or use train.schedule: one_cycle.",
            )
        )
    scores["learning_rate"] = float(ops.convert_to_numpy(model.optimizer.learning_rate))
    return scores


def _record(
    progress: Progress, model: keras.Model, shown: keras.Model, scores: Scores, monitor: str
) -> None:
    progress.history.append(scores)
    progress.model = _values(model.variables)
    progress.optimizer = _values(model.optimizer.variables)
    if progress.best_epoch < 0 or _is_better(
        scores, progress.history[progress.best_epoch], monitor
    ):
        progress.best_epoch = progress.epoch
        progress.best = _values(shown.variables)
    progress.epoch += 1


def _is_better(scores: Scores, best: Scores, monitor: str) -> bool:
    """Few validation granules make the F1 take few values: of equal ones the lower loss wins."""
    if monitor == "last":
        return True
    if monitor == "val_loss":
        return scores["val_loss"] < best["val_loss"]
    return (scores[monitor], -scores["val_loss"]) > (best[monitor], -best["val_loss"])


def _is_out_of_patience(progress: Progress, recipe: Recipe) -> bool:
    return progress.epoch - 1 - progress.best_epoch >= recipe.patience


def _summary(scores: Scores) -> str:
    shown = {"loss": "loss", "val_loss": "val loss", "val_object_f1": "val object F1"}
    return ", ".join(f"{title} {scores[n]:.3f}" for n, title in shown.items() if n in scores)
