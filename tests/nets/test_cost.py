"""Multiply-adds against those counted by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from sgseg.nets import build_network, multiply_adds_per_pixel


def cost(architecture: str, **options: object) -> float:
    settings = {"width": 2, "depth": 1, "dropout": 0.1, "normalisation": "none"} | options
    return multiply_adds_per_pixel(build_network(architecture=architecture, **settings))


def test_unet() -> None:
    # 3 x 3 convolutions take 9 * in * out multiply-adds for each of their pixels:
    #   level 0, all pixels: 1 -> 2: 18, 2 -> 2: 36; merge 4 + 2 -> 2: 108, 2 -> 2: 36; 1 x 1: 2
    #   level 1, a quarter:  2 -> 4: 72, 4 -> 4: 144
    assert cost("unet") == 18 + 36 + 108 + 36 + 2 + (72 + 144) / 4


def test_unet_two_levels_down() -> None:
    #   level 0: 18 + 36, merge 4 + 2 -> 2: 108 + 36, probability 2
    #   level 1: 72 + 144, merge 8 + 4 -> 4: 432 + 144
    #   level 2: 4 -> 8: 288, 8 -> 8: 576
    expected = 18 + 36 + 108 + 36 + 2 + (72 + 144 + 432 + 144) / 4 + (288 + 576) / 16
    assert cost("unet", depth=2) == expected


def test_normalisation_and_dropout_cost_nothing() -> None:
    plain = cost("unet", depth=2, dropout=0.0)
    assert cost("unet", depth=2, normalisation="batch") == plain
    assert cost("unet", depth=2, normalisation="group") == plain


def test_res_unet() -> None:
    # The U-Net and its shortcuts, 1 x 1: 1 -> 2: 2, merge 6 -> 2: 12; a quarter of 2 -> 4: 8
    assert cost("res_unet") == cost("unet") + 2 + 12 + 8 / 4


def test_attention_unet() -> None:
    # The U-Net and its gate, 1 x 1: skip 2 -> 1: 2, to the attention 1 -> 1: 1; the signal from
    # below, 4 -> 1: 4, on a quarter of the pixels
    assert cost("attention_unet") == cost("unet") + 2 + 1 + 4 / 4


def test_unet_plus_plus() -> None:
    #   level 0: X(0,0) 18 + 36, X(0,1) 2 + 4 -> 2: 108 + 36, X(0,2) 2 + 2 + 4 -> 2: 144 + 36
    #   level 1: X(1,0) 72 + 144, X(1,1) 4 + 8 -> 4: 432 + 144
    #   level 2: X(2,0) 288 + 576
    nodes = 18 + 36 + 108 + 36 + 144 + 36 + (72 + 144 + 432 + 144) / 4 + (288 + 576) / 16
    assert cost("unet_plus_plus", depth=2) == nodes + 2
    assert cost("unet_plus_plus", depth=2, deep_supervision=True) == nodes + 2 + 2


def test_linknet() -> None:
    #   level 0: 1 -> 2: 18, 2 -> 2: 36; merge 2 -> 2 twice: 36 + 36; probability 2
    #   level 1: 72 + 144; merge 4 -> 4 twice: 144 + 144; its projection 4 -> 2, 1 x 1: 8
    #   level 2: 288 + 576; its projection 8 -> 4: 32
    expected = 18 + 36 + 36 + 36 + 2 + (72 + 144 + 144 + 144 + 8) / 4 + (288 + 576 + 32) / 16
    assert cost("linknet", depth=2) == expected


def test_strides_and_groups_and_dense_layers() -> None:
    image = keras.Input((None, None, 4))
    x = layers.Conv2D(6, 3, strides=2, padding="same", groups=2)(image)
    network = keras.Model(image, layers.Dense(5)(x))
    # On a quarter of the pixels: each of 6 filters sees 4 / 2 channels, 9 * 2 * 6 = 108; 6 * 5 = 30
    assert multiply_adds_per_pixel(network) == (108 + 30) / 4


def test_counting_leaves_the_network_and_the_random_numbers_alone() -> None:
    def draw(count: bool) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        network = build_network(
            architecture="unet", width=2, depth=1, dropout=0.0, normalisation="none"
        )
        if count:
            multiply_adds_per_pixel(network)
        return [*network.get_weights(), np.asarray(keras.random.uniform((3,)))]

    for one, other in zip(draw(True), draw(False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_layer_that_cannot_be_counted_is_named() -> None:
    image = keras.Input((None, None, 1))
    network = keras.Model(image, layers.Conv2DTranspose(1, 2, strides=2, name="widen")(image))
    with pytest.raises(ValueError, match="'widen'"):
        multiply_adds_per_pixel(network)
