"""What a search maximises, on real networks that are not trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from sgseg.config import Params
from sgseg.dataset.manifest import COLUMNS
from sgseg.tuning.job import Job
from sgseg.tuning.objective import cross_validated
from sgseg.tuning.trial import FoldScore

from .fake import changed, job_of, params_of

ROLES = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "tested"],
        "group": ["one", "two", "three", "four"],
        "set": ["development"] * 3 + ["test"],
        "role_0": ["held_out", "train", "validation", ""],
        "role_1": ["train", "held_out", "validation", ""],
    }
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images with a bright square each, and a test image of which there is no file."""
    folder = tmp_path_factory.mktemp("dataset")
    rng = np.random.default_rng(0)
    for name in "abc":
        truth = np.zeros((24, 24), dtype=np.uint16)
        truth[8:14, 8:14] = 1
        noise = rng.normal(1000, 50, truth.shape)
        for kind, pixels in (("images", noise + 900 * truth), ("masks", truth)):
            (folder / kind).mkdir(exist_ok=True)
            tifffile.imwrite(folder / kind / f"{name}.tif", pixels.astype(np.uint16))
    empty = dict.fromkeys(COLUMNS, "") | {"pixel_size_um": None}
    rows = [empty | {"image_id": name} for name in ROLES["image_id"]]
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    ROLES.to_csv(folder / "roles.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    whole = params_of(tmp_path_factory.mktemp("params"))
    return changed(
        whole, network__width=2, network__depth=1, predict__orientations=1, train__epochs=1
    )


@pytest.fixture(autouse=True)
def _not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    from sgseg.nets import build_network  # noqa: PLC0415 - takes seconds
    from sgseg.training import out_of_fold  # noqa: PLC0415
    from sgseg.training.fold import Trained  # noqa: PLC0415

    def instead(train: Any, validation: Any, recipe: Any, **options: Any) -> Trained:
        return Trained(build_network(**recipe.network), [{"loss": 1.0, "val_loss": 2.0}], 1)

    monkeypatch.setattr(out_of_fold, "train_fold", instead)


def scored(params: Params, dataset: Path, folder: Path, folds: tuple[int, ...]) -> list[FoldScore]:
    job = Job(
        **{
            **vars(job_of(folder, params=params)),
            "dataset": dataset,
            "roles": dataset / "roles.csv",
            "folds": folds,
        }
    )
    return list(cross_validated(job, folder))


def test_scores_grow_fold_by_fold(dataset: Path, params: Params, tmp_path: Path) -> None:
    scores = scored(params, dataset, tmp_path, (1, 0))
    assert [score.fold for score in scores] == [1, 0]
    assert [list(score.by_fold) for score in scores] == [[1], [0, 1]]
    for score in scores:
        assert score.value == score.scores["object_f1"]
        assert score.history == [{"loss": 1.0, "val_loss": 2.0}]
        assert score.cost is None
    # Pooled over all images so far: with one that is its own score.
    assert scores[0].by_fold[1] == scores[0].scores


def test_multiply_adds(dataset: Path, params: Params, tmp_path: Path) -> None:
    asked = changed(params, tune__cost="multiply_adds")
    (one,) = scored(asked, dataset, tmp_path, (0,))
    (eight,) = scored(changed(asked, predict__orientations=8), dataset, tmp_path, (0,))
    assert one.cost is not None
    assert eight.cost == 8 * one.cost
    # At least the first convolution: 9 weights for each of 2 channels.
    assert one.cost > 18


def test_milliseconds(dataset: Path, params: Params, tmp_path: Path) -> None:
    scores = scored(changed(params, tune__cost="milliseconds"), dataset, tmp_path, (0, 1))
    assert all(score.cost is not None and score.cost > 0 for score in scores)
