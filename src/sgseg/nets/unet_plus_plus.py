"""The U-Net++, and what its deep supervision needs of training."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers

from sgseg.nets.blocks import check_options, conv_block, enlarge, halve, probability_of


def build_unet_plus_plus(
    *,
    width: int,
    depth: int,
    dropout: float,
    normalisation: str,
    deep_supervision: bool = False,
    channels: int = 1,
) -> keras.Model:
    """Build a U-Net with nested, dense skips for any height and width.

    Zhou et al. 2020, doi:10.1109/TMI.2019.2959609. Node X(i, 0) is level i on the way down; node
    X(i, j) joins all of X(i, 0) ... X(i, j - 1) with X(i + 1, j - 1) enlarged.

    Parameters, result and errors as of `build_unet`, but for

    deep_supervision
        Each of X(0, 1) ... X(0, depth) gives a probability of its own, and the result is their mean
        (the paper's accurate mode); train it as `training_model` says. If not, the result is the
        probability of X(0, depth) alone.
    """
    check_options(
        "unet_plus_plus",
        normalisation=normalisation,
        deep_supervision=deep_supervision,
        can_be_supervised=True,
    )
    image = keras.Input((None, None, channels), name="image")
    block = partial(conv_block, dropout=dropout, normalisation=normalisation)
    x, nodes = image, []
    for level in range(depth + 1):
        x = block(x, width * 2**level, f"node{level}_0")
        nodes.append([x])
        if level < depth:
            x = halve(x, f"pool{level}")
    for column in range(1, depth + 1):
        for level in range(depth + 1 - column):
            skips, name = nodes[level], f"{level}_{column}"
            below = enlarge(nodes[level + 1][column - 1], skips[0], name)
            x = layers.Concatenate(name=f"join{name}")([*skips, below])
            skips.append(block(x, width * 2**level, f"node{name}"))
    top = nodes[0]
    if not deep_supervision or depth < 2:
        return keras.Model(image, probability_of(top[-1]), name="unet_plus_plus")
    heads = [probability_of(node, f"head{column}") for column, node in enumerate(top) if column]
    mean = layers.Average(dtype="float32", name="probability")(heads)
    return keras.Model(image, mean, name="unet_plus_plus")


def supervised_outputs(model: keras.Model) -> list[Any]:
    """Every probability (N, H, W, 1) in the network that training compares with the truth.

    Those of its heads if it has deep supervision, or else that of the network itself.
    """
    last = model.get_layer("probability")
    return list(last.input) if isinstance(last, layers.Average) else [model.output]


def training_model(model: keras.Model) -> keras.Model:
    """Network to train in place of `model`: same variables, in the same order, all probabilities.

    Training applies the loss to each channel and takes the mean of these losses; scores are of the
    mean of the channels, which is what `model` gives.

    Returns
    -------
    keras.Model
        (N, H, W, channels) -> (N, H, W, D) for the D of `supervised_outputs`; for D = 1 `model`
        itself.
    """
    outputs = supervised_outputs(model)
    if len(outputs) == 1:
        return model
    together = layers.Concatenate(dtype="float32", name="heads")(outputs)
    return keras.Model(model.input, together, name=f"{model.name}_training")
