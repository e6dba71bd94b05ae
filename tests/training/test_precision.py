"""Training in half precision: it learns, goes on to the same bits, and ends as float32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from sgseg.inference.network import OnnxNetwork
from sgseg.nets import build_network
from sgseg.training import fold as fold_module
from sgseg.training.export import export_onnx
from sgseg.training.fold import Trained
from sgseg.training.scoring import Scores, predict

from .tiny import RECIPE, VALIDATION, digest, train

HALVES = ["mixed_float16", "mixed_bfloat16"]
# Without noise of its own: what is compared is the arithmetic.
PLAIN: dict[str, Any] = {
    "network": RECIPE.network | {"dropout": 0.0},
    "weights_average": 0.5,
}


class StopHereError(Exception):
    pass


@pytest.fixture(scope="module", params=HALVES)
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def undisturbed(precision: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("half") / "a.npz", precision=precision, **PLAIN)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("single") / "a.npz", precision="float32", **PLAIN)


@pytest.mark.usefixtures("eager")
def test_it_learns(precision: str, tmp_path: Path) -> None:
    history = train(
        tmp_path / "fold_0.npz",
        precision=precision,
        epochs=6,
        sampling=replace(RECIPE.sampling, coverage=3.5, batch_size=10),
        schedule={"name": "constant"},
        learning_rate=0.05,
    ).history
    assert all(np.isfinite(value) for scores in history for value in scores.values())
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]
    assert max(scores["val_object_f1"] for scores in history) > 0.8


def test_it_comes_close_to_float32(undisturbed: Trained, single: Trained) -> None:
    for found, expected in zip(undisturbed.history, single.history, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], abs=0.03)
    assert digest(undisturbed) != digest(single)


def test_what_is_kept_computes_in_float32(undisturbed: Trained, tmp_path: Path) -> None:
    model = undisturbed.model
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    export_onnx(model, tmp_path / "model.onnx")
    onnx = OnnxNetwork(tmp_path / "model.onnx", margin_px=0)
    for example in VALIDATION:
        np.testing.assert_allclose(onnx(example.image), predict(model, example.image), atol=1e-5)


@pytest.mark.usefixtures("eager")
def test_interrupted_it_ends_the_same(precision: str, tmp_path: Path) -> None:
    def stop(epoch: int, scores: Scores) -> None:
        if epoch == 2:
            raise StopHereError

    options = PLAIN | {"precision": precision}
    with pytest.raises(StopHereError):
        train(tmp_path / "a.npz", on_epoch=stop, **options)
    again = train(tmp_path / "a.npz", **options)
    undisturbed = train(tmp_path / "b.npz", **options)
    assert digest(again) == digest(undisturbed)
    assert again.history == undisturbed.history


@pytest.mark.usefixtures("eager")
def test_it_starts_from_a_network_of_float32(precision: str, tmp_path: Path) -> None:
    source = build_network(**RECIPE.network)
    source.save(tmp_path / "source.keras")
    trained = train(
        tmp_path / "fold.npz",
        init=tmp_path / "source.keras",
        precision=precision,
        epochs=1,
        learning_rate=1e-12,
        schedule={"name": "constant"},
    )
    for found, given in zip(
        trained.model.trainable_variables, source.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(found, given, atol=1e-9)


@pytest.mark.usefixtures("eager")
def test_the_loss_of_float16_stays_scaled_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales, original = [], fold_module._resume

    def lower_once(model: keras.Model, checkpoint: Path) -> Any:
        progress = original(model, checkpoint)
        if not progress.epoch:
            model.optimizer.dynamic_scale.assign(2.0**10)
        scales.append(float(ops.convert_to_numpy(model.optimizer.dynamic_scale)))
        return progress

    monkeypatch.setattr(fold_module, "_resume", lower_once)
    for epochs in (1, 2):
        train(tmp_path / "a.npz", precision="mixed_float16", epochs=epochs)
    assert scales == [2**10, 2**10]
