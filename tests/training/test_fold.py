"""One network: the same weights whatever interrupts its training, and the best of them kept."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from sgseg.errors import InputError
from sgseg.nets import build_network, training_model
from sgseg.nets.metrics import PixelScores
from sgseg.training import fold as fold_module
from sgseg.training.batches import Example
from sgseg.training.fold import Trained, train_fold
from sgseg.training.scoring import Scores, predict, score_examples

from .tiny import RECIPE, SCORING, TRAIN, VALIDATION, digest, train, weights

Calls = list[tuple[int, Scores]]


@dataclass(frozen=True)
class Run:
    """A training with the calls of `on_epoch` and its checkpoint."""

    trained: Trained
    calls: Calls
    checkpoint: Path


def run(checkpoint: Path, **options: Any) -> Run:
    calls: Calls = []
    trained = train(
        checkpoint, on_epoch=lambda epoch, scores: calls.append((epoch, scores)), **options
    )
    return Run(trained, calls, checkpoint)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("undisturbed") / "fold_0.npz")


def assert_same(trained: Trained, expected: Trained) -> None:
    assert digest(trained) == digest(expected)
    assert trained.history == expected.history
    assert trained.best_epoch == expected.best_epoch


# --- what a training gives


def test_every_epoch_has_the_scores_of_training_and_validation(undisturbed: Run) -> None:
    pixel_scores = {"loss", "accuracy", "iou", "dice", "precision", "recall", "auc"}
    object_scores = {"object_precision", "object_recall", "object_f1"}
    expected = pixel_scores | {f"val_{name}" for name in pixel_scores | object_scores}
    assert len(undisturbed.trained.history) == 3
    for scores in undisturbed.trained.history:
        assert set(scores) == expected | {"learning_rate"}
        assert all(isinstance(value, float) and np.isfinite(value) for value in scores.values())
        assert all(0 <= scores[name] <= 1 for name in expected if not name.endswith("loss"))


def test_the_learning_rate_is_that_at_the_end_of_each_epoch(undisturbed: Run) -> None:
    # 5 patches in batches of 2 are 3 steps; 3 epochs are 9. Up from 0.01 / 25 for 9 // 4 = 2 steps,
    # then 0.01 * (0.001 + 0.999 * (1 + cos(pi * (step - 2) / 7)) / 2), after 3, 6 and 9 steps.
    expected = [
        0.01 * (0.001 + 0.999 * (1 + np.cos(np.pi * (step - 2) / 7)) / 2) for step in (3, 6, 9)
    ]
    rates = [scores["learning_rate"] for scores in undisturbed.trained.history]
    assert rates == pytest.approx(expected, rel=1e-5)


def test_each_epoch_is_reported_once_in_order(undisturbed: Run) -> None:
    assert undisturbed.calls == list(enumerate(undisturbed.trained.history, start=1))


def test_the_network_is_the_best_epochs_and_not_compiled(undisturbed: Run) -> None:
    trained = undisturbed.trained
    found = score_examples(trained.model, VALIDATION, **SCORING)
    best = trained.history[trained.best_epoch - 1]
    assert {f"val_{name}": value for name, value in found.items()} == {
        name: value for name, value in best.items() if name.startswith("val_")
    }
    assert not trained.model.compiled


@pytest.mark.usefixtures("eager")
def test_it_learns(tmp_path: Path) -> None:
    history = train(
        tmp_path / "fold_0.npz",
        epochs=6,
        sampling=replace(RECIPE.sampling, coverage=3.5, batch_size=10),
        schedule={"name": "constant"},
        learning_rate=0.05,
    ).history
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]
    assert max(scores["val_object_f1"] for scores in history) > 0.8


# --- the same weights


def test_the_same_seed_gives_the_same_weights(undisturbed: Run, tmp_path: Path) -> None:
    assert_same(train(tmp_path / "fold_0.npz"), undisturbed.trained)


@pytest.mark.usefixtures("eager")
def test_another_seed_or_fold_gives_other_weights(tmp_path: Path) -> None:
    changes: list[dict[str, int]] = [{}, {"seed": 6}, {"fold": 1}]
    trained = [
        weights(train(tmp_path / f"{number}.npz", epochs=1, **change))
        for number, change in enumerate(changes)
    ]
    kernels = [number for number, value in enumerate(trained[0]) if value.ndim == 4]
    assert len(kernels) == 7  # two at each of three levels, one to the probability
    for one, other in itertools.combinations(trained, 2):
        assert not any(np.array_equal(one[number], other[number]) for number in kernels)


class StopHereError(Exception):
    pass


def test_stopped_after_every_epoch_and_within_one_it_ends_the_same(
    undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, original = tmp_path / "fold_0.npz", fold_module.batches
    reported: list[list[int]] = []

    def stop_after(stop: int) -> None:
        def note(epoch: int, scores: Scores) -> None:
            reported[-1].append(epoch)
            assert scores == undisturbed.trained.history[epoch - 1]
            if epoch == stop:
                raise StopHereError

        reported.append([])
        with pytest.raises(StopHereError):
            train(checkpoint, on_epoch=note)

    def one_step(*args: Any, **options: Any) -> Iterator[Any]:
        yield next(iter(original(*args, **options)))
        raise KeyboardInterrupt

    stop_after(1)
    monkeypatch.setattr(fold_module, "batches", one_step)
    with pytest.raises(KeyboardInterrupt):  # in the second epoch, of which nothing must be left
        train(checkpoint)
    monkeypatch.undo()
    stop_after(2)
    stop_after(3)
    assert_same(train(checkpoint), undisturbed.trained)
    # Each run tells of all epochs so far, then of the new one.
    assert reported == [[1], [1, 2], [1, 2, 3]]


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from training.tiny import train
print("ready", flush=True)
train(Path(sys.argv[2]), on_epoch=lambda epoch, scores: print(epoch, flush=True))
"""


