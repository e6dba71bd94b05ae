"""Losses of a predicted probability against a 0/1 mask, each one number per image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Loss = Callable[[Any, Any], Any]


def binary_cross_entropy(truth: Any, probability: Any) -> Any:
    """Mean over the pixels of -[t log p + (1 - t) log(1 - p)].

    Parameters
    ----------
    truth, probability
        Tensors (N, H, W, 1); truth in {0, 1}, probability in [0, 1].

    Returns
    -------
    tensor (N,), at least 0
    """
    truth = ops.cast(truth, "float32")
    probability = ops.cast(probability, "float32")
    return ops.mean(keras.losses.binary_crossentropy(truth, probability), axis=(1, 2))


def dice_loss(truth: Any, probability: Any) -> Any:
    """1 - (2 sum(t p) + s) / (sum(t) + sum(p) + s) with s = 1 px, image by image.

    Milletari, Navab & Ahmadi 2016, doi:10.1109/3DV.2016.79, with plain sums for their sums of
    squares. The constant makes the loss of an empty mask defined and gives it a gradient. Shapes
    and ranges as in `binary_cross_entropy`.
    """
    truth = ops.cast(truth, "float32")
    probability = ops.cast(probability, "float32")
    both = ops.sum(truth * probability, axis=(1, 2, 3))
    either = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
    return 1.0 - (2.0 * both + 1.0) / (either + 1.0)


def bce_dice(truth: Any, probability: Any) -> Any:
    """Sum of `binary_cross_entropy` and `dice_loss`."""
    return binary_cross_entropy(truth, probability) + dice_loss(truth, probability)


LOSSES: dict[str, Loss] = {"bce": binary_cross_entropy, "bce_dice": bce_dice}
