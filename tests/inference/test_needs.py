"""Inference needs a handful of packages: it works where none of the others can be imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from examples import draw_field

BLOCKED = (
    "pandas mlflow keras tensorflow torch sklearn dvc pydantic optuna onnx tf2onnx matplotlib "
    "great_expectations"
)
CODE = """
import sys

for name in sys.argv[1].split():
    sys.modules[name] = None  # importing it raises ImportError

import importlib, pkgutil
from pathlib import Path

import sgseg.inference

names = [found.name for found in pkgutil.iter_modules(sgseg.inference.__path__)]
assert "segmenter" in names
for name in names:
    importlib.import_module(f"sgseg.inference.{name}")

from sgseg.inference.predict import Reading, find_tasks, predict_files
from sgseg.inference.segmenter import Segmenter

bundle, image, out = map(Path, sys.argv[2:])
tasks = find_tasks([image], out)
problems = predict_files(
    Segmenter.load(bundle), tasks, out, reading=Reading(), with_overlay=True, with_uncertainty=True
)
assert not problems, problems
"""


def test_images_are_segmented_without_any_package_of_training(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    pixels, truth = draw_field([(10, 10), (20, 30)])
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    arguments = [BLOCKED, make_bundle(1.5, 2.0), tmp_path / "a.tif", tmp_path / "out"]
    command = [sys.executable, "-c", CODE, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mask = tifffile.imread(tmp_path / "out" / "a_mask.tif")
    assert np.array_equal(mask > 0, truth > 0)