def test_killed_at_a_random_moment_it_ends_the_same(undisturbed: Run, tmp_path: Path) -> None:
    checkpoint = tmp_path / "fold_0.npz"
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[1]), str(checkpoint)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        after = random.choice(["ready", "1", "2"])
        while process.stdout.readline().strip() != after:
            assert process.poll() is None
        moment = random.uniform(0, 0.5)
        time.sleep(moment)
        os.kill(process.pid, signal.SIGKILL)
    assert {path.name for path in tmp_path.iterdir()} <= {"fold_0.npz", ".fold_0.npz.partial"}
    trained = train(checkpoint)
    assert digest(trained) == digest(undisturbed.trained), f"killed {moment} s after {after}"
    assert_same(trained, undisturbed.trained)


def test_a_finished_training_is_not_done_again(
    undisturbed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **options: Any) -> None:
        raise AssertionError("trained or scored again")

    monkeypatch.setattr(fold_module, "batches", never)
    monkeypatch.setattr(fold_module, "score_examples", never)
    again = run(undisturbed.checkpoint)
    assert_same(again.trained, undisturbed.trained)
    assert again.calls == undisturbed.calls


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("damage", ["truncated", "of another network"])
def test_a_checkpoint_of_no_use_is_said_and_training_starts_anew(
    damage: str, undisturbed: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, network = undisturbed.checkpoint.read_bytes(), RECIPE.network
    if damage == "truncated":
        content = content[: len(content) // 2]
    else:
        network = network | {"width": 2}
    (tmp_path / "fold_0.npz").write_bytes(content)
    trained = train(tmp_path / "fold_0.npz", epochs=1, network=network)
    assert len(trained.history) == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "training starts from the beginning" in warnings[0]


@pytest.mark.usefixtures("eager")
def test_an_interrupted_average_of_the_weights_ends_the_same(tmp_path: Path) -> None:
    def stop(epoch: int, scores: Scores) -> None:
        if epoch == 1:
            raise StopHereError

    options: dict[str, Any] = {
        "epochs": 2,
        "weights_average": 0.9,
        "schedule": {"name": "plateau", "factor": 0.5, "patience": 1},
    }
    with pytest.raises(StopHereError):
        train(tmp_path / "a.npz", on_epoch=stop, **options)
    assert_same(train(tmp_path / "a.npz", **options), train(tmp_path / "b.npz", **options))


# --- where the weights start


@pytest.mark.usefixtures("eager")
def test_a_training_starts_from_another_network_s_weights(tmp_path: Path) -> None:
    source = build_network(**RECIPE.network)
    source.save(tmp_path / "source.keras")
    trained = train(
        tmp_path / "fold.npz",
        init=tmp_path / "source.keras",
        epochs=1,
        learning_rate=1e-12,
        schedule={"name": "constant"},
    )
    for found, given in zip(
        trained.model.trainable_variables, source.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(found, given, atol=1e-9)


def test_a_network_that_does_not_fit_is_no_start(tmp_path: Path) -> None:
    build_network(**RECIPE.network | {"width": 2}).save(tmp_path / "narrow.keras")
    (tmp_path / "text.keras").write_text("no network")
    for name, said in (
        ("narrow.keras", r"narrow\.keras: unet of [0-9,]+ parameters; expected unet of [0-9,]+"),
        ("text.keras", "not a saved network"),
        ("missing.keras", "no such file"),
    ):
        with pytest.raises(InputError, match=said):
            train(tmp_path / "fold.npz", init=tmp_path / name)


# --- which weights, and when to stop


@dataclass
class Script:
    """Stands in for the validation: scores as written down, and the weights that got them."""

    f1: list[float]
    loss: list[float]
    seen: list[list[NDArray[Any]]] = field(default_factory=list)

    def __call__(self, model: Any, examples: Any, **options: Any) -> Scores:
        number = len(self.seen)
        self.seen.append([ops.convert_to_numpy(v).copy() for v in model.variables])
        return {"loss": self.loss[number], "object_f1": self.f1[number]}


@pytest.fixture
def scripted(
    eager: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Trained, Script]]:
    def train_with(f1: list[float], loss: list[float], **changes: Any) -> tuple[Trained, Script]:
        script = Script(f1, loss)
        monkeypatch.setattr(fold_module, "score_examples", script)
        return train(tmp_path / "fold_0.npz", epochs=len(f1), **changes), script

    return train_with


Scripted = Callable[..., tuple[Trained, Script]]


def assert_weights_of(trained: Trained, script: Script, epoch: int) -> None:
    assert trained.best_epoch == epoch
    for found, expected in zip(weights(trained), script.seen[epoch - 1], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(weights(trained)[0], script.seen[-1][0])


def test_the_best_weights_are_kept_and_not_the_last(scripted: Scripted) -> None:
    trained, script = scripted(f1=[0.2, 0.9, 0.5, 0.4], loss=[1, 1, 0.5, 0.1])
    assert_weights_of(trained, script, epoch=2)


def test_an_average_of_the_weights_is_scored_and_kept(scripted: Scripted) -> None:
    f1, loss = [0.1, 0.9], [1.0, 1.0]
    plain, _ = scripted(f1=f1, loss=loss)
    averaged, script = scripted(f1=f1, loss=loss, weights_average=0.9)
    kernels = [number for number, value in enumerate(weights(plain)) if value.ndim == 4]
    assert kernels
    for number in kernels:
        np.testing.assert_array_equal(weights(averaged)[number], script.seen[1][number])
        assert not np.array_equal(weights(averaged)[number], weights(plain)[number])


def test_of_equal_f1_the_lower_loss_wins(scripted: Scripted) -> None:
    trained, script = scripted(f1=[0.5, 0.5, 0.5, 0.4], loss=[0.9, 0.7, 0.8, 0.1])
    assert_weights_of(trained, script, epoch=2)


def test_a_plateau_of_the_validation_loss_lowers_the_learning_rate(scripted: Scripted) -> None:
    # No gain in epochs 2 and 3: half from epoch 4 on.
    trained, _ = scripted(
        f1=[0.5] * 4,
        loss=[1.0, 1.0, 1.1, 0.9],
        schedule={"name": "plateau", "factor": 0.5, "patience": 2},
    )
    rates = [scores["learning_rate"] for scores in trained.history]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.005])


def test_the_loss_can_decide(scripted: Scripted) -> None:
    trained, script = scripted(
        f1=[0.5, 0.2, 0.9, 0.9], loss=[0.9, 0.3, 0.8, 0.4], monitor="val_loss"
    )
    assert_weights_of(trained, script, epoch=2)


def test_the_last_weights_are_kept_on_request(scripted: Scripted) -> None:
    # Worse from the first epoch on, and patience for one: trained to the end all the same.
    trained, script = scripted(f1=[0.9, 0.5, 0.4], loss=[0.1, 1, 1], monitor="last", patience=1)
    assert trained.best_epoch == 3
    np.testing.assert_array_equal(weights(trained)[0], script.seen[-1][0])


@pytest.mark.usefixtures("eager")
def test_the_last_weights_need_no_validation(tmp_path: Path) -> None:
    recipe = replace(RECIPE, monitor="last", epochs=1)
    trained = train_fold(TRAIN, [], recipe, fold=0, checkpoint=tmp_path / "fold.npz")
    assert trained.best_epoch == 1
    assert not any(name.startswith("val_") for name in trained.history[0])
    waiting = replace(recipe, schedule={"name": "plateau", "factor": 0.5, "patience": 1})
    with pytest.raises(InputError, match=r"no image to stop by.*train\.monitor: last"):
        train_fold(TRAIN, [], waiting, fold=0, checkpoint=tmp_path / "fold.npz")


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (3, 7)])
def test_patience_ends_a_training(scripted: Scripted, patience: int, epochs: int) -> None:
    # Better in epochs 1, 2 and 4: one epoch without is the 3rd; three in a row the 5th to 7th.
    trained, _ = scripted(
        f1=[0.1, 0.2, 0.2, 0.3, 0.1, 0.1, 0.1, 0.9], loss=[1.0] * 8, patience=patience
    )
    assert len(trained.history) == epochs


