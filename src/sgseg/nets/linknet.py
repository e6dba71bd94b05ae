"""The LinkNet: a U-Net that adds its skips instead of joining them."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import layers

from sgseg.nets.blocks import check_options, conv_block, enlarge, probability_of, u_shape


def build_linknet(
    *,
    width: int,
    depth: int,
    dropout: float,
    normalisation: str,
    deep_supervision: bool = False,
    channels: int = 1,
) -> keras.Model:
    """Build a U-Net with the joins of a LinkNet for any height and width.

    Chaurasia & Culurciello 2017, doi:10.1109/VCIP.2017.8305148. What comes from below is brought to
    the number of channels of the skip and added to it, so that a level has a third of the channels
    to compute with that a U-Net's has; width 16 and depth 3 take two thirds of the U-Net's
    multiply-adds. The blocks are the U-Net's, on the way down too, where the paper has a ResNet-18.

    Parameters, result and errors as of `build_unet`.
    """
    check_options("linknet", normalisation=normalisation, deep_supervision=deep_supervision)
    image = keras.Input((None, None, channels), name="image")
    block = partial(conv_block, dropout=dropout, normalisation=normalisation)
    x = u_shape(image, width=width, depth=depth, block=block, join=_added_join)
    return keras.Model(image, probability_of(x), name="linknet")


def _added_join(x: Any, skip: Any, level: int) -> Any:
    # Enlarging after a 1 x 1 convolution gives the same as before it, at a quarter of the cost. The
    # variance of a sum is that of both: the projection passes on that of its input, no more.
    from_below = layers.Conv2D(
        skip.shape[-1],
        1,
        kernel_initializer="lecun_normal",
        use_bias=False,
        name=f"project{level}",
    )(x)
    return layers.Add(name=f"join{level}")([enlarge(from_below, skip, str(level)), skip])
