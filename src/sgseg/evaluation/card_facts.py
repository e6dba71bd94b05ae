"""What a model card says: numbers and names for its templates."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from sgseg.evaluation.card_files import Files
from sgseg.evaluation.table import COLUMNS, HEADLINE, score_rows
from sgseg.inference.watch import COMMON

PARTS = ("out_of_fold", "test")
PICTURES = {
    "Out of fold": "gallery_out_of_fold_worst.png",
    "Test": "gallery_test_worst.png",
}
WORST = 8
LEADING = ("object_f1", "foreground_iou")
SHOWN = (
    "object_f1",
    "object_precision",
    "object_recall",
    "object_f1_50",
    "panoptic_quality",
    "foreground_iou",
    "foreground_dice",
    "count_error",
    "false_per_empty",
)
STATISTICS = {
    "noise": "noise, share of the brightness range",
    "focus": "focus, detail of 4 px over that of 8 px",
    "median_level": "median, between the 1st and the 99.8th percentile",
    "saturated": "share of saturated pixels",
    "levels": "gray levels in the brightness range",
    "diameter_px": "median diameter of granules, px",
}
"""What is shown of a bundle's statistics, see `inference.watch`."""
CELLS = ("score", "cv", "out_of_fold", "test", "baseline_out_of_fold", "baseline_test", "ceiling")
"""The columns of `score_rows`."""
UNKNOWN = "unknown"
# What turns an image into a mask; that of training is in requirements.lock at the commit named.
PACKAGES = ("sgseg", "numpy", "onnxruntime", "scikit-image", "mlflow")


def card_facts(files: Files) -> dict[str, Any]:
    """What the templates of the card are filled with."""
    network = files.images[files.images["method"] == "network"]
    parts = {part: network[network["part"] == part] for part in PARTS}
    development = parts["out_of_fold"]
    scores = _scores_as_text(files.metrics)
    return {
        "columns": COLUMNS,
        "rows": [list(row.values()) for row in scores.values()],
        "scores": scores,
        "uncertainty": files.metrics.get("uncertainty", {}).get("granule_auc"),
        "ceiling": files.metrics.get("label_ceiling"),
        "spec": files.spec,
        "digest": files.digest,
        "n_members": 1 if files.spec.members_in_use == "one" else len(files.spec.members),
        "facts": {key: files.spec.facts.get(key) or UNKNOWN for key in ("data", "commit")},
        "second_channel": files.spec.facts.get("second_channel"),
        "source": _names(network["source"]),
        "run": files.run.get("name", ""),
        "params": files.run.get("params", {}),
        "evaluated": files.evaluated,
        "folds": sorted(development["fold"].unique().tolist()),
        "sizes": {part: _size(images) for part, images in parts.items()},
        "trained_on": _trained_on(development),
        "statistics": _statistics(files.spec.statistics),
        "common": [f"{100 * quantile:g} %" for quantile in COMMON],
        "conditions": _by(network, "condition"),
        "replicates": _by(network, "replicate"),
        "torn_replicates": _torn_replicates(network),
        "empty": {part: _empty(images) for part, images in parts.items()},
        "not_better": _not_better(files.metrics),
        "worst": _worst(development),
        "pictures": {
            title: name for title, name in PICTURES.items() if (files.pictures / name).is_file()
        },
        "milliseconds": files.timing.get("milliseconds_per_megapixel", {}).get(
            f"{files.spec.members_in_use}_{files.spec.orientations}"
        ),
        "timing": files.timing,
        "versions": _versions(),
        "licence": (metadata.metadata("sgseg").get_all("License-Expression") or [UNKNOWN])[0],
    }


