"""What a worker must have in common with the machine that asks: the same code, the same folder."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

from sgseg.errors import Problem
from sgseg.inference.records import MARK, code_digest

CODE = ("errors.py", "scores.py", "processes.py", "images", "inference", "quantify", "cluster")
PACKAGES = (
    *("sgseg", "numpy", "scipy", "scikit-image", "onnxruntime", "pandas"),
    *("tifffile", "imagecodecs", "pillow", "pyarrow", "zarr"),
    *("dask", "distributed", "cloudpickle", "msgpack"),
)
TRAINING_CODE = (
    *("config", "dataset", "evaluation", "nets", "tracking", "training", "tuning"),
    "commands/folds.py",
)
TRAINING_PACKAGES = ("keras", "onnx", "optuna", "pydantic", "scikit-learn", "tensorflow", "tf2onnx")
BACKEND_PACKAGES = {"jax": ("jax", "jaxlib"), "torch": ("torch",)}


@cache
def environment(*, training: bool = False) -> Mapping[str, str]:
    """What shapes the bytes of a result on this machine; also those of a network, if asked for."""
    found = {"python": platform.python_version()}
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    for_training = (*TRAINING_PACKAGES, *BACKEND_PACKAGES.get(backend, ()))
    for name in (*PACKAGES, *(for_training if training else ())):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    if training:
        found["backend of Keras"] = backend
        found["code of its training"] = code_digest(TRAINING_CODE)[:12]
    return {**found, "code of sgseg": code_digest(CODE)[:12]}


def differences(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Where two environments differ; empty where they do not."""
    return ", ".join(
        f"{name} {found.get(name, 'missing')} instead of {version}"
        for name, version in expected.items()
        if found.get(name) != version
    )


@dataclass(frozen=True)
class Site:
    """What the machine that asks has.

    Attributes
    ----------
    mark
        A file in the folder of results, by its absolute path: a worker that does not see it would
        write into another folder of the same name.
    environment
        See `environment`.
    training
        Whether networks are trained: then the software for it must be the same as well.
    """

    mark: Path
    environment: Mapping[str, str]
    training: bool = False

    def problems(self, worker: str) -> list[Problem]:
        """What makes this process unfit to work for that machine; `worker` is its address."""
        found = []
        if other := differences(environment(training=self.training), self.environment):
            what = f"its software is another one ({other})"
            found.append(Problem(f"worker {worker}", what, "that of the machine that asks"))
        if not self.mark.is_file():
            what = f"it does not see the folder {self.mark.parent} of the machine that asks"
            expected = "a folder that all machines share, under the same path"
            found.append(Problem(f"worker {worker}", what, expected))
        return found


@contextmanager
def marked(out: Path, *, training: bool = False) -> Iterator[Site]:
    """The site of a run with this folder of results; the mark goes at the end."""
    out.mkdir(parents=True, exist_ok=True)
    mark = out.absolute() / f"{MARK}{uuid4().hex}"
    mark.touch()
    try:
        yield Site(mark, environment(training=training), training)
    finally:
        mark.unlink(missing_ok=True)
