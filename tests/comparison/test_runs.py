"""What a name stands for, and what is said where it stands for nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sgseg.comparison.runs import find, find_both
from sgseg.errors import InputError
from sgseg.registry.evaluated import BUNDLE
from sgseg.registry.models import CHAMPION, MODEL, open_registry
from sgseg.tracking.store import StoreError

from .conftest import Lab
from .lab import A, B, csv_of, write


@pytest.mark.parametrize("name", ["{id}", "{id:.8}", "cv unet-bce_dice-adam aaaa111", "aaaa111"])
def test_a_run_by_its_id_its_beginning_its_name_and_its_digest(lab: Lab, name: str) -> None:
    found = find(name.format(id=lab.a), lab.root)
    assert found.run_id == lab.a
    assert found.fold is None
    assert sorted(found.table["image_id"]) == sorted(image.image_id for image in A)
    assert found.params["train.epochs"] == "60"
    assert found.params["threshold"] == "0.4"
    assert found.data == {"simulated": "d" * 32 + ".dir"}
    assert found.origin == {"commit": "f" * 40, "code": "9" * 32}


@pytest.mark.parametrize("name", ["aaaa111/1", "cv unet-bce_dice-adam aaaa111/fold 1"])
def test_a_fold_shows_the_table_of_its_cross_validation(lab: Lab, name: str) -> None:
    found = find(name, lab.root)
    assert found.fold == 1
    assert found.run_id not in {lab.a, ""}
    assert found.name == "cv unet-bce_dice-adam aaaa111, fold 1"
    assert len(found.table) == len(A)


def test_a_folder_and_the_root_of_a_checkout(tmp_path: Path) -> None:
    folder = write(tmp_path, "dddd444", B, train__epochs=10)
    for name in (folder, tmp_path):
        found = find(str(name), tmp_path / "no project")
        assert found.run_id == ""
        assert found.params["train.epochs"] == "10"
        assert found.params["minimum area (px)"] == "8"
        assert found.name.startswith("cv unet-bce_dice-adam dddd444")


def test_a_table_alone_will_do(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text(csv_of(A))
    found = find(str(tmp_path))
    assert len(found.table) == len(A)
    assert found.params == {}


def test_the_run_of_a_registered_version(lab: Lab, tmp_path: Path) -> None:
    # A copy: the registry of the others stays empty. Artifacts are where the original is.
    shutil.copy(lab.root / "mlflow.db", tmp_path)
    client = open_registry(tmp_path, "sgseg").client
    # Out of fold in A: TP 8 + 6 + 5, FP 2 + 5, FN 2 + 4 + 5: F1 = 38 / (38 + 7 + 11) = 0.6786.
    for score in ("0.6786", "0.6000"):
        tags = {BUNDLE: "b" * 32, "sgseg.score.oof_object_f1": score}
        client.create_model_version(MODEL, str(tmp_path), run_id=lab.a, tags=tags)
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    for name in ("champion", "models:/sgseg@champion", "models:/sgseg/1"):
        found = find(name, tmp_path)
        assert found.run_id == lab.a
        assert found.name == "version 1, cv unet-bce_dice-adam aaaa111"
        assert found.notes == ()
    (note,) = find("models:/sgseg/2", tmp_path).notes
    assert "evaluated again since it was registered (object F1 0.6000 then, 0.6786 now)" in note
    with pytest.raises(InputError, match=r"versions 1, 2; aliases champion \(1\)"):
        find("challenger", tmp_path)
    with pytest.raises(InputError, match="not the name of a model"):
        find("models:sgseg", tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("trial 0", "a trial keeps its scores, and none per image"),
        ("tune x 5", "a search keeps scores of its trials, and none per image"),
        ("cccc333", r"it has no report/images\.csv.*sgseg track"),
        ("fold 0", "3 runs of .* are called so"),
        ("cv unet-bce_dice-adam aaaa112", r"no such run.*Is it `cv unet-bce_dice-adam aaaa111`"),
        ("entirely different", "no such run.*The newest are"),
        ("it's", "no such run"),
        ("", "no such run"),
        ("champion", "no model 'sgseg' is registered here"),
    ],
)
def test_what_cannot_be_compared(lab: Lab, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find(name, lab.root)


def test_all_that_is_wrong_is_named_at_once(lab: Lab) -> None:
    with pytest.raises(InputError) as caught:
        find_both("trial 0", "nobody", lab.root)
    assert [problem.where.split()[0] for problem in caught.value.problems] == ["trial", "nobody"]


def test_the_same_twice(lab: Lab) -> None:
    with pytest.raises(InputError, match="both are cv unet-bce_dice-adam aaaa111"):
        find_both("aaaa111", lab.a, lab.root)


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        find("aaaa111", tmp_path)
    with pytest.raises(InputError, match=r"no images\.csv here"):
        find(str(tmp_path), tmp_path)
