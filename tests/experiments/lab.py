"""A bench with six small images in two folds, and trainings that take no time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from examples import draw_field

from sgseg.config import Params, load_params, with_values
from sgseg.dataset.manifest import COLUMNS, read_canonical_labels
from sgseg.experiments.bench import Bench
from sgseg.experiments.fold import result_file, save_result
from sgseg.training.out_of_fold import FoldResult, HeldOut

ROOT = Path(__file__).parents[2]
SHAPE = (32, 40)
# Two images of a group are held out in fold 0, the others one by one.
GROUPS = {"a": "ab", "b": "ab", "c": "c", "d": "d", "e": "e", "f": "f"}
ROLES = {
    "role_0": ["held_out", "held_out", "held_out", "train", "train", "validation"],
    "role_1": ["train", "train", "validation", "held_out", "held_out", "held_out"],
}


def tiny_params(**values: Any) -> Params:
    """The project's parameters for two folds and seconds, with values at dotted keys ('__')."""
    tiny = {
        "split.folds": [0, 1],
        "network.width": 2,
        "network.depth": 1,
        "train.epochs": 1,
        "train.patch_size": 16,
        "train.batch_size": 2,
        "train.init": None,
        "predict.orientations": 1,
        "evaluate.bootstrap": 20,
        "evaluate.gallery": 1,
        "evaluate.thresholds": [0.5],
        "evaluate.min_areas_px": [1],
        "evaluate.baseline": {
            "sigmas_small": [1.0],
            "sigmas_large": [4.0],
            "deviations": [2.0, 3.0],
        },
        "ablations": {"workers": 1, "rows": []},
        "learning_curve.workers": 1,
    }
    changes = {key.replace("__", "."): value for key, value in values.items()}
    return with_values(load_params(ROOT / "params.yaml"), tiny | changes)


def write_bench(folder: Path) -> Bench:
    """Six images, of which each has two granules of 3 x 3 px, where `ingest` and `split` put them.

    The code is that of the project.
    """
    dataset, split = folder / "dataset", folder / "split"
    for part in (dataset / "images", dataset / "masks", split):
        part.mkdir(parents=True)
    rows = []
    for seed, name in enumerate(GROUPS):
        pixels, labels = draw_field([(8, 8), (20, 12 + seed)], shape=SHAPE, seed=seed)
        tifffile.imwrite(dataset / "images" / f"{name}.tif", pixels)
        tifffile.imwrite(dataset / "masks" / f"{name}.tif", labels.astype(np.uint16))
        rows.append(
            dict.fromkeys(COLUMNS, "")
            | {"image_id": name, "height": SHAPE[0], "width": SHAPE[1], "group": GROUPS[name]}
        )
    pd.DataFrame(rows).to_csv(dataset / "manifest.csv", index=False)
    (dataset / "copies.json").write_text(json.dumps({"groups": [], "pairs": [], "ceiling": None}))
    columns = {"image_id": list(GROUPS), "group": list(GROUPS.values()), "set": "development"}
    pd.DataFrame(columns | ROLES).to_csv(split / "roles.csv", index=False)
    return Bench(dataset, split, folder / "work", "tiny", workers=1, root=ROOT)


def fold_result(fold: int, maps: Mapping[str, Any], bench: Bench, **facts: Any) -> FoldResult:
    """A result with these maps by image, each a number for all pixels or (H, W)."""
    images = [
        HeldOut(
            name,
            GROUPS[name],
            fold,
            read_canonical_labels(bench.dataset, name),
            np.broadcast_to(np.float32(value), SHAPE).copy(),
        )
        for name, value in maps.items()
    ]
    known: dict[str, Any] = {
        "history": [{"loss": 0.5, "val_loss": 0.25}],
        "best_epoch": 1,
        "seconds": 2.0,
        "n_train": 2,
        "milliseconds_per_megapixel": 3.0,
    }
    return FoldResult(fold=fold, images=images, **(known | facts))


def perfect(bench: Bench, names: Sequence[str], level: float = 1.0) -> dict[str, Any]:
    """Maps that are `level` in the granules and 0 elsewhere."""
    return {name: level * (read_canonical_labels(bench.dataset, name) > 0) for name in names}


class FakeChildren:
    """In the place of `run_children`: every job is done at once, and perfectly.

    Parameters
    ----------
    bench
        Whose jobs they are.
    fails
        Names of recipes whose process fails.
    """

    def __init__(self, bench: Bench, fails: Sequence[str] = ()) -> None:
        self.bench = bench
        self.fails = fails
        self.trained: list[tuple[str, int, tuple[int, ...]]] = []

    def __call__(
        self, commands: Mapping[str, tuple[Sequence[str], Path]], *, workers: int
    ) -> Iterator[tuple[str, int]]:
        for name, (arguments, log) in commands.items():
            if name in self.fails:
                log.write_text("fold 0:  50%\nTraceback\nValueError: no luck\n")
                yield name, 1
                continue
            for folder in map(Path, arguments[2:]):
                self._work(name, folder)
            yield name, 0

    def _work(self, name: str, folder: Path) -> None:
        job = json.loads((folder / "job.json").read_text())
        self.trained.append((name, job["fold"], tuple(job["orientations"])))
        held_out = [
            i
            for i, role in zip(GROUPS, ROLES[f"role_{job['fold']}"], strict=True)
            if role == "held_out"
        ]
        for orientations in job["orientations"]:
            maps = perfect(self.bench, held_out)
            save_result(
                result_file(folder, orientations), fold_result(job["fold"], maps, self.bench)
            )
