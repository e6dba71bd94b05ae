"""What a training computes on: the backend places it, here it is named and its memory shared."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import keras

from sgseg.errors import InputError, Problem

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Devices:
    """The backend of Keras, and the names of the accelerators that it sees; of none: the CPU."""

    backend: str
    accelerators: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.accelerators) or 'CPU'} with {self.backend}"

    @property
    def tags(self) -> dict[str, str]:
        """For the run of a training."""
        return {
            "sgseg.backend": self.backend,
            "sgseg.device": ", ".join(self.accelerators) or "CPU",
        }


def prepare_devices() -> Devices:
    """Let accelerators hand out memory as it is asked for, and say which there are.

    By default TensorFlow takes all memory of every GPU and JAX three quarters: a second process on
    the machine, such as the next trial of a search, would find none. What the user has set in
    TF_FORCE_GPU_ALLOW_GROWTH or XLA_PYTHON_CLIENT_PREALLOCATE stays. PyTorch asks as it goes.
    To be called before the backend first computes.

    Raises
    ------
    InputError
        The backend cannot train.
    """
    backend = keras.backend.backend()
    find = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    if backend not in find:
        raise InputError(Problem("KERAS_BACKEND", f"is {backend}", " or ".join(find)))
    return Devices(backend, find[backend]())


def _tensorflow() -> tuple[str, ...]:
    import tensorflow as tf  # noqa: PLC0415 - another backend may run without it

    found = tf.config.list_physical_devices("GPU")
    if "TF_FORCE_GPU_ALLOW_GROWTH" not in os.environ:
        for gpu in found:
            try:
                tf.config.experimental.set_memory_growth(gpu, True)
            except RuntimeError as error:  # something has computed on it before
                log.warning("%s keeps all its memory: %s", gpu.name, error)
    details = [tf.config.experimental.get_device_details(gpu) for gpu in found]
    return tuple(
        str(known.get("device_name", gpu.name)) for gpu, known in zip(found, details, strict=True)
    )


def _jax() -> tuple[str, ...]:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax  # noqa: PLC0415 - another backend may run without it

    return tuple(device.device_kind for device in jax.devices() if device.platform != "cpu")


def _torch() -> tuple[str, ...]:
    import torch  # noqa: PLC0415 - another backend may run without it

    if torch.cuda.is_available():
        return tuple(torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count()))
    return ("MPS",) if torch.backends.mps.is_available() else ()
