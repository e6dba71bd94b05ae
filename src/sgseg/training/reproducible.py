"""The same seed gives the same weights. The only place that talks to a backend directly."""

from __future__ import annotations

import keras
import numpy as np


def make_reproducible(*seed: int) -> None:
    """Seed Python, NumPy and the backend, and make TensorFlow's operations deterministic.

    Parameters
    ----------
    *seed
        Integers of at least 0, which together are the seed.
    """
    keras.utils.set_random_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - another backend may run without it

        tf.config.experimental.enable_op_determinism()
