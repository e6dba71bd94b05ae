"""The same seed gives the same weights, on the same backend and device."""

from __future__ import annotations

import os

import keras
import numpy as np


def make_reproducible(*seed: int) -> None:
    """Seed Python, NumPy and the backend, and make its operations deterministic.

    PyTorch warns of those that it has no deterministic form of; JAX is told by XLA_FLAGS alone,
    see docs/backends.md.

    Parameters
    ----------
    *seed
        Integers of at least 0, which together are the seed.
    """
    keras.utils.set_random_seed(_number(seed))
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - another backend may run without it

        tf.config.experimental.enable_op_determinism()
    elif backend == "torch":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        import torch  # noqa: PLC0415 - another backend may run without it

        torch.use_deterministic_algorithms(True, warn_only=True)


def begin_epoch(*seed: int) -> None:
    """Make what an epoch draws a function of its seed, whichever epochs this process has trained.

    Keras' dropout has a state of its own, which checkpoints hold; but with PyTorch it draws from
    the one of the process.
    """
    if keras.backend.backend() == "torch":
        import torch  # noqa: PLC0415 - another backend may run without it

        torch.manual_seed(_number(seed))


def _number(seed: tuple[int, ...]) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1)[0])
