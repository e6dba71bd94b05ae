"""The residual U-Net."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from sgseg.nets.blocks import check_options, convolve, normalise, probability_of, u_shape


def build_res_unet(
    *,
    width: int,
    depth: int,
    dropout: float,
    normalisation: str,
    deep_supervision: bool = False,
    channels: int = 1,
) -> keras.Model:
    """Build a U-Net of residual blocks for any height and width.

    Zhang, Liu & Wang 2018, doi:10.1109/LGRS.2018.2802944, with the blocks' shortcuts of He et al.
    2016, doi:10.1109/CVPR.2016.90: the input itself where the block keeps the number of channels,
    its projection by a 1 x 1 convolution where not. Levels are halved by pooling instead of by
    convolutions with stride 2 (see `halve`), and what comes out of the last block is normalised and
    rectified like the input of every other (He et al. 2016, doi:10.1007/978-3-319-46493-0_38).

    Parameters, result and errors as of `build_unet`.
    """
    check_options("res_unet", normalisation=normalisation, deep_supervision=deep_supervision)
    image = keras.Input((None, None, channels), name="image")

    def block(x: Any, filters: int, name: str) -> Any:
        # The image is not what some convolution made: rectified, half of it would be lost.
        inner = x if x is image else _activate(x, normalisation, f"{name}_%s_a")
        inner = convolve(inner, filters, normalisation, f"{name}_conv_a")
        inner = _activate(inner, normalisation, f"{name}_%s_b")
        if dropout:
            inner = layers.Dropout(dropout, name=f"{name}_dropout")(inner)
        inner = convolve(inner, filters, normalisation, f"{name}_conv_b")
        return layers.Add(name=f"{name}_add")([_shortcut(x, filters, name), inner])

    x = u_shape(image, width=width, depth=depth, block=block)
    x = _activate(x, normalisation, "end_%s")
    return keras.Model(image, probability_of(x), name="res_unet")


def _activate(x: Any, normalisation: str, name: str) -> Any:
    x = normalise(x, normalisation, name % "norm")
    return layers.Activation("relu", name=name % "relu")(x)


def _shortcut(x: Any, filters: int, name: str) -> Any:
    if x.shape[-1] == filters:
        return x
    # The variance of a sum is that of both: this one passes on that of the input, no more.
    return layers.Conv2D(
        filters,
        1,
        kernel_initializer="lecun_normal",
        use_bias=False,
        name=f"{name}_shortcut",
    )(x)
