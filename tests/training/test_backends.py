"""The same training under another backend of Keras, where that is installed: docs/backends.md."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tifffile

from sgseg.dataset.manifest import COLUMNS
from sgseg.inference.network import OnnxNetwork
from sgseg.nets import build_network
from sgseg.training import export
from sgseg.training.export import export_onnx
from sgseg.training.scoring import predict

from .one_backend import NETWORK, losses
from .tiny import draw

# A few steps from the same weights on the same batches; float32 sums in another order.
LOSS_TOLERANCE = 1e-3
ROLES = ["train", "train", "validation", "held_out"]


def write_dataset(folder: Path) -> None:
    rows = []
    for number in range(len(ROLES)):
        example = draw(number, shape=(40, 36 + number))
        for kind, pixels in (
            ("images", np.rint(1000 + 200 * example.image).astype(np.uint16)),
            ("masks", example.labels.astype(np.uint16)),
        ):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / kind / f"{number}.tif", pixels)
        rows.append(dict.fromkeys(COLUMNS, "") | {"image_id": str(number), "pixel_size_um": 0.2})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)


@pytest.fixture(scope="module", params=["jax", "torch"])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which a process under another backend has trained."""
    backend = request.param
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder = tmp_path_factory.mktemp(backend)
    write_dataset(folder / "dataset")
    names = [str(number) for number in range(len(ROLES))]
    roles = {"image_id": names, "group": names, "set": "development", "role_0": ROLES}
    pd.DataFrame(roles).to_csv(folder / "roles.csv", index=False)
    keras.utils.set_random_seed(0)
    build_network(**NETWORK).save(folder / "start.keras")
    done = subprocess.run(
        [sys.executable, "-m", "training.one_backend", str(folder)],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


@pytest.fixture(scope="module")
def found(ran: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((ran / "found.json").read_text(encoding="utf-8"))
    return result


def test_it_ran_under_that_backend_with_our_numpy(ran: Path, found: dict[str, Any]) -> None:
    assert found["devices"]["sgseg.backend"] == ran.name.rstrip("0123456789")
    assert found["numpy"] == np.__version__


def test_the_first_steps_have_the_same_losses(ran: Path, found: dict[str, Any]) -> None:
    expected = losses(ran / "start.keras")
    assert len(set(expected)) == len(expected) == 3
    assert found["losses"] == pytest.approx(expected, abs=LOSS_TOLERANCE)


def test_an_interrupted_training_ends_the_same(found: dict[str, Any]) -> None:
    assert found["again"] == found["whole"]
    assert found["histories_equal"]


def test_half_precision_comes_close_and_keeps_single_weights(found: dict[str, Any]) -> None:
    assert found["half_dtypes"] == ["float32"]
    assert found["policy"] == "float32"
    for half, single in zip(found["half"], found["history"], strict=True):
        assert half["loss"] == pytest.approx(single["loss"], abs=0.05)
        assert half["loss"] != single["loss"]


def test_a_fold_is_written_whole(ran: Path) -> None:
    names = {path.name for path in (ran / "fold").iterdir()}
    assert names == {"model.keras", "model.onnx", "history.csv", "curves.png", "gallery.png"}
    assert len(pd.read_csv(ran / "fold" / "history.csv")) == 1


def test_its_network_is_the_file_that_tensorflow_makes_of_these_weights(
    ran: Path, tmp_path: Path
) -> None:
    model = keras.models.load_model(ran / "fold" / "model.keras")
    export_onnx(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == (ran / "fold" / "model.onnx").read_bytes()
    image = draw(3).image
    np.testing.assert_allclose(
        OnnxNetwork(ran / "fold" / "model.onnx", margin_px=0)(image),
        predict(model, image),
        atol=1e-5,
    )


def test_images_that_were_held_out_are_scored(found: dict[str, Any]) -> None:
    assert 0 <= found["scores"]["object_f1"] <= 1
    assert all(np.isfinite(value) for scores in found["history"] for value in scores.values())


# --- without another backend


def test_another_process_writes_the_same_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_network(**NETWORK)
    export_onnx(model, tmp_path / "here.onnx")
    monkeypatch.setattr(export, "_convert", None)
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: "jax")
        # Keras asks it too, to compare the two networks.
        patch.setattr(
            export,
            "predict",
            lambda model, image: np.asarray(model(image[None, ..., None]))[0, ..., 0],
        )
        export_onnx(model, tmp_path / "there.onnx")
    assert (tmp_path / "there.onnx").read_bytes() == (tmp_path / "here.onnx").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.onnx", "there.onnx"]


def test_what_the_other_process_says_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_network(**NETWORK)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(model, "save", lambda path: Path(path).write_text("no network"))
    with pytest.raises(RuntimeError, match=r"(?s)TensorFlow could not write it:.*model\.keras"):
        export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
