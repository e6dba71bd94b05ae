"""Optimizers and learning-rate schedules by name; all of them come from Keras."""

from __future__ import annotations

from typing import Any

import keras

SCHEDULES = ("constant", "cosine", "one_cycle")


def build_schedule(name: str, *, peak: float, steps: int) -> Any:
    """Learning rate as a function of the step.

    Parameters
    ----------
    name
        "constant"; "cosine": from `peak` to 0 (Loshchilov & Hutter 2017, arXiv:1608.03983);
        "one_cycle": from `peak` / 25 to `peak` over a quarter of the steps, then down to
        `peak` / 1000 (Smith & Topin 2019, doi:10.1117/12.2520589).
    peak
        Largest learning rate.
    steps
        Number of steps of the whole training.
    """
    if name == "constant":
        return peak
    if name == "cosine":
        return keras.optimizers.schedules.CosineDecay(peak, steps)
    if name == "one_cycle":
        up = max(1, steps // 4)
        return keras.optimizers.schedules.CosineDecay(
            peak / 25, max(1, steps - up), alpha=1e-3, warmup_target=peak, warmup_steps=up
        )
    raise ValueError(f"schedule must be one of {SCHEDULES}. Received: {name!r}")


def build_optimizer(name: str, *, learning_rate: Any) -> keras.optimizers.Optimizer:
    """Optimizer that clips each gradient's norm at 1, so that no odd patch throws training off."""
    if name == "adam":
        return keras.optimizers.Adam(learning_rate, clipnorm=1.0)
    raise ValueError(f"optimizer must be 'adam'. Received: {name!r}")
