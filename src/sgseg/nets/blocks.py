"""What the architectures are built of. Layers come from Keras; nothing here names a backend."""

from __future__ import annotations

import math
from collections.abc import Callable
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
        if None not in reference.shape[1:3] and larger.shape[1:3] == reference.shape[1:3]:
            return larger
        shape = keras.ops.shape(reference)
        return larger[:, : shape[1], : shape[2], :]

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[Any, ...]:
        larger, reference = input_shape
        return (larger[0], reference[1], reference[2], larger[3])


def check_options(
    architecture: str,
    *,
    normalisation: str,
    deep_supervision: bool,
    can_be_supervised: bool = False,
) -> None:
    """Refuse, with a ValueError, what the architecture cannot be built with."""
    if normalisation not in NORMALISATIONS:
        raise ValueError(
            f"normalisation must be one of {NORMALISATIONS}. Received: {normalisation!r}"
        )
    if deep_supervision and not can_be_supervised:
        raise ValueError(
            f"deep_supervision needs architecture 'unet_plus_plus'. Received: {architecture!r}"
        )


def normalise(x: Any, normalisation: str, name: str) -> Any:
    """Normalise (N, H, W, C) by "batch" or by "group"; with "none" the input comes back.

    Groups have 8 channels, or more where 8 do not divide C.
    """
    if normalisation == "batch":
        # Small data sets make few steps: the default momentum of 0.99 would lag behind.
        return layers.BatchNormalization(momentum=0.9, name=name)(x)
    if normalisation == "group":
        channels = x.shape[-1]
        groups = math.gcd(channels, max(1, channels // 8))
        return layers.GroupNormalization(groups=groups, name=name)(x)
    return x


def convolve(x: Any, filters: int, normalisation: str, name: str) -> Any:
    """3 x 3 convolution, padded, (N, H, W, C) -> (N, H, W, filters).

    It has a bias where no normalisation would take it away again.
    """
    return layers.Conv2D(
        filters,
        3,
        padding="same",
        kernel_initializer="he_normal",
        use_bias=normalisation == "none",
        name=name,
    )(x)


def conv_block(x: Any, filters: int, name: str, *, dropout: float, normalisation: str) -> Any:
    """Two times convolution, normalisation, ReLU, with dropout between: to (N, H, W, filters)."""
    for step in "ab":
        x = convolve(x, filters, normalisation, f"{name}_conv_{step}")
        x = normalise(x, normalisation, f"{name}_norm_{step}")
        x = layers.Activation("relu", name=f"{name}_relu_{step}")(x)
        if step == "a" and dropout:
            x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    return x


def halve(x: Any, name: str) -> Any:
    """Largest of 2 x 2: (N, H, W, C) -> (N, ceil(H / 2), ceil(W / 2), C).

    Never a convolution with stride 2: its padding, and with it the grid it samples, depends on
    whether the size is odd, and a tile of an image would no longer give what the whole image gives.
    """
    return layers.MaxPooling2D(2, padding="same", name=name)(x)


def enlarge(x: Any, reference: Any, name: str) -> Any:
    """Repeat each pixel of the level below 2 x 2 times, cropped to the size of `reference`.

    `name` is what follows "up" and "crop" in the names of the two layers.
    """
    x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{name}")(x)
    return CropLike(name=f"crop{name}")([x, reference])


def probability_of(x: Any, name: str = "probability") -> Any:
    """Probability of granule (N, H, W, 1), float32 in [0, 1], pixel by pixel from (N, H, W, C)."""
    return layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name=name)(x)


def join(x: Any, skip: Any, level: int) -> Any:
    """Enlarged level below and skip, one after the other: (N, H, W, C of both)."""
    return layers.Concatenate(name=f"join{level}")([enlarge(x, skip, str(level)), skip])


def u_shape(
    image: Any,
    *,
    width: int,
    depth: int,
    block: Callable[[Any, int, str], Any],
    join: Callable[[Any, Any, int], Any] = join,
) -> Any:
    """Go down `depth` levels and up again: (N, H, W, channels) -> (N, H, W, width).

    Parameters
    ----------
    width
        Channels of the first level; each level below has twice as many.
    block
        `block(x, filters, name)` computes each level's (N, h, w, filters), both ways.
    join
        `join(x, skip, level)` brings what comes from below to the size of the level's skip, and
        both together.
    """
    x, skips = image, []
    for level in range(depth):
        x = block(x, width * 2**level, f"down{level}")
        skips.append(x)
        x = halve(x, f"pool{level}")
    x = block(x, width * 2**depth, "bottom")
    for level in reversed(range(depth)):
        x = block(join(x, skips[level], level), width * 2**level, f"merge{level}")
    return x
