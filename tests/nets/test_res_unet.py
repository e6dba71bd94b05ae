"""The residual U-Net's own: its parameters and its shortcuts."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from sgseg.nets.res_unet import build_res_unet


def res_unet(
    *, width: int = 4, depth: int = 1, normalisation: str = "none", channels: int = 1
) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_res_unet(
        width=width, depth=depth, dropout=0.0, normalisation=normalisation, channels=channels
    )


def test_number_of_parameters() -> None:
    # Two 3 x 3 convolutions with bias and a 1 x 1 shortcut without, in * out * 9 + out, in * out:
    #   down   1 -> 4:   36 + 4 =  40    4 -> 4: 144 + 4 = 148    1 * 4 =  4
    #   bottom 4 -> 8:  288 + 8 = 296    8 -> 8: 576 + 8 = 584    4 * 8 = 32
    #   merge 8 + 4 -> 4: 432 + 4 = 436  4 -> 4:           148   12 * 4 = 48
    # 1 x 1 to the probability: 4 + 1 = 5
    expected = 40 + 148 + 4 + 296 + 584 + 32 + 436 + 148 + 48 + 5
    assert res_unet().count_params() == expected


def test_number_of_parameters_with_normalisation() -> None:
    # No biases: 36 + 144 + 288 + 576 + 432 + 144 = 1620, shortcuts 84, probability 5.
    # Normalised channels, always those that come in: down -, 4; bottom 4, 8; merge 12, 4; end 4.
    # That is 36, with a scale and a shift each; batch keeps a mean and a variance too.
    assert res_unet(normalisation="group").count_params() == 1620 + 84 + 5 + 2 * 36
    assert res_unet(normalisation="batch").count_params() == 1620 + 84 + 5 + 4 * 36


@pytest.mark.parametrize(("width", "depth"), [(3, 0), (2, 3), (5, 2)])
def test_number_of_parameters_at_any_depth(width: int, depth: int) -> None:
    # A block from c to f channels: 9 c f + f, then 9 f f + f, beside them c f.
    def block(c: int, f: int) -> int:
        return 9 * c * f + f + 9 * f * f + f + c * f

    filters = [width * 2**level for level in range(depth + 1)]
    down = sum(block(c, f) for c, f in zip([1, *filters], filters, strict=False))
    up = sum(block(f + 2 * f, f) for f in filters[:-1])
    assert res_unet(width=width, depth=depth).count_params() == down + up + width + 1


def test_a_block_that_keeps_its_channels_has_no_weights_in_its_shortcut() -> None:
    network = res_unet(width=3, channels=3)
    names = {layer.name for layer in network.layers}
    assert "down0_shortcut" not in names
    assert {"bottom_shortcut", "merge0_shortcut"} <= names


def test_a_block_without_convolutions_is_its_shortcut() -> None:
    network = res_unet(width=1, depth=0)
    for step in "ab":
        layer = network.get_layer(f"bottom_conv_{step}")
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    weights = [np.array([[[[2]]]], np.float32), np.array([-1], np.float32)]
    network.get_layer("probability").set_weights(weights)
    image = np.array([[-3, 0, 1, 4]], np.float32)[None, ..., None]
    # One channel in and out: the image itself, rectified: 0, 0, 1, 4; times 2, minus 1.
    expected = 1 / (1 + np.exp(-np.array([-1.0, -1.0, 1.0, 7.0])))
    np.testing.assert_allclose(np.asarray(network(image)).ravel(), expected, rtol=1e-6)


def test_a_block_adds_its_convolutions_to_its_shortcut() -> None:
    network = res_unet(width=1, depth=0)
    # On a single pixel only the middle of a 3 x 3 kernel counts.
    for name, middle, bias in (("bottom_conv_a", -1, 0), ("bottom_conv_b", 3, 1)):
        kernel = np.full((3, 3, 1, 1), 99, np.float32)
        kernel[1, 1] = middle
        network.get_layer(name).set_weights([kernel, np.array([bias], np.float32)])
    added = keras.Model(network.input, network.get_layer("bottom_add").output)
    image = np.array([-2, 5], np.float32).reshape(2, 1, 1, 1)
    # The image is not rectified before the first convolution, only what comes out of it:
    # -2: -2 + 3 relu(2) + 1 = 5;  5: 5 + 3 relu(-5) + 1 = 6
    np.testing.assert_allclose(np.asarray(added(image)).ravel(), [5, 6])


def test_all_but_the_first_block_rectify_what_they_are_given() -> None:
    names = {layer.name for layer in res_unet(normalisation="batch").layers}
    assert not {"down0_relu_a", "down0_norm_a"} & names
    assert {"bottom_relu_a", "bottom_norm_a", "merge0_relu_a", "end_norm", "end_relu"} <= names