def _scores_as_text(metrics: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By score the cells of its row; of all but the two that a reader looks for only if known."""
    rows = score_rows(metrics, {score: HEADLINE[score] for score in SHOWN})
    return {
        score: dict(zip(CELLS, row, strict=True))
        for score, row in zip(SHOWN, rows, strict=True)
        if score in LEADING or any(row[1:-1])
    }


def _names(values: pd.Series) -> str:
    """What occurs in a column, as text."""
    return ", ".join(sorted({str(value) for value in values.dropna()} - {""})) or UNKNOWN


def _size(images: pd.DataFrame) -> dict[str, int]:
    return {
        "images": len(images),
        "groups": images["group"].nunique(),
        "granules": int((images["objects_tp"] + images["objects_fn"]).sum()),
    }


def _trained_on(images: pd.DataFrame) -> dict[str, str]:
    pairs = zip(images["height"], images["width"], strict=True)
    sizes = [f"{height:.0f} x {width:.0f} px" for height, width in sorted(set(pairs))]
    return {
        "channel": _names(images["channel"]),
        "size of images": sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}",
        "bit depth": _range(images["bit_depth"], "bits"),
        "pixel size": _range(images["pixel_size_um"], "µm"),
    }


def _statistics(statistics: Mapping[str, Any]) -> dict[str, str]:
    """The ranges in which the training images lie."""
    return {
        title: " to ".join(_short(end) for end in statistics[name])
        for name, title in STATISTICS.items()
        if name in statistics
    }


def _short(value: float) -> str:
    """Three significant digits, without an exponent."""
    return str(np.format_float_positional(float(f"{value:.3g}"), trim="-"))


def _range(values: pd.Series, unit: str) -> str:
    """Such as `0.1 to 0.2 µm`, with what is unknown."""
    known = values.dropna()
    if known.empty:
        return UNKNOWN
    low, high = known.min(), known.max()
    text = f"{low:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}"
    lacking = len(values) - len(known)
    return f"{text}; {UNKNOWN} for {lacking} of {len(values)} images" if lacking else text


def _by(images: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    """Per condition or replicate how many images there are, and the scores; empty if unknown."""
    if (images[column] == "").all():
        return []
    rows = []
    for name, chosen in images.groupby(column):
        row: dict[str, Any] = {"name": name or UNKNOWN}
        for part in PARTS:
            own = chosen[chosen["part"] == part]
            row[part] = _size(own) | _scores(own)
        rows.append(row)
    return rows


def _scores(images: pd.DataFrame) -> dict[str, float | None]:
    """Pooled over images, None where there is nothing to score: see `summary.score`."""
    tp, fp, fn = (int(images[f"objects_{kind}"].sum()) for kind in ("tp", "fp", "fn"))
    return {
        "object_f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
        "object_precision": tp / (tp + fp) if tp + fp else None,
        "object_recall": tp / (tp + fn) if tp + fn else None,
    }


def _torn_replicates(images: pd.DataFrame) -> int | None:
    """How many replicates were on both sides of a split; None where none is known.

    Scores on such images say little about a day of staining that the model has not seen.
    """
    known = images[images["replicate"] != ""]
    if known.empty:
        return None
    folds = [set(chosen["fold"]) for _, chosen in known.groupby("replicate")]
    return sum(len(own) > 1 for own in folds)


def _empty(images: pd.DataFrame) -> dict[str, int]:
    """Images without granules, and the granules found there all the same."""
    empty = images[images["objects_tp"] + images["objects_fn"] == 0]
    return {"images": len(empty), "found": int(empty["objects_fp"].sum())}


def _not_better(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where the classical method does as well or better."""
    pairs = [
        (part, score, metrics.get(of, {}).get(score), metrics.get(f"baseline_{of}", {}).get(score))
        for of, part in (("out_of_fold", "out of fold"), ("test", "on the test set"))
        for score in LEADING
    ]
    return [
        {
            "part": part,
            "score": HEADLINE[score],
            "value": own["value"],
            "baseline": other["value"],
        }
        for part, score, own, other in pairs
        if own and other and own["value"] <= other["value"]
    ]


def _worst(images: pd.DataFrame) -> list[dict[str, Any]]:
    """The images of lowest object F1, then IoU, as in the galleries."""
    wrong = images[images["objects_fp"] + images["objects_fn"] > 0]
    chosen = wrong.sort_values(["object_f1", "foreground_iou", "image_id"]).head(WORST)
    return [{str(name): value for name, value in row.items()} for row in chosen.to_dict("records")]


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}
