"""A bundle as an MLflow model: what is put into it, and nothing that serving does not need."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imagecodecs
import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Object, Property

from sgseg.inference.bundle import digest, read_spec
from sgseg.serving.service import Limits

MODEL_NAME = "sgseg"
SOURCE = Path(__file__).parents[1]
# What `model.py` imports of sgseg, and what that imports.
CODE = ("__init__.py", "errors.py", "scores.py", "images", "inference", "serving")
# What that imports in turn. No Keras, no TensorFlow, no DVC: a served model starts in seconds.
REQUIREMENTS = (
    "imagecodecs",
    "mlflow",
    "numpy",
    "onnxruntime",
    "pandas",
    "pillow",
    "pyarrow",
    "pyyaml",
    "roifile",
    "scikit-image",
    "scipy",
    "tifffile",
)

_COLUMNS = Schema(
    [
        ColSpec("binary", "image"),
        ColSpec("double", "threshold", required=False),
        ColSpec("long", "min_area_px", required=False),
        ColSpec("string", "channel", required=False),
        ColSpec("string", "second_channel", required=False),
        ColSpec("string", "projection", required=False),
        ColSpec("double", "pixel_size_um", required=False),
        ColSpec("string", "returns", required=False),
    ]
)
_PARAMS = ParamSchema(
    [
        ParamSpec("threshold", "double", None),
        ParamSpec("min_area_px", "long", None),
        ParamSpec("channel", "string", None),
        ParamSpec("second_channel", "string", None),
        ParamSpec("projection", "string", None),
        ParamSpec("pixel_size_um", "double", None),
        ParamSpec("returns", "string", "labels"),
    ]
)
_GRANULE = Object(
    [
        Property("label", "long"),
        Property("area_px", "long"),
        Property("area_um2", "double", required=False),
        Property("centroid_row", "double"),
        Property("centroid_col", "double"),
        Property("mean_probability", "double"),
        Property("uncertainty", "double", required=False),
    ]
)
_ANSWERS = Schema(
    [
        ColSpec("string", "mask", required=False),
        ColSpec("long", "n_granules", required=False),
        ColSpec("long", "area_px", required=False),
        ColSpec("double", "area_um2", required=False),
        ColSpec("double", "area_fraction", required=False),
        ColSpec("double", "uncertainty", required=False),
        ColSpec("double", "pixel_size_um", required=False),
        ColSpec(Array("string"), "warnings"),
        ColSpec("string", "model_version"),
        ColSpec("string", "error", required=False),
        ColSpec("boolean", "retry"),
        ColSpec("string", "probability", required=False),
        ColSpec("string", "rois", required=False),
        ColSpec(Array(_GRANULE), "granules", required=False),
        ColSpec("string", "maps", required=False),
    ]
)


def save_model(bundle: Path, path: Path, *, card: Path | None = None) -> None:
    """Write a bundle as an MLflow model into a new folder.

    Parameters
    ----------
    card
        Folder (or file) of the model card, kept beside the bundle.

    Raises
    ------
    InputError
        `bundle` is none.
    """
    with _content(bundle, card) as content:
        mlflow.pyfunc.save_model(path=str(path), **content)


def log_model(
    bundle: Path,
    *,
    card: Path | None = None,
    run_id: str | None = None,
    name: str = MODEL_NAME,
    tags: dict[str, str] | None = None,
) -> Any:
    """Log a bundle as an MLflow model to the current tracking server.

    Parameters
    ----------
    card
        Folder (or file) of the model card, kept beside the bundle.
    run_id
        The run that made it, which may have ended; None for none.

    Returns
    -------
    mlflow.models.model.ModelInfo

    Raises
    ------
    InputError
        `bundle` is none.
    """
    with _content(bundle, card) as content:
        return Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            name=name,
            run_id=run_id,
            tags=tags,
            **content,
        )


def requirements() -> list[str]:
    """The packages that serving needs, in the versions that are installed here."""
    return [f"{name}=={version(name)}" for name in REQUIREMENTS]


@contextmanager
def _content(bundle: Path, card: Path | None) -> Iterator[dict[str, Any]]:
    """The arguments of MLflow's `save_model`; a temporary folder holds the code meanwhile."""
    read_spec(bundle)
    artifacts = {"bundle": str(bundle.resolve())}
    if card is not None:
        artifacts["card"] = str(card.resolve())
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "python_model": str(SOURCE / "serving" / "model.py"),
            "artifacts": artifacts,
            "code_paths": [str(_copy_code(Path(folder)))],
            "signature": ModelSignature(inputs=_COLUMNS, outputs=_ANSWERS, params=_PARAMS),
            "input_example": example(),
            "pip_requirements": requirements(),
            "metadata": {"sgseg.bundle": digest(bundle)},
            "model_config": asdict(Limits()),
        }


def _copy_code(folder: Path) -> Path:
    target = folder / SOURCE.name
    target.mkdir()
    for name in CODE:
        if (SOURCE / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", Path(__file__).name)
            shutil.copytree(SOURCE / name, target / name, ignore=ignored)
        else:
            shutil.copy(SOURCE / name, target)
    return target


def example() -> tuple[pd.DataFrame, dict[str, Any]]:
    """A request: one small PNG of a cell with three granules, and params."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    signal = 200.0 * (np.hypot(rows - 32, columns - 32) < 26)
    for row, column in ((24, 28), (36, 24), (38, 42)):
        signal += 500 * np.exp(-(((rows - row) ** 2 + (columns - column) ** 2) / 4.5))
    pixels = rng.poisson(100 + signal).astype(np.uint16)
    png = bytes(imagecodecs.png_encode(pixels))
    return pd.DataFrame({"image": [png]}), {"pixel_size_um": 0.1, "returns": "labels"}