@pytest.mark.usefixtures("eager")
def test_patience_is_not_forgotten_over_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(epoch: int, scores: Scores) -> None:
        if epoch == 2:
            raise StopHereError

    script = Script(f1=[0.5, 0.4, 0.3, 0.2], loss=[1.0] * 4)
    monkeypatch.setattr(fold_module, "score_examples", script)
    with pytest.raises(StopHereError):
        train(tmp_path / "fold_0.npz", epochs=4, patience=2, on_epoch=stop)
    trained = train(tmp_path / "fold_0.npz", epochs=4, patience=2)
    assert len(trained.history) == 3
    assert_weights_of(trained, script, epoch=1)


# --- scores


@pytest.mark.usefixtures("eager")
def test_training_scores_are_of_the_whole_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At a learning rate of almost 0 and without dropout, every batch meets the same network.
    network = RECIPE.network | {"dropout": 0.0, "normalisation": "none"}
    seen: list[Any] = []
    original = fold_module.batches

    def keep(*args: Any, **options: Any) -> Iterator[Any]:
        for batch in original(*args, **options):
            seen.append(batch)
            yield batch

    monkeypatch.setattr(fold_module, "batches", keep)
    trained = train(
        tmp_path / "fold.npz",
        network=network,
        epochs=1,
        learning_rate=1e-12,
        schedule={"name": "constant"},
        loss={"name": "bce"},
    )
    pixels, losses = PixelScores(), []
    for images, masks in seen:
        p = np.asarray(trained.model(images)).astype(np.float64)
        losses += list(-(masks * np.log(p) + (1 - masks) * np.log1p(-p)).mean(axis=(1, 2, 3)))
        pixels.update_state(masks, p)
    assert len(losses) == 5
    scores = trained.history[0]
    assert scores["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    for name, value in pixels.result().items():
        assert scores[name] == pytest.approx(float(value), rel=1e-4), name


@pytest.mark.usefixtures("eager")
def test_every_depth_is_supervised(tmp_path: Path) -> None:
    # Of two outputs the loss is the mean, and the scores are those of their mean.
    network = RECIPE.network | {
        "architecture": "unet_plus_plus",
        "depth": 2,
        "dropout": 0.0,
        "normalisation": "none",
        "deep_supervision": True,
    }
    options: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-12, "network": network}
    trained = train(tmp_path / "fold.npz", schedule={"name": "constant"}, **options)
    heads = training_model(trained.model)
    losses: list[float] = []
    for images, masks in fold_module.batches(
        TRAIN, sampling=RECIPE.sampling, augmentation=RECIPE.augmentation, seed=(5, 0), epoch=0
    ):
        found = np.asarray(heads(images)).astype(np.float64)
        assert found.shape[-1] == 2
        np.testing.assert_allclose(found.mean(-1), np.asarray(trained.model(images))[..., 0], 1e-5)
        for p in np.moveaxis(found, -1, 0):
            t = masks[..., 0]
            bce = -(t * np.log(p) + (1 - t) * np.log1p(-p)).mean(axis=(1, 2))
            both, either = (t * p).sum((1, 2)), (t + p).sum((1, 2))
            losses += list(bce + 1 - (2 * both + 1) / (either + 1))
    assert trained.history[0]["loss"] == pytest.approx(np.mean(losses), rel=1e-4)


def test_predict_gives_the_probability_at_the_size_of_the_image() -> None:
    model = build_network(**RECIPE.network)
    image = VALIDATION[1].image
    probability = predict(model, image)
    assert probability.shape == image.shape == (33, 35)
    expected = np.asarray(model(image[None, ..., None]))[0, ..., 0]
    np.testing.assert_allclose(probability, expected, atol=1e-6)


# --- input that cannot be used


def test_nothing_to_train_on_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)fold 2: no image to train on.*no image to stop by"):
        train_fold([], [], RECIPE, fold=2, checkpoint=tmp_path / "fold_2.npz")


@pytest.mark.usefixtures("eager")
def test_a_training_that_diverges_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    bright = [Example("bright", np.full((40, 40), np.inf, np.float32), TRAIN[0].labels[:40, :40])]
    checkpoint = tmp_path / "fold_0.npz"
    with pytest.raises(InputError, match=r"fold 0, epoch 1: the loss became nan.*learning_rate"):
        train_fold(bright, VALIDATION, RECIPE, fold=0, checkpoint=checkpoint)
    assert not checkpoint.exists()
