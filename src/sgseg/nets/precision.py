"""Half precision inside a network: what layers compute in, while all weights stay float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers made within this compute in `precision`, wherever they do not name their own.

    Micikevicius et al. 2018, arXiv:1710.03740. Keras keeps the weights of a mixed precision in
    float32, sums the moments of its normalisations in it, and so gives each step its whole size.
    Outside of the block Keras is as it was: the next network of the process is not affected.

    Raises
    ------
    ValueError
        No precision has that name.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}. Received: {precision!r}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def with_scaled_loss(
    optimizer: keras.optimizers.Optimizer, precision: str
) -> keras.optimizers.Optimizer:
    """The optimizer, for float16 within one that multiplies the loss and divides the gradients.

    Below 6e-8 a float16 is 0, and most gradients of a rare class are smaller. bfloat16 has the
    range of float32. A step whose gradients overflow is left out, and the factor halved.
    """
    if precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
