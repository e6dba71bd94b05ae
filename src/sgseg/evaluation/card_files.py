"""The files that a model card is made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from sgseg.dataset.manifest import read_manifest
from sgseg.errors import InputError, Problem
from sgseg.inference.bundle import BundleSpec, digest, read_spec


@dataclass(frozen=True)
class Files:
    """What a card is made from.

    Parameters
    ----------
    spec, digest
        Of the bundle.
    metrics
        metrics.json of the evaluation.
    images
        Its images.csv, with condition, replicate, height, width and so on of the manifest. One row
        per image and method.
    timing
        Its timing.json; empty where there is none.
    run
        The cross-validation in its run.json: name, params; empty where there is none.
    evaluated
        When, as a date; empty where there is no run.json.
    pictures
        The folder with the galleries.
    """

    spec: BundleSpec
    digest: str
    metrics: dict[str, Any]
    images: pd.DataFrame
    timing: dict[str, Any]
    run: dict[str, Any]
    evaluated: str
    pictures: Path


def read_files(model: Path, evaluation: Path, dataset: Path) -> Files:
    """Read them all.

    Raises
    ------
    InputError
        A file is missing (all of these are named), unreadable, or of another data set.
    """
    spec = read_spec(model)
    needed = [
        evaluation / "metrics.json",
        evaluation / "images.csv",
        dataset / "manifest.csv",
    ]
    absent = [path for path in needed if not path.is_file()]
    if absent:
        remedy = "Run `dvc repro`, or `dvc pull` to fetch what was made elsewhere."
        raise InputError(*(Problem(str(path), "no such file", remedy=remedy) for path in absent))
    run = _json(evaluation / "run.json")
    stamp = run.get("evaluated_ms")
    return Files(
        spec=spec,
        digest=digest(model),
        metrics=_json(evaluation / "metrics.json"),
        images=_with_manifest(evaluation / "images.csv", dataset),
        timing=_json(evaluation / "timing.json"),
        run=run.get("cv", {}),
        evaluated="" if stamp is None else f"{datetime.fromtimestamp(stamp / 1000, UTC):%Y-%m-%d}",
        pictures=evaluation,
    )


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(Problem(str(path), f"unreadable: {error}")) from None
    return content if isinstance(content, dict) else {}


def _with_manifest(path: Path, dataset: Path) -> pd.DataFrame:
    names = ("image_id", "group", "method", "part")
    images = pd.read_csv(path, dtype=dict.fromkeys(names, str), keep_default_na=False)
    columns = ["image_id", "source", "height", "width", "bit_depth", "channel"]
    manifest = read_manifest(dataset)[[*columns, "pixel_size_um", "condition", "replicate"]]
    unknown = sorted(set(images["image_id"]) - set(manifest["image_id"]))
    if unknown:
        raise InputError(
            Problem(
                str(path),
                f"{len(unknown)} images, such as {unknown[0]}, are not in {dataset}",
                "an evaluation of this data set",
                "Run `dvc repro`.",
            )
        )
    return images.merge(manifest, on="image_id", validate="many_to_one")
