"""The U-Net."""

from __future__ import annotations

from functools import partial

import keras

from sgseg.nets.blocks import check_options, conv_block, probability_of, u_shape


def build_unet(
    *,
    width: int,
    depth: int,
    dropout: float,
    normalisation: str,
    deep_supervision: bool = False,
    channels: int = 1,
) -> keras.Model:
    """Build a U-Net for any height and width.

    Ronneberger, Fischer & Brox 2015, doi:10.1007/978-3-319-24574-4_28, with padded convolutions, so
    that the output has the size of the input.

    Parameters
    ----------
    width
        Channels of the first level; each level below has twice as many.
    depth
        Number of poolings.
    dropout
        Share of values dropped between the two convolutions of a block, in [0, 1).
    normalisation
        With each convolution: "none", "batch" or "group" (of 8 channels, or of more where 8 do not
        divide their number).
    deep_supervision
        Only a U-Net++ has it.
    channels
        Channels of the input.

    Returns
    -------
    keras.Model
        (N, H, W, channels) normalised image -> (N, H, W, 1) probability of granule, float32 in
        [0, 1].

    Raises
    ------
    ValueError
        The normalisation is unknown, or deep supervision is asked for.
    """
    check_options("unet", normalisation=normalisation, deep_supervision=deep_supervision)
    image = keras.Input((None, None, channels), name="image")
    block = partial(conv_block, dropout=dropout, normalisation=normalisation)
    x = u_shape(image, width=width, depth=depth, block=block)
    return keras.Model(image, probability_of(x), name="unet")
