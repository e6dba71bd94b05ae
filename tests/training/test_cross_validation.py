"""A fold from the data set's files to its own; ONNX computes what Keras does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from keras import models, ops

from sgseg.config import Params, load_params
from sgseg.dataset.manifest import COLUMNS
from sgseg.errors import InputError
from sgseg.inference.network import OnnxNetwork
from sgseg.inference.preprocess import Preprocessing
from sgseg.training import cross_validation
from sgseg.training.augment import Augmentation
from sgseg.training.cross_validation import (
    load_examples,
    preprocessing_of,
    recipe_of,
    run_fold,
)
from sgseg.training.fold import Recipe
from sgseg.training.scoring import predict

from .tiny import draw

ROLES = ["train", "train", "validation", "held_out"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of a canonical data set, 16-bit counts; the pixel size of the last is unknown."""
    folder = tmp_path_factory.mktemp("dataset")
    rows = []
    for number in range(len(ROLES)):
        example = draw(number, shape=(40, 36 + number))
        name = f"image_{number}"
        for kind, pixels in (
            ("images", np.rint(1000 + 200 * example.image).astype(np.uint16)),
            ("masks", example.labels.astype(np.uint16)),
        ):
            (folder / kind).mkdir(exist_ok=True)
            tifffile.imwrite(folder / kind / f"{name}.tif", pixels)
        size = 0.2 if number < 3 else None
        rows.append(dict.fromkeys(COLUMNS, "") | {"image_id": name, "pixel_size_um": size})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.fixture
def params() -> Params:
    """The project's parameters, shrunk."""
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    network = params.network.model_copy(update={"width": 2, "depth": 1})
    train = params.train.model_copy(update={"epochs": 1, "batch_size": 2, "patch_size": 16})
    return params.model_copy(update={"network": network, "train": train})


@pytest.fixture
def roles() -> pd.DataFrame:
    return pd.DataFrame({"image_id": [f"image_{n}" for n in range(len(ROLES))], "role_0": ROLES})


def test_examples_are_the_prepared_images_in_order(dataset: Path) -> None:
    preprocessing = Preprocessing(normalise="zscore")
    examples = load_examples(dataset, ["image_2", "image_0"], preprocessing)
    assert [example.image_id for example in examples] == ["image_2", "image_0"]
    pixels = tifffile.imread(dataset / "images" / "image_2.tif")
    np.testing.assert_array_equal(examples[0].image, preprocessing.prepare(pixels))
    np.testing.assert_array_equal(examples[0].labels, draw(2, shape=(40, 38)).labels)
    assert (examples[0].image.dtype, examples[0].labels.dtype) == (np.float32, np.int32)


def test_examples_are_rescaled_where_the_pixel_size_is_known(dataset: Path) -> None:
    preprocessing = Preprocessing(normalise="zscore", target_pixel_size_um=0.4)
    known, unknown = load_examples(dataset, ["image_2", "image_3"], preprocessing)
    assert known.image.shape == known.labels.shape == (20, 19)  # 0.2 um of 0.4: half of (40, 38)
    assert unknown.image.shape == unknown.labels.shape == (40, 39)


def test_preprocessing_comes_from_the_parameters(params: Params) -> None:
    section = params.preprocess.model_copy(
        update={"normalise": "minmax", "resize": [48, 64], "target_pixel_size_um": 0.1}
    )
    assert preprocessing_of(params.model_copy(update={"preprocess": section})) == Preprocessing(
        normalise="minmax", target_pixel_size_um=0.1, resize=(48, 64)
    )
    assert preprocessing_of(params).resize is None


def test_every_parameter_reaches_the_recipe(params: Params) -> None:
    recipe = recipe_of(params)
    assert recipe.network == params.network.model_dump()
    magnitudes = params.train.augment.model_dump()
    assert magnitudes.pop("strength") == 1
    assert recipe.augmentation == Augmentation(**magnitudes)
    given = params.train.model_dump()
    for name in given.keys() - {"augment", "soft_labels"}:
        holder = recipe if name in Recipe.__dataclass_fields__ else recipe.sampling
        assert getattr(holder, name) == given[name], name
    assert recipe.object_iou == params.evaluate.object_iou


def test_a_fold_writes_its_files_and_nothing_else(
    dataset: Path, params: Params, roles: pd.DataFrame, tmp_path: Path
) -> None:
    folder, checkpoint = tmp_path / "folds" / "0", tmp_path / "work" / "fold_0.npz"
    told: list[int] = []
    trained = run_fold(
        params,
        0,
        dataset=dataset,
        roles=roles,
        folder=folder,
        checkpoint=checkpoint,
        on_epoch=lambda epoch, scores: told.append(epoch),
    )
    assert {path.name for path in folder.iterdir()} == {
        "model.keras",
        "model.onnx",
        "history.csv",
        "curves.png",
        "gallery.png",
    }
    assert checkpoint.exists()
    assert told == [1]

    history = pd.read_csv(folder / "history.csv")
    assert list(history["epoch"]) == [1]
    assert history.drop(columns="epoch").iloc[0].to_dict() == pytest.approx(trained.history[0])

    image = draw(0).image
    expected = predict(trained.model, image)
    np.testing.assert_allclose(
        OnnxNetwork(folder / "model.onnx", margin_px=0)(image), expected, atol=1e-5
    )
    loaded = models.load_model(folder / "model.keras")
    for one, other in zip(loaded.weights, trained.model.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_a_fold_uses_the_images_of_its_roles_only(
    dataset: Path,
    params: Params,
    roles: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class SeenError(Exception):
        pass

    def look(train: list, validation: list, recipe: Recipe, **options: object) -> None:
        assert [example.image_id for example in train] == ["image_0", "image_1"]
        assert [example.image_id for example in validation] == ["image_2"]
        assert options["fold"] == 0
        raise SeenError

    monkeypatch.setattr(cross_validation, "train_fold", look)
    with pytest.raises(SeenError):
        run_fold(
            params, 0, dataset=dataset, roles=roles, folder=tmp_path, checkpoint=tmp_path / "c"
        )


def test_a_fold_that_the_split_does_not_know_is_named(
    dataset: Path, params: Params, roles: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="fold 7: the split has no such fold"):
        run_fold(
            params, 7, dataset=dataset, roles=roles, folder=tmp_path, checkpoint=tmp_path / "c"
        )


def test_a_fold_without_images_to_stop_by_is_named(
    dataset: Path, params: Params, roles: pd.DataFrame, tmp_path: Path
) -> None:
    roles = roles.assign(role_0="train")
    with pytest.raises(InputError, match="fold 0: no image to stop by"):
        run_fold(
            params, 0, dataset=dataset, roles=roles, folder=tmp_path, checkpoint=tmp_path / "c"
        )
