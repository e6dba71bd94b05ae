"""Counts, data sets and evaluations small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from examples import draw_field
from numpy.typing import NDArray

from sgseg.config import Params, load_params
from sgseg.dataset.manifest import COLUMNS
from sgseg.evaluation.baseline import BaselinePoint
from sgseg.evaluation.disagreement import ImageDisagreement
from sgseg.evaluation.operating import OperatingPoint
from sgseg.evaluation.results import Evaluation, NetworkScores, Scored
from sgseg.evaluation.summary import ImageCounts
from sgseg.scores import Confusion, ObjectCounts

ROOT = Path(__file__).parents[2]


def image_counts(
    pixels: tuple[int, int, int, int] = (0, 0, 0, 1),
    objects: tuple[int, int, int, float] = (0, 0, 0, 0.0),
    *,
    objects_50: tuple[int, int, int, float] | None = None,
    image_id: str = "a",
    group: str = "g",
    histogram: NDArray[np.int64] | None = None,
) -> ImageCounts:
    """Counts of an image: pixels as (TP, FP, FN, TN), objects as (TP, FP, FN, sum of IoU)."""
    return ImageCounts(
        image_id,
        group,
        Confusion(*pixels),
        ObjectCounts(*objects),
        ObjectCounts(*(objects if objects_50 is None else objects_50)),
        histogram,
    )


def params_with(**evaluate: Any) -> Params:
    """The project's parameters for two folds, with a small grid and the changes given."""
    content = load_params(ROOT / "params.yaml").model_dump(by_alias=True)
    content["split"]["folds"] = [0, 1]
    content["preprocess"] = {
        "normalise": "background",
        "target_pixel_size_um": None,
        "resize": None,
    }
    content["predict"] = {"members": "all", "orientations": 8, "precision": "float32"}
    content["evaluate"] |= {
        "thresholds": [0.2, 0.5, 0.95],
        "min_areas_px": [1, 4],
        "baseline": {"sigmas_small": [1.0], "sigmas_large": [4.0], "deviations": [2.0, 4.0]},
        "bootstrap": 50,
        "object_iou": 0.3,
        "gallery": 1,
    } | evaluate
    return Params.model_validate(content)


Field = tuple[NDArray[np.uint16], NDArray[np.int32]]


def write_dataset(
    folder: Path,
    fields: Mapping[str, Field],
    *,
    pixel_sizes_um: Mapping[str, float] | None = None,
) -> Path:
    """A canonical data set, as far as `evaluate` reads it."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = []
    for image_id, (pixels, labels) in fields.items():
        tifffile.imwrite(folder / "images" / f"{image_id}.tif", pixels)
        tifffile.imwrite(folder / "masks" / f"{image_id}.tif", labels.astype(np.uint16))
        size = (pixel_sizes_um or {}).get(image_id, "")
        rows.append(dict.fromkeys(COLUMNS, "") | {"image_id": image_id, "pixel_size_um": size})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder


def roles(folds: Mapping[str, int], test: Sequence[str] = ()) -> pd.DataFrame:
    """Roles of two folds: every image of `folds` is held out in the fold named."""
    rows = [
        {
            "image_id": image_id,
            "group": f"group of {image_id}",
            "set": "development",
            "role_0": "held_out" if fold == 0 else "train",
            "role_1": "held_out" if fold == 1 else "train",
        }
        for image_id, fold in folds.items()
    ]
    rows += [
        {
            "image_id": image_id,
            "group": f"group of {image_id}",
            "set": "test",
            "role_0": "",
            "role_1": "",
        }
        for image_id in test
    ]
    return pd.DataFrame(rows)


def field(
    seed: int,
    *,
    granules: Sequence[tuple[int, int]] = ((10, 10), (20, 30), (40, 12)),
    brightness: float = 3.0,
    distractors: Sequence[tuple[int, int]] = (),
    distractor_brightness: float = 2.2,
) -> Field:
    """A field of a cell with granules, and bright squares that are none."""
    pixels, labels = draw_field(list(granules), brightness=brightness, seed=seed)
    other, where = draw_field(list(distractors), brightness=distractor_brightness, seed=seed)
    return np.where(where > 0, other, pixels).astype(np.uint16), labels


def of_test(*counts: ImageCounts) -> Scored:
    """Test images scored."""
    return Scored(list(counts), [-1] * len(counts))


def evaluation_of(
    development: Scored,
    test: Scored,
    *,
    networks: Mapping[int, NetworkScores] | None = None,
    disagreement: Sequence[ImageDisagreement] = (),
) -> Evaluation:
    """An evaluation of two folds in which every method has the same counts, unless given."""
    same = NetworkScores(
        point=OperatingPoint(0.5, 4),
        points={0: OperatingPoint(0.6, 8), 1: OperatingPoint(0.5, 4)},
        out_of_fold=development,
        tuned_on_itself=development,
        test=test,
        test_members={0: test, 1: test},
    )
    return Evaluation(
        orientations=8,
        test=test,
        networks={1: same, 8: same} if networks is None else networks,
        disagreement=list(disagreement),
        baseline_point=BaselinePoint(1.0, 6.0, 3.0, 4),
        baseline_out_of_fold=development,
        baseline_tuned_on_itself=development,
        baseline_test=test,
    )
