"""The LinkNet's own: its parameters and what its joins compute."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from sgseg.inference.bundle import margin_px
from sgseg.inference.network import OnnxNetwork
from sgseg.inference.tiles import CORE_PX
from sgseg.nets import build_network, multiply_adds_per_pixel
from sgseg.nets.linknet import build_linknet
from sgseg.training.export import export_onnx


def linknet(*, width: int = 4, depth: int = 1, normalisation: str = "none") -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_linknet(width=width, depth=depth, dropout=0.0, normalisation=normalisation)


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def test_number_of_parameters() -> None:
    # 3 x 3 convolutions with bias, in * out * 9 + out:
    #   down   1 -> 4:   36 + 4 =  40    4 -> 4: 144 + 4 = 148
    #   bottom 4 -> 8:  288 + 8 = 296    8 -> 8: 576 + 8 = 584
    #   merge  4 -> 4:            148    4 -> 4:           148
    # 1 x 1 without bias to the skip's channels, 8 -> 4: 32; to the probability: 4 + 1 = 5
    assert linknet().count_params() == 40 + 148 + 296 + 584 + 148 + 148 + 32 + 5


def test_number_of_parameters_with_normalisation() -> None:
    # No biases: 36 + 144 + 288 + 576 + 144 + 144 = 1332; projection 32; probability 5; normalised
    # channels 4 + 4 + 8 + 8 + 4 + 4 = 32, none behind the projection, with a scale and a shift
    # each; batch keeps a mean and a variance too.
    assert linknet(normalisation="group").count_params() == 1332 + 32 + 5 + 2 * 32
    assert linknet(normalisation="batch").count_params() == 1332 + 32 + 5 + 4 * 32


@pytest.mark.parametrize(("width", "depth"), [(3, 0), (1, 1), (2, 3), (5, 2)])
def test_number_of_parameters_at_any_depth(width: int, depth: int) -> None:
    # A block from c to f channels: 9 c f + f, then 9 f f + f; a projection 2 f f.
    def block(c: int, f: int) -> int:
        return 9 * c * f + f + 9 * f * f + f

    filters = [width * 2**level for level in range(depth + 1)]
    down = sum(block(c, f) for c, f in zip([1, *filters], filters, strict=False))
    up = sum(block(f, f) + 2 * f * f for f in filters[:-1])
    assert linknet(width=width, depth=depth).count_params() == down + up + width + 1


def test_a_join_adds_what_was_projected_and_then_enlarged() -> None:
    network = linknet()
    names = ("down0_relu_b", "bottom_relu_b", "join0")
    parts = keras.Model(network.input, [network.get_layer(name).output for name in names])
    skip, below, joined = (np.asarray(part) for part in parts(3 * noise(1, 7, 5, 1)))
    # (1, 4, 3, 8) from below to the 7 x 5 px and 4 channels of the skip
    projected = below @ np.asarray(network.get_layer("project0").kernel)[0, 0]
    enlarged = projected.repeat(2, axis=1).repeat(2, axis=2)[:, :7, :5]
    assert joined.shape == (1, 7, 5, 4)
    np.testing.assert_allclose(joined, skip + enlarged, atol=1e-5)
    assert np.abs(enlarged).max() > 0.1  # or else the skip alone would equal it


def test_the_projection_computes_at_the_resolution_below() -> None:
    network = linknet(width=2, depth=3)
    shapes = keras.Model(
        network.input, [network.get_layer(f"project{level}").output for level in range(3)]
    )(noise(1, 16, 24, 1))
    assert [tuple(shape.shape) for shape in shapes] == [(1, 8, 12, 2), (1, 4, 6, 4), (1, 2, 3, 8)]


def test_every_join_adds_its_own_skip() -> None:
    network = linknet(width=2, depth=3)
    for level in range(3):
        inputs = network.get_layer(f"join{level}").input
        assert inputs[1] is network.get_layer(f"down{level}_relu_b").output


def test_two_thirds_of_the_cost_of_a_unet() -> None:
    # Of width 16 at each of 3 levels: 9 * 16 * 16 instead of 9 * 48 * 16, and 32 * 16 / 4 more.
    options = {"width": 16, "depth": 3, "dropout": 0.0, "normalisation": "batch"}
    unet, ours = (
        multiply_adds_per_pixel(build_network(architecture=name, **options))
        for name in ("unet", "linknet")
    )
    assert unet - ours == 3 * (9 * 48 * 16 - 9 * 16 * 16 - 32 * 16 / 4)
    assert ours / unet == pytest.approx(2 / 3, abs=0.01)


def test_tiles_of_a_large_image_are_put_together_without_seams(tmp_path: Path) -> None:
    network = linknet(width=2, depth=2, normalisation="batch")
    network.predict_on_batch(noise(1, 8, 8, 1))  # Keras exports what has run
    export_onnx(network, tmp_path / "model.onnx")
    image = noise(CORE_PX + 203, 61)
    whole = OnnxNetwork(tmp_path / "model.onnx", margin_px=CORE_PX, threads=1)(image)
    tiled = OnnxNetwork(tmp_path / "model.onnx", margin_px=margin_px(2, "batch"), threads=1)(image)
    np.testing.assert_array_equal(tiled, whole)
    assert float(np.ptp(whole)) > 1e-3
