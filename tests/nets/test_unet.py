"""The U-Net's own: its parameters and levels. What all architectures share: test_architectures."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from sgseg.nets.unet import build_unet


def unet(*, width: int = 4, depth: int = 1, normalisation: str = "none") -> keras.Model:
    return build_unet(width=width, depth=depth, dropout=0.0, normalisation=normalisation)


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


@pytest.mark.parametrize(("width", "depth"), [(3, 0), (2, 3), (5, 2)])
def test_number_of_parameters_at_any_depth(width: int, depth: int) -> None:
    # A block from c to f channels: 9 c f + f, then 9 f f + f.
    def block(c: int, f: int) -> int:
        return 9 * c * f + f + 9 * f * f + f

    filters = [width * 2**level for level in range(depth + 1)]
    down = sum(block(c, f) for c, f in zip([1, *filters], filters, strict=False))
    up = sum(block(f + 2 * f, f) for f in filters[:-1])
    assert unet(width=width, depth=depth).count_params() == down + up + width + 1


def test_each_level_doubles_the_channels() -> None:
    network = unet(width=3, depth=3)
    names = ("down0", "down1", "down2", "bottom", "merge2", "merge1", "merge0")
    channels = [network.get_layer(f"{name}_conv_b").filters for name in names]
    assert channels == [3, 6, 12, 24, 12, 6, 3]


def test_layers_keep_their_names() -> None:
    # Weights are drawn and saved in this order: models of earlier versions depend on it.
    def block(name: str) -> list[str]:
        steps = ("conv_a", "norm_a", "relu_a", "dropout", "conv_b", "norm_b", "relu_b")
        return [f"{name}_{step}" for step in steps]

    network = build_unet(width=2, depth=1, dropout=0.1, normalisation="batch")
    assert [layer.name for layer in network.layers] == [
        "image",
        *block("down0"),
        "pool0",
        *block("bottom"),
        "up0",
        "crop0",
        "join0",
        *block("merge0"),
        "probability",
    ]


def test_groups_have_eight_channels_where_they_can() -> None:
    network = unet(width=16, normalisation="group")
    assert network.get_layer("down0_norm_a").groups == 2
    assert network.get_layer("bottom_norm_a").groups == 4
