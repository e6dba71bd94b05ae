"""The attention U-Net's own: its parameters and what its gates compute."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from sgseg.nets.attention_unet import build_attention_unet


def attention_unet(*, width: int = 4, depth: int = 1, normalisation: str = "none") -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_attention_unet(width=width, depth=depth, dropout=0.0, normalisation=normalisation)


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def test_number_of_parameters() -> None:
    # The U-Net, 3 x 3 convolutions with bias, in * out * 9 + out:
    #   down   1 -> 4:   36 + 4 =  40    4 -> 4: 144 + 4 = 148
    #   bottom 4 -> 8:  288 + 8 = 296    8 -> 8: 576 + 8 = 584
    #   merge 8 + 4 -> 4: 432 + 4 = 436  4 -> 4:           148
    # and 1 x 1 to the probability: 4 + 1 = 5.
    # The gate, 1 x 1: skip 4 -> 2: 8; signal 8 -> 2 with bias: 16 + 2 = 18; to one: 2 + 1 = 3
    expected = 40 + 148 + 296 + 584 + 436 + 148 + 5 + 8 + 18 + 3
    assert attention_unet().count_params() == expected


@pytest.mark.parametrize(("width", "depth"), [(3, 0), (1, 1), (2, 3), (5, 2)])
def test_number_of_parameters_at_any_depth(width: int, depth: int) -> None:
    # A block from c to f channels: 9 c f + f, then 9 f f + f. A gate on f channels, with 2 f from
    # below and h = f / 2 rounded down, at least 1, inside: f h + (2 f h + h) + (h + 1).
    def block(c: int, f: int) -> int:
        return 9 * c * f + f + 9 * f * f + f

    def gate(f: int) -> int:
        h = max(1, f // 2)
        return f * h + 2 * f * h + h + h + 1

    filters = [width * 2**level for level in range(depth + 1)]
    down = sum(block(c, f) for c, f in zip([1, *filters], filters, strict=False))
    up = sum(block(f + 2 * f, f) + gate(f) for f in filters[:-1])
    assert attention_unet(width=width, depth=depth).count_params() == down + up + width + 1


def test_normalisation_leaves_the_gates_alone() -> None:
    # No biases in the blocks: 36 + 144 + 288 + 576 + 432 + 144 = 1620; probability 5; gate 29;
    # normalised channels 4 + 4 + 8 + 8 + 4 + 4 = 32, with a scale and a shift each.
    assert attention_unet(normalisation="group").count_params() == 1620 + 5 + 29 + 64


def test_the_attention_is_that_of_the_paper() -> None:
    network = attention_unet()
    network.get_layer("gate0_signal").bias.assign(np.array([0.3, -0.2], np.float32))
    network.get_layer("gate0_attention").bias.assign(np.array([0.7], np.float32))
    names = ("down0_relu_b", "bottom_relu_b", "gate0_attention", "gate0")
    parts = keras.Model(network.input, [network.get_layer(name).output for name in names])
    skip, below, attention, gated = (np.asarray(part) for part in parts(3 * noise(1, 7, 5, 1)))
    w_x, w_g, psi = (
        np.asarray(network.get_layer(f"gate0_{name}").kernel)[0, 0]
        for name in ("skip", "signal", "attention")
    )
    # (1, 4, 3, 8) from below to the 7 x 5 px of the skip
    signal = below.repeat(2, axis=1).repeat(2, axis=2)[:, :7, :5]
    hidden = np.maximum(skip @ w_x + signal @ w_g + [0.3, -0.2], 0)
    expected = 1 / (1 + np.exp(-(hidden @ psi + 0.7)))
    assert attention.shape == (1, 7, 5, 1)
    np.testing.assert_allclose(attention, expected, atol=1e-6)
    np.testing.assert_allclose(gated, skip * expected, atol=1e-5)
    assert np.ptp(attention) > 0.01  # or else a constant would equal it


def test_a_closed_gate_keeps_the_skip_out() -> None:
    network = attention_unet()
    image = noise(1, 8, 8, 1)
    merge = network.get_layer("merge0_conv_a")
    before = np.asarray(network(image))
    network.get_layer("gate0_attention").bias.assign(np.array([-200], np.float32))
    closed = np.asarray(network(image))
    assert np.abs(closed - before).max() > 1e-4
    # The 8 channels from below come first, then the 4 of the skip: weights on those are now idle.
    kernel = np.array(merge.kernel)
    kernel[:, :, 8:] = 99
    merge.kernel.assign(kernel)
    np.testing.assert_array_equal(np.asarray(network(image)), closed)


def test_every_skip_has_a_gate() -> None:
    network = attention_unet(width=2, depth=3)
    for level in range(3):
        gate, skip = network.get_layer(f"gate{level}"), network.get_layer(f"down{level}_relu_b")
        assert gate.input[0] is skip.output
        assert network.get_layer(f"join{level}").input[1] is gate.output
