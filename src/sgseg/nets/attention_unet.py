"""The attention U-Net."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers

from sgseg.nets.blocks import check_options, conv_block, enlarge, probability_of, u_shape


def build_attention_unet(
    *,
    width: int,
    depth: int,
    dropout: float,
    normalisation: str,
    deep_supervision: bool = False,
    channels: int = 1,
) -> keras.Model:
    """Build a U-Net with attention gates on its skips for any height and width.

    Oktay et al. 2018, arXiv:1804.03999. Each value of a skip is multiplied by how much the level
    below cares for that pixel. Other than there, the gates compute at the resolution of the skip,
    for a granule can be smaller than a pixel of the level below, and the first skip has one too.

    Parameters, result and errors as of `build_unet`.
    """
    check_options("attention_unet", normalisation=normalisation, deep_supervision=deep_supervision)
    image = keras.Input((None, None, channels), name="image")
    block = partial(conv_block, dropout=dropout, normalisation=normalisation)
    x = u_shape(image, width=width, depth=depth, block=block, join=_gated_join)
    return keras.Model(image, probability_of(x), name="attention_unet")


def _gated_join(x: Any, skip: Any, level: int) -> Any:
    gated = layers.Multiply(name=f"gate{level}")([skip, _attention(x, skip, level)])
    return layers.Concatenate(name=f"join{level}")([enlarge(x, skip, str(level)), gated])


def _attention(x: Any, skip: Any, level: int) -> Any:
    """Additive attention sigmoid(psi relu(W_x skip + W_g x + b) + b'): (N, H, W, 1) in [0, 1]."""
    filters = max(1, skip.shape[-1] // 2)
    from_skip = layers.Conv2D(filters, 1, use_bias=False, name=f"gate{level}_skip")(skip)
    # Enlarging after a 1 x 1 convolution gives the same as before it, at a quarter of the cost.
    from_below = layers.Conv2D(filters, 1, name=f"gate{level}_signal")(x)
    from_below = enlarge(from_below, skip, f"{level}_signal")
    both = layers.Add(name=f"gate{level}_add")([from_skip, from_below])
    both = layers.Activation("relu", name=f"gate{level}_relu")(both)
    return layers.Conv2D(1, 1, activation="sigmoid", name=f"gate{level}_attention")(both)
