"""A recipe cross-validated in one process: who trains, who is predicted, which point is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from sgseg.config import Params, load_params, with_values
from sgseg.dataset.manifest import COLUMNS
from sgseg.errors import InputError
from sgseg.evaluation.summary import point_scores
from sgseg.nets import build_network
from sgseg.training import out_of_fold
from sgseg.training.batches import Example
from sgseg.training.fold import Recipe, Trained
from sgseg.training.out_of_fold import FoldResult, HeldOut, cross_validate, score

from .tiny import draw

# Image 4 is a test image, of which there is no file.
ROLES = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "d", "tested"],
        "group": ["one", "two", "three", "three", "four"],
        "set": ["development"] * 4 + ["test"],
        "role_0": ["held_out", "train", "train", "validation", ""],
        "role_1": ["train", "held_out", "train", "validation", ""],
    }
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    rows = []
    for number, name in enumerate("abcd"):
        example = draw(number, shape=(24, 24 + number), n=2)
        for kind, pixels in (
            ("images", np.rint(1000 + 200 * example.image).astype(np.uint16)),
            ("masks", example.labels.astype(np.uint16)),
        ):
            (folder / kind).mkdir(exist_ok=True)
            tifffile.imwrite(folder / kind / f"{name}.tif", pixels)
        rows.append(dict.fromkeys(COLUMNS, "") | {"image_id": name, "pixel_size_um": None})
    rows.append(dict.fromkeys(COLUMNS, "") | {"image_id": "tested", "pixel_size_um": None})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.fixture
def params() -> Params:
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    return with_values(params, {"network.width": 2, "network.depth": 1, "predict.orientations": 1})


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str], list[str]]]:
    """Training that returns at once, and what it was given."""
    seen: list[tuple[int, list[str], list[str]]] = []

    def instead(
        train: list[Example], validation: list[Example], recipe: Recipe, *, fold: int, **_: Any
    ) -> Trained:
        seen.append((fold, [e.image_id for e in train], [e.image_id for e in validation]))
        return Trained(build_network(**recipe.network), [{"loss": 1.0}], 1)

    monkeypatch.setattr(out_of_fold, "train_fold", instead)
    return seen


def test_every_fold_trains_on_its_own_images_and_predicts_the_others(
    dataset: Path, params: Params, tmp_path: Path, trained_on: list[Any]
) -> None:
    results = list(
        cross_validate(params, dataset=dataset, roles=ROLES, folds=[1, 0], checkpoints=tmp_path)
    )
    assert trained_on == [(1, ["a", "c"], ["d"]), (0, ["b", "c"], ["d"])]
    assert [(r.fold, r.n_train, [i.image_id for i in r.images]) for r in results] == [
        (1, 2, ["b"]),
        (0, 2, ["a"]),
    ]
    image = results[0].images[0]
    assert (image.group, image.fold) == ("two", 1)
    assert image.probability.shape == image.truth.shape == (24, 25)
    assert image.truth.max() == 2


def test_a_caller_can_stop_between_folds(
    dataset: Path, params: Params, tmp_path: Path, trained_on: list[Any]
) -> None:
    folds = cross_validate(params, dataset=dataset, roles=ROLES, folds=[0, 1], checkpoints=tmp_path)
    next(folds)
    assert len(trained_on) == 1


def test_training_images_can_be_narrowed(
    dataset: Path, params: Params, tmp_path: Path, trained_on: list[Any]
) -> None:
    (result,) = cross_validate(
        params,
        dataset=dataset,
        roles=ROLES,
        folds=[0],
        checkpoints=tmp_path,
        choose=lambda fold, names: [name for name in names if name == "c"],
    )
    assert trained_on == [(0, ["c"], ["d"])]
    assert result.n_train == 1


def test_a_fold_that_the_split_does_not_have(dataset: Path, params: Params, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fold 7: the split has no such fold"):
        next(cross_validate(params, dataset=dataset, roles=ROLES, folds=[7], checkpoints=tmp_path))


def held_out(name: str, fold: int, *, right: float, wrong: float) -> HeldOut:
    """Two squares of 16 px: a granule that got probability `right`, and none that got `wrong`."""
    truth = np.zeros((20, 20), np.int32)
    truth[2:6, 2:6] = 1
    probability = np.zeros((20, 20), np.float32)
    probability[2:6, 2:6], probability[12:16, 12:16] = right, wrong
    return HeldOut(name, name, fold, truth, probability)


def result(fold: int, *images: HeldOut) -> FoldResult:
    return FoldResult(fold, list(images), [], 1, 1.0, 1, 1.0)


def test_a_fold_is_scored_with_what_was_chosen_on_the_others(params: Params) -> None:
    settings = params.evaluate.model_copy(update={"thresholds": [0.3, 0.6], "min_areas_px": [1]})
    params = params.model_copy(update={"evaluate": settings})
    # Of fold 0 the best threshold is 0.6 (at 0.3 the wrong square is found too), of fold 1 it is
    # 0.3 (at 0.6 nothing is found): each is scored at the other's.
    results = [
        result(0, held_out("a", 0, right=0.9, wrong=0.5)),
        result(1, held_out("b", 1, right=0.5, wrong=0.1)),
    ]
    first, second = score(results, params)
    assert (first.objects.tp, first.objects.fp, first.objects.fn) == (1, 1, 0)
    assert (second.objects.tp, second.objects.fp, second.objects.fn) == (0, 0, 1)
    # tp 1, fp 1, fn 1: 2 / (2 + 1 + 1)
    assert point_scores([first, second])["object_f1"] == 0.5


def test_a_single_fold_is_scored_at_its_own_best_point(params: Params) -> None:
    (counts,) = score([result(0, held_out("a", 0, right=0.9, wrong=0.5))], params)
    assert (counts.objects.tp, counts.objects.fp, counts.objects.fn) == (1, 0, 0)


def test_nothing_held_out_is_said(params: Params) -> None:
    empty = replace(result(0), images=[])
    with pytest.raises(InputError, match="no image is held out"):
        score([empty], params)
