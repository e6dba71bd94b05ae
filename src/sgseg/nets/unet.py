"""The U-Net. Layers come from Keras; nothing here names a backend."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

NORMALISATIONS = ("none", "batch", "group")


@keras.saving.register_keras_serializable(package="sgseg")
class CropLike(layers.Layer):  # type: ignore[misc]
    """Crop the first input at its bottom and right to the height and width of the second.

    Pooling rounds odd sizes up, so what comes back from below can be one row and column larger than
    the skip it joins. Cropping there makes the network take any height and width.
    """

    def call(self, inputs: list[Any]) -> Any:
        larger, reference = inputs
        shape = keras.ops.shape(reference)
        return larger[:, : shape[1], : shape[2], :]

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[Any, ...]:
        larger, reference = input_shape
        return (larger[0], reference[1], reference[2], larger[3])


def build_unet(
    *,
    width: int,
    depth: int,
    dropout: float,
    normalisation: str,
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
        After each convolution: "none", "batch" or "group" (of 8 channels, or of more where 8 do not
        divide their number).
    channels
        Channels of the input.

    Returns
    -------
    keras.Model
        (N, H, W, channels) normalised image -> (N, H, W, 1) probability of granule, float32 in
        [0, 1].
    """

    if normalisation not in NORMALISATIONS:
        raise ValueError(
            f"normalisation must be one of {NORMALISATIONS}. Received: {normalisation!r}"
        )

    def block(x: Any, filters: int, name: str) -> Any:
        for step in "ab":
            x = layers.Conv2D(
                filters,
                3,
                padding="same",
                kernel_initializer="he_normal",
                use_bias=normalisation == "none",
                name=f"{name}_conv_{step}",
            )(x)
            if normalisation == "batch":
                # Small data sets make few steps: the default momentum of 0.99 would lag behind.
                x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm_{step}")(x)
            elif normalisation == "group":
                x = layers.GroupNormalization(
                    groups=math.gcd(filters, max(1, filters // 8)), name=f"{name}_norm_{step}"
                )(x)
            x = layers.Activation("relu", name=f"{name}_relu_{step}")(x)
            if step == "a" and dropout:
                x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
        return x

    image = keras.Input((None, None, channels), name="image")
    x, skips = image, []
    for level in range(depth):
        x = block(x, width * 2**level, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, padding="same", name=f"pool{level}")(x)
    x = block(x, width * 2**depth, "bottom")
    for level in reversed(range(depth)):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}")(x)
        x = CropLike(name=f"crop{level}")([x, skips[level]])
        x = layers.Concatenate(name=f"join{level}")([x, skips[level]])
        x = block(x, width * 2**level, f"merge{level}")
    probability = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="probability")(x)
    return keras.Model(image, probability, name="unet")
