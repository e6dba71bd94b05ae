"""The U-Net: sizes, numbers of parameters, files, and that it can learn."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import sgseg.nets
from sgseg.nets import build_network
from sgseg.nets.losses import bce_dice
from sgseg.nets.metrics import PixelScores
from sgseg.nets.unet import CropLike, build_unet


def unet(
    *, width: int = 4, depth: int = 1, dropout: float = 0.0, normalisation: str = "none"
) -> keras.Model:
    return build_network(
        architecture="unet", width=width, depth=depth, dropout=dropout, normalisation=normalisation
    )


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@pytest.fixture(scope="module")
def deep() -> keras.Model:
    """Depth 3: pools by 8."""
    keras.utils.set_random_seed(0)
    return unet(width=2, depth=3, normalisation="batch")


@settings(max_examples=15)
@given(st.integers(1, 40), st.integers(1, 40))
@example(1, 1)
@example(3, 5)
@example(7, 8)
@example(16, 17)
def test_the_output_has_the_size_of_the_input(deep: keras.Model, height: int, width: int) -> None:
    probability = np.asarray(deep(5 * noise(2, height, width, 1)))
    assert probability.shape == (2, height, width, 1)
    assert probability.dtype == np.float32
    assert probability.min() >= 0
    assert probability.max() <= 1


def test_odd_sizes_do_not_shift_anything() -> None:
    network = unet(width=2, depth=2)
    image = noise(1, 64, 64, 1)
    whole = np.asarray(network(image))
    cropped = np.asarray(network(image[:, :63, :61]))
    # Two 3 x 3 convolutions on 2 levels down, at the bottom and 2 levels up see
    # 2 * (1 + 2) + 2 * 4 + 2 * (2 + 1) = 20 px; pooling rounds that up by less than 4.
    np.testing.assert_allclose(cropped[:, : 61 - 24, : 61 - 24], whole[:, :37, :37], atol=1e-6)
    assert np.abs(cropped[:, 62, :60] - whole[:, 62, :60]).max() > 1e-4


def test_crop_like_keeps_the_top_left() -> None:
    larger = np.arange(24, dtype=np.float32).reshape(1, 4, 6, 1)
    reference = np.zeros((1, 3, 5, 7), np.float32)
    cropped = np.asarray(CropLike()([larger, reference]))
    np.testing.assert_array_equal(cropped, larger[:, :3, :5])


def test_number_of_parameters() -> None:
    # 3 x 3 convolutions with bias, in * out * 9 + out:
    #   down   1 -> 4:   36 + 4 =  40    4 -> 4: 144 + 4 = 148
    #   bottom 4 -> 8:  288 + 8 = 296    8 -> 8: 576 + 8 = 584
    #   merge 8 + 4 -> 4: 432 + 4 = 436  4 -> 4:           148
    # 1 x 1 to the probability: 4 + 1 = 5
    assert unet().count_params() == 40 + 148 + 296 + 584 + 436 + 148 + 5


def test_number_of_parameters_with_normalisation() -> None:
    # No biases: 36 + 144 + 288 + 576 + 432 + 144 = 1620, and 5 of the probability.
    # Normalised channels: 4 + 4 + 8 + 8 + 4 + 4 = 32, with a scale and a shift each; batch keeps a
    # mean and a variance too.
    batch, group = unet(normalisation="batch"), unet(normalisation="group")
    assert sum(int(np.prod(w.shape)) for w in batch.trainable_weights) == 1620 + 5 + 64
    assert batch.count_params() == 1620 + 5 + 128
    assert group.count_params() == 1620 + 5 + 64


def test_each_level_doubles_the_channels() -> None:
    network = unet(width=3, depth=3)
    names = ("down0", "down1", "down2", "bottom", "merge2", "merge1", "merge0")
    channels = [network.get_layer(f"{name}_conv_b").filters for name in names]
    assert channels == [3, 6, 12, 24, 12, 6, 3]


@pytest.mark.parametrize("width", [1, 4, 12, 28])
def test_groups_divide_any_number_of_channels(width: int) -> None:
    network = unet(width=width, normalisation="group")
    assert np.asarray(network(noise(1, 9, 9, 1))).shape == (1, 9, 9, 1)


def test_groups_have_eight_channels_where_they_can() -> None:
    network = unet(width=16, normalisation="group")
    assert network.get_layer("down0_norm_a").groups == 2
    assert network.get_layer("bottom_norm_a").groups == 4


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="'unett'"):
        build_network(architecture="unett", width=4, depth=1, dropout=0.0, normalisation="none")
    with pytest.raises(ValueError, match="'bacth'"):
        unet(normalisation="bacth")


def test_more_than_one_channel() -> None:
    network = build_unet(width=2, depth=1, dropout=0.0, normalisation="none", channels=3)
    assert np.asarray(network(noise(1, 6, 7, 3))).shape == (1, 6, 7, 1)


def test_dropout_acts_in_training_only() -> None:
    network, image = unet(dropout=0.5), noise(1, 16, 16, 1)
    first, second = (np.asarray(network(image, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-4
    first, second = (np.asarray(network(image, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_without_dropout_nothing_is_random() -> None:
    network, image = unet(dropout=0.0), noise(1, 16, 16, 1)
    np.testing.assert_array_equal(
        np.asarray(network(image, training=True)), np.asarray(network(image, training=False))
    )


def test_mixed_precision_ends_in_single() -> None:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = unet(normalisation="batch")
        assert network.get_layer("bottom_conv_a").compute_dtype == "float16"
        assert np.asarray(network(noise(1, 8, 8, 1))).dtype == np.float32
    finally:
        keras.config.set_dtype_policy(policy)


def test_a_saved_network_loads_where_only_the_networks_are_imported(
    deep: keras.Model, tmp_path: Path
) -> None:
    image = noise(1, 13, 10, 1)
    np.save(tmp_path / "image.npy", image)
    deep.save(tmp_path / "model.keras")
    program = (
        "import sgseg.nets, keras, numpy as np\n"
        "model = keras.models.load_model('model.keras')\n"
        "np.save('probability.npy', np.asarray(model(np.load('image.npy'))))\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "probability.npy"), np.asarray(deep(image)), atol=1e-6
    )


@pytest.mark.parametrize(("normalisation", "depth"), [("batch", 2), ("group", 1)])
def test_onnx_computes_the_same_at_any_size(normalisation: str, depth: int, tmp_path: Path) -> None:
    network = unet(width=2, depth=depth, dropout=0.1, normalisation=normalisation)
    network(noise(4, 16, 16, 1), training=True)  # moves the batch statistics off 0 and 1
    path = tmp_path / "model.onnx"
    network.export(str(path), format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given_name,) = (tensor.name for tensor in session.get_inputs())
    for shape in ((16, 16), (15, 22), (5, 3), (1, 1)):
        image = noise(1, *shape, 1)
        (probability,) = session.run(None, {given_name: image})
        assert probability.shape == image.shape
        np.testing.assert_allclose(probability, np.asarray(network(image)), atol=1e-5)


def test_it_learns_four_images_by_heart() -> None:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images, masks = noise(4, 32, 32, 1), np.zeros((4, 32, 32, 1), np.float32)
    y, x = np.mgrid[:32, :32]
    for number in range(4):
        for row, column in rng.integers(5, 27, (3, 2)):
            masks[number, (y - row) ** 2 + (x - column) ** 2 <= 9, 0] = 1
    images = 0.5 * images + 2 * masks
    network = unet(width=4, depth=1, normalisation="batch")
    network.compile(keras.optimizers.Adam(0.02), bce_dice, jit_compile=False)
    for _ in range(40):
        network.train_on_batch(images, masks)
    scores = PixelScores()
    scores.update_state(masks, network.predict_on_batch(images))
    assert float(scores.result()["iou"]) > 0.9


def test_no_backend_is_imported_by_name() -> None:
    allowed = {"__future__", "collections", "keras", "math", "sgseg", "typing"}
    for path in Path(sgseg.nets.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] in allowed, f"{path.name} imports {name}"
                assert not name.startswith("sgseg") or name.startswith("sgseg.nets"), path.name
