"""Test images that may be used: unchanged, and unseen by both models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from sgseg.errors import InputError
from sgseg.gate.images import check_unchanged, find_test_images, leave_out_seen

from .cases import TestSet, empty, fields, names, write_test_set

FIELDS = fields(4)


@pytest.fixture
def test_set(tmp_path: Path) -> TestSet:
    """Four test images, two of them one group, and a development image of a group with one."""
    return write_test_set(
        tmp_path / "set",
        FIELDS,
        development={"seen": empty(9)},
        groups={"field_1": "plate", "field_2": "plate", "field_3": "well", "seen": "well"},
    )


def test_all_test_images_and_no_others(test_set: TestSet) -> None:
    manifest, images = find_test_images(test_set.dataset, test_set.split)
    assert list(manifest["image_id"]) == ["seen", *FIELDS]
    assert list(images["image_id"]) == list(FIELDS)
    check_unchanged(test_set.dataset, images)
    check_unchanged(test_set.dataset, images, handed_over=test_set.raw)


def test_a_group_of_which_one_image_was_trained_on_is_left_out(test_set: TestSet) -> None:
    manifest, images = find_test_images(test_set.dataset, test_set.split)
    trained_on = {
        "challenger": [test_set.hash("field_1"), "fedcba9876543210"],
        "champion": [test_set.hash("seen"), test_set.hash("field_1"), ""],
    }
    kept, left_out = leave_out_seen(manifest, images, trained_on)
    assert list(kept["image_id"]) == ["field_0"]
    assert {item.image_id: (item.group, item.why) for item in left_out} == {
        "field_1": ("plate", "the challenger was trained on it"),
        "field_2": ("plate", "the challenger was trained on field_1, of the same group"),
        "field_3": ("well", "the champion was trained on seen, of the same group"),
    }
    assert names(left_out) == ["field_1", "field_2", "field_3"]


def test_models_that_saw_nothing_of_it_leave_all(test_set: TestSet) -> None:
    manifest, images = find_test_images(test_set.dataset, test_set.split)
    kept, left_out = leave_out_seen(manifest, images, {"challenger": [], "champion": ["0"]})
    assert list(kept["image_id"]) == list(FIELDS)
    assert left_out == []


def test_a_mirrored_copy_was_seen_as_well(tmp_path: Path) -> None:
    mirrored = tuple(np.ascontiguousarray(part[:, ::-1]) for part in FIELDS["field_0"])
    made = write_test_set(tmp_path / "set", {"mirrored": mirrored, **FIELDS})  # type: ignore[dict-item]
    manifest, images = find_test_images(made.dataset, made.split)
    kept, _ = leave_out_seen(manifest, images, {"champion": [made.hash("field_0")]})
    # Not of one group here: the hash is the same in all orientations.
    assert list(kept["image_id"]) == ["field_1", "field_2", "field_3"]


def test_everything_that_changed_is_named_at_once(test_set: TestSet) -> None:
    images, masks = test_set.dataset / "images", test_set.dataset / "masks"
    pixels, labels = FIELDS["field_0"]
    tifffile.imwrite(images / "field_0.tif", pixels + np.eye(*pixels.shape, dtype=np.uint16))
    smaller = np.where(labels == 8, 0, labels).astype(np.uint16)
    tifffile.imwrite(masks / "field_0.tif", smaller)
    (images / "field_1.tif").write_bytes(b"II*\x00")
    (masks / "field_1.tif").unlink()
    tifffile.imwrite(masks / "field_2.tif", labels[:-1].astype(np.uint16))
    raw = test_set.raw / "few" / "masks"
    # Mirrored: as large, as many and of the same area.
    tifffile.imwrite(raw / "field_3.tif", FIELDS["field_3"][1][:, ::-1].astype(np.uint8))
    # Not every project keeps what was handed over.
    (raw / "field_2.tif").unlink()
    _, rows = find_test_images(test_set.dataset, test_set.split)
    with pytest.raises(InputError, match="Test images are not what they were") as caught:
        check_unchanged(test_set.dataset, rows, handed_over=test_set.raw)
    said = {
        Path(problem.where).relative_to(test_set.root).as_posix(): str(problem)
        for problem in caught.value.problems
    }
    assert list(said) == [
        "dataset/images/field_0.tif",
        "dataset/masks/field_0.tif",
        "dataset/images/field_1.tif",
        "dataset/masks/field_1.tif",
        "dataset/masks/field_2.tif",
        "raw/few/masks/field_3.tif",
    ]
    assert f"{test_set.hash('field_0')}, as in manifest.csv" in said["dataset/images/field_0.tif"]
    # 9 px less of 72 in 60 x 80 = 4800.
    assert "60 x 80 px with 7 granules on a share of 0.013125" in said["dataset/masks/field_0.tif"]
    assert "60 x 80 px with 8 granules on a share of 0.015" in said["dataset/masks/field_0.tif"]
    assert "cannot be read as TIFF" in said["dataset/images/field_1.tif"]
    assert "no such file" in said["dataset/masks/field_1.tif"]
    assert "59 x 80 px" in said["dataset/masks/field_2.tif"]
    assert "dvc checkout data/dataset" in said["dataset/masks/field_2.tif"]
    assert "; expected MD5 " in said["raw/few/masks/field_3.tif"]
    # What the lab handed over is not looked at unless asked for.
    with pytest.raises(InputError) as caught:
        check_unchanged(test_set.dataset, rows)
    assert len(caught.value.problems) == 5


def test_a_mask_of_several_files_has_no_md5_to_compare(test_set: TestSet) -> None:
    _, rows = find_test_images(test_set.dataset, test_set.split)
    (test_set.raw / "few" / "masks" / "field_0.tif").write_bytes(b"another")
    several = rows.assign(mask_md5="")
    check_unchanged(test_set.dataset, several, handed_over=test_set.raw)


def test_an_image_that_the_data_set_does_not_hold(test_set: TestSet) -> None:
    roles = test_set.split / "roles.csv"
    text = roles.read_text(encoding="utf-8")
    roles.write_text(f"{text}gone,gone,test,\nlost,lost,test,\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        find_test_images(test_set.dataset, test_set.split)
    assert [p.where for p in caught.value.problems] == [f"{roles}: gone", f"{roles}: lost"]


@pytest.mark.parametrize("file", ["dataset/manifest.csv", "split/roles.csv"])
def test_a_stage_that_has_not_run(test_set: TestSet, file: str) -> None:
    (test_set.root / file).unlink()
    with pytest.raises(InputError, match=r"no such file\. Run `dvc repro`"):
        find_test_images(test_set.dataset, test_set.split)
