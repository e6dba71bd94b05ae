"""The parts by themselves, on tensors small enough to write out."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from sgseg.nets.blocks import (
    CropLike,
    check_options,
    conv_block,
    convolve,
    enlarge,
    halve,
    join,
    normalise,
    probability_of,
    u_shape,
)


def test_crop_like_keeps_the_top_left() -> None:
    larger = np.arange(24, dtype=np.float32).reshape(1, 4, 6, 1)
    reference = np.zeros((1, 3, 5, 7), np.float32)
    cropped = np.asarray(CropLike()([larger, reference]))
    np.testing.assert_array_equal(cropped, larger[:, :3, :5])


def test_crop_like_is_registered_under_the_name_in_saved_models() -> None:
    # A saved model also names the module the layer was in, and that has changed.
    assert keras.saving.get_registered_name(CropLike) == "sgseg>CropLike"
    layer = keras.saving.deserialize_keras_object(
        {
            "module": "sgseg.nets.unet",
            "class_name": "CropLike",
            "config": {"name": "crop0", "trainable": True, "dtype": "float32"},
            "registered_name": "sgseg>CropLike",
        }
    )
    assert type(layer) is CropLike


def test_halving_takes_the_largest_and_rounds_up() -> None:
    image = np.array([[1, 5, 2], [3, 4, 0], [7, 6, 9]], np.float32)[None, ..., None]
    # Columns 0-1 and 2, rows 0-1 and 2.
    expected = [[5, 2], [7, 9]]
    np.testing.assert_array_equal(np.asarray(halve(image, "pool"))[0, ..., 0], expected)


def test_enlarging_repeats_and_crops() -> None:
    image = np.array([[5, 2], [7, 9]], np.float32)[None, ..., None]
    reference = np.zeros((1, 3, 4, 1), np.float32)
    expected = [[5, 5, 2, 2], [5, 5, 2, 2], [7, 7, 9, 9]]
    enlarged = np.asarray(enlarge(image, reference, "0"))
    np.testing.assert_array_equal(enlarged[0, ..., 0], expected)


def test_joining_puts_what_comes_from_below_first() -> None:
    below, skip = np.full((1, 1, 1, 2), 3, np.float32), np.full((1, 1, 2, 1), 8, np.float32)
    np.testing.assert_array_equal(np.asarray(join(below, skip, 0)), [[[[3, 3, 8], [3, 3, 8]]]])


def test_normalisation_by_name() -> None:
    x = keras.Input((4, 4, 24))
    assert normalise(x, "none", "n") is x
    batch = normalise(x, "batch", "n")._keras_history.operation
    assert isinstance(batch, layers.BatchNormalization)
    assert batch.momentum == 0.9


# gcd(C, max(1, C // 8)): groups of 8 for 16 and 24; 12 // 8 = 1, one group of all; 20 // 8 = 2,
# two groups of 10; 28 // 8 = 3 has no divisor with 28 but 1.
@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (12, 1), (16, 2), (20, 2), (24, 3), (28, 1)]
)
def test_groups_divide_the_channels(channels: int, groups: int) -> None:
    normalised = normalise(keras.Input((4, 4, channels)), "group", "n")
    assert normalised._keras_history.operation.groups == groups


@pytest.mark.parametrize(("normalisation", "bias"), [("none", True), ("batch", False)])
def test_a_normalised_convolution_has_no_bias(normalisation: str, bias: bool) -> None:
    layer = convolve(keras.Input((4, 4, 1)), 2, normalisation, "c")._keras_history.operation
    assert layer.use_bias is bias


def test_a_block_is_two_convolutions_each_rectified() -> None:
    image = keras.Input((1, 1, 1))
    block = keras.Model(image, conv_block(image, 1, "b", dropout=0.0, normalisation="none"))
    # On a single pixel only the middle of a 3 x 3 kernel counts: relu(-2 * relu(3 x - 1) + 5).
    for name, middle, bias in (("b_conv_a", 3, -1), ("b_conv_b", -2, 5)):
        kernel = np.full((3, 3, 1, 1), 99, np.float32)
        kernel[1, 1] = middle
        block.get_layer(name).set_weights([kernel, np.array([bias], np.float32)])
    values = np.array([-4, 0, 1, 2], np.float32).reshape(4, 1, 1, 1)
    # 3 x - 1: -13, -1, 2, 5; rectified 0, 0, 2, 5; times -2 plus 5: 5, 5, 1, -5.
    np.testing.assert_allclose(np.asarray(block(values)).ravel(), [5, 5, 1, 0])


def test_probability_is_a_sigmoid_of_each_pixel() -> None:
    image = keras.Input((1, 2, 2))
    network = keras.Model(image, probability_of(image))
    weights = [np.array([1, -1], np.float32).reshape(1, 1, 2, 1), np.zeros(1, np.float32)]
    network.get_layer("probability").set_weights(weights)
    # 2 - 2 = 0 -> 1/2; log 3 - 0 -> 3 / (1 + 3)
    values = np.array([[2, 2], [np.log(3), 0]], np.float32).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(np.asarray(network(values)).ravel(), [0.5, 0.75], rtol=1e-6)


def test_the_u_calls_its_blocks_from_top_to_bottom_and_back() -> None:
    called: list[tuple[str, int, int]] = []

    def block(x: object, filters: int, name: str) -> object:
        called.append((name, x.shape[-1], filters))  # type: ignore[attr-defined]
        return layers.Conv2D(filters, 1, name=name)(x)

    u_shape(keras.Input((8, 8, 1)), width=3, depth=2, block=block)
    # name, channels in, channels out; a merge gets those from below and those of its skip
    assert called == [
        ("down0", 1, 3),
        ("down1", 3, 6),
        ("bottom", 6, 12),
        ("merge1", 12 + 6, 6),
        ("merge0", 6 + 3, 3),
    ]


def test_options_that_fit_pass() -> None:
    for normalisation in ("none", "batch", "group"):
        check_options("unet", normalisation=normalisation, deep_supervision=False)
    check_options(
        "unet_plus_plus", normalisation="none", deep_supervision=True, can_be_supervised=True
    )
