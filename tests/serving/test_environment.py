"""The model served from an environment that holds what its requirements.txt names, and no more."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from examples import draw_field

from serving.served import Served, make_large_model
from sgseg.client import predict
from sgseg.inference.segmenter import Segmenter

FIELD = draw_field([(10, 10), (30, 20)])[0]
UV = shutil.which(
    "uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
)
# What uv says when neither its cache nor an index has a package.
UNREACHABLE = ("Failed to fetch", "error sending request", "not found in the cache", "offline")
READY_S = 8.0

pytestmark = pytest.mark.skipif(UV is None, reason="uv makes the environment; it is not installed")


@pytest.fixture(scope="module")
def python(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment made from the model's requirements."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    own = {**os.environ, "VIRTUAL_ENV": str(environment)}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([str(UV), "venv", "--quiet", "--python", version, environment], check=True)
    wanted = ["--requirements", model / "requirements.txt"]
    done = subprocess.run(
        [str(UV), "pip", "install", "--quiet", "--compile-bytecode", *wanted],
        capture_output=True,
        text=True,
        env=own,
        check=False,
    )
    if done.returncode and any(sign in done.stderr for sign in UNREACHABLE):
        pytest.skip(f"the packages cannot be had: {done.stderr[:300]}")
    assert done.returncode == 0, done.stderr
    return environment / "bin" / "python"


@pytest.fixture(scope="module")
def served(python: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("served") / "log.txt"
    with Served(model, log, python=str(python)) as served:
        yield served


def test_nothing_that_trains_is_there(python: Path) -> None:
    names = ["keras", "tensorflow", "dvc", "optuna", "sgseg"]
    code = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == []


def test_masks_are_those_of_this_environment(served: Served, model: Path) -> None:
    segmenter = Segmenter.load(model / "artifacts" / "bundle")
    everything = ("labels", "probability", "rois", "granules", "maps")
    (result,) = predict(served.url, [FIELD], returns=everything)
    np.testing.assert_array_equal(result.labels, segmenter.predict(FIELD).labels)
    assert result.n_granules == 2
    assert predict(served.url, [imagecodecs.png_encode(FIELD)[:100]])[0].error


def test_it_is_ready_soon(tmp_path: Path, python: Path) -> None:
    model = make_large_model(tmp_path)
    assert (model / "artifacts" / "bundle" / "model.onnx").stat().st_size > 4e6
    at_rest = os.getloadavg()[0] < (os.cpu_count() or 1)
    with Served(model, tmp_path / "log.txt", python=str(python)) as again:
        # Where others compute as well, a clock would measure them.
        ready_s = again.ready_s if at_rest else again.cpu_seconds()
        assert ready_s < READY_S
        assert predict(again.url, [FIELD])[0].labels is not None
