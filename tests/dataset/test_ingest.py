"""From raw files to the canonical data set."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as Pillow
from scipy import ndimage

from sgseg.dataset import ingest as module
from sgseg.dataset.importer import import_folder
from sgseg.dataset.ingest import describe_image, describe_mask, ingest
from sgseg.dataset.manifest import (
    read_canonical_image,
    read_canonical_labels,
    read_manifest,
    shown_channels,
)
from sgseg.errors import InputError
from sgseg.images.masks import Mask
from sgseg.images.read import Image

from .lab import cell, granules, write_raw


def take_in(raw: Path, out: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    ingest(raw, out, copy_correlation=0.95, near_correlation=0.85, object_iou=0.3)
    copies = json.loads((out / "copies.json").read_text(encoding="utf-8"))
    return read_manifest(out).set_index("image_id"), copies


def every_file(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_pixels_and_labels_are_those_of_the_files(tmp_path: Path) -> None:
    images = {"1 (2)": cell(1), "day 1/ä": cell(2).astype(np.uint16) * 200}
    masks = {"1 (2)": granules((10, 10), (30, 40)), "day 1/ä": granules()}
    raw = write_raw(tmp_path, images, masks, pixel_size_um=0.2)
    frame, _ = take_in(raw, tmp_path / "out")
    assert list(frame.index) == ["1 (2)", "day 1__ä"]
    for name, stored in zip(images, frame.index, strict=True):
        assert np.array_equal(read_canonical_image(tmp_path / "out", stored), images[name])
        labels = read_canonical_labels(tmp_path / "out", stored)
        assert np.array_equal(labels > 0, masks[name] > 0)
    assert list(frame["dtype"]) == ["uint8", "uint16"]
    # Two granules of 4 x 4 px in 64 x 64.
    assert frame.loc["1 (2)", "foreground_fraction"] == pytest.approx(32 / 64**2)
    assert list(frame["n_objects"]) == [2, 0]
    assert list(frame["pixel_size_um"]) == [0.2, 0.2]
    assert list(frame["image_file"]) == ["images/1 (2).tif", "images/day 1/ä.tif"]
    digest = hashlib.md5((raw / "masks" / "1 (2).tif").read_bytes()).hexdigest()
    assert frame.loc["1 (2)", "mask_md5"] == digest


def test_a_second_channel_is_kept_beside_the_granules(tmp_path: Path) -> None:
    both = np.stack([cell(1), cell(2)])
    raw = write_raw(tmp_path, {"a": both, "gray": cell(3)}, channel=0)
    out = tmp_path / "out"
    options = {"copy_correlation": 0.95, "near_correlation": 0.85, "object_iou": 0.3}
    ingest(raw, out, **options, second_channel=1)
    frame = read_manifest(out).set_index("image_id")
    assert frame.loc["a", "second_channel"] == "channel 1"
    assert np.array_equal(read_canonical_image(out, "a"), both[0])
    assert np.array_equal(read_canonical_image(out, "a", channels=2), np.moveaxis(both, 0, -1))
    assert shown_channels(out) == 2
    # It is in the data set with all of it or not at all.
    assert frame.loc["gray", "problem"].startswith("images/gray.tif: no channel 1; expected one of")
    assert not (out / "images" / "gray.tif").exists()
    ingest(raw, out, **options)
    assert list(read_manifest(out)["second_channel"]) == ["", ""]
    assert shown_channels(out) == 1
    with pytest.raises(InputError, match=r"second/a\.tif: no such file.*ingest\.second_channel"):
        read_canonical_image(out, "a", channels=2)


def test_same_input_same_bytes(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, {"a": cell(1), "b": cell(1)[::-1], "c": cell(2)})
    for out in ("one", "two"):
        take_in(raw, tmp_path / out)
    one, two = (every_file(tmp_path / out) for out in ("one", "two"))
    assert one == two
    assert set(one) == {
        *("manifest.csv", "copies.json"),
        *(f"{kind}/{name}.tif" for kind in ("images", "masks") for name in "abc"),
    }


def test_numbers_of_an_image_by_hand() -> None:
    # 12 bits end at 4095; 2 of 8 pixels are there. Median of 0 0 0 1 2 3 4095 4095 is 1.5.
    pixels = np.array([[0, 0, 0, 1], [2, 3, 4095, 4095]], np.uint16)
    row = describe_image(Image(pixels, 12, None, "gray"))
    assert (row["minimum"], row["maximum"], row["p50"]) == (0, 4095, 1.5)
    assert row["mean"] == pytest.approx((1 + 2 + 3 + 2 * 4095) / 8)
    assert row["saturated_fraction"] == pytest.approx(2 / 8)
    assert (row["height"], row["width"]) == (2, 4)


def test_the_top_of_a_float_image_is_its_maximum() -> None:
    pixels = np.array([[0, 0.5, 1, 1]], np.float32)
    assert describe_image(Image(pixels, 32, None, "gray"))["saturated_fraction"] == 0.5


def test_objects_are_labels_not_pieces() -> None:
    labels = np.array([[5, 0, 5, 0, 9]], np.int32)
    row = describe_mask(Mask(labels, "labels"))
    assert (row["n_objects"], row["foreground_fraction"]) == (2, 3 / 5)


def test_files_that_cannot_be_used_are_rows_that_say_why(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, {name: cell(number) for number, name in enumerate("abcdef")})
    (raw / "images" / "a.tif").write_bytes(b"")
    (raw / "masks" / "b.tif").write_bytes((raw / "masks" / "b.tif").read_bytes()[:300])
    (raw / "masks" / "c.tif").unlink()
    (raw / "images" / "d.tif").unlink()
    tifffile.imwrite(raw / "masks" / "e.tif", granules(size=60))
    frame, _ = take_in(raw, tmp_path / "out")
    assert frame.loc["a", "problem"].startswith("images/a.tif: empty file (0 bytes)")
    assert frame.loc["b", "problem"].startswith("masks/b.tif: ")
    assert frame.loc["c", "problem"].startswith("images/c.tif: image without mask")
    assert frame.loc["d", "problem"].startswith("masks/d.tif: mask without image")
    # Of what could be read the numbers are there.
    assert np.isnan(frame.loc["a", "height"])
    assert frame.loc["a", "n_objects"] == 1
    assert frame.loc["c", "height"] == 64
    # A mask of another size is for `validate` to say; it is not in the data set.
    assert frame.loc["e", "problem"] == ""
    assert frame.loc["e", ["height", "mask_height"]].tolist() == [64, 60]
    written = {path.stem for path in (tmp_path / "out" / "images").iterdir()}
    assert written == {"e", "f"}
    assert {path.stem for path in (tmp_path / "out" / "masks").iterdir()} == {"f"}


def test_all_problems_of_one_image(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, {"a": cell(1), "b": cell(2)})
    (raw / "images" / "a.tif").write_bytes(b"nothing")
    (raw / "masks" / "a.tif").write_bytes(b"")
    (raw / "samples.csv").write_text("image,condition\nb,x\n")
    frame, _ = take_in(raw, tmp_path / "out")
    files = [text.partition(": ")[0] for text in frame.loc["a", "problem"].split(" | ")]
    assert files == ["images/a.tif", "images/a.tif", "masks/a.tif"]


def test_copies_become_one_group_and_their_masks_the_ceiling(tmp_path: Path) -> None:
    # b is a mirrored; its mask is mirrored too, one granule of two moved by 2 of its 4 px.
    #   pixels: both 16 + 8, only one 8, only other 8: IoU 24 / 40, Dice 48 / 64
    #   objects: 1 and 8 / 24 = 1/3, both above 0.3: F1 1
    # c has the pixels and the mask of a: identical masks are no second opinion.
    images = {"a": cell(1), "b": cell(1)[:, ::-1], "c": cell(1), "d": cell(2), "e": cell(3)}
    masks = {
        "a": granules((10, 10), (30, 30)),
        "b": granules((10, 10), (30, 32))[:, ::-1],
        "c": granules((10, 10), (30, 30)),
    }
    raw = write_raw(tmp_path, images, masks)
    frame, copies = take_in(raw, tmp_path / "out")
    assert list(frame["group"]) == ["a", "a", "a", "d", "e"]
    assert frame["pixel_hash"].nunique() == 3
    assert copies["groups"] == [["a", "b", "c"]]
    assert copies["ceiling"] == {
        "pairs": 2,
        "iou": pytest.approx(24 / 40),
        "dice": pytest.approx(48 / 64),
        "object_f1": 1.0,
        "object_iou": 0.3,
    }
    found = {(pair["a"], pair["b"]): pair for pair in copies["pairs"]}
    assert set(found) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert found["a", "b"]["transform"] == 4
    assert found["a", "c"]["identical_masks"]
    assert not found["a", "b"]["identical_masks"]
    assert {pair["kind"] for pair in copies["pairs"]} == {"copy"}


def test_near_copies_share_a_group_but_not_the_ceiling(tmp_path: Path) -> None:
    # Of two textures of variance 1, 0.9 of the one and 0.436 of the other (0.9^2 + 0.436^2 = 1)
    # correlate to 0.9 with the first: a cell in another focal plane.
    rng = np.random.default_rng(0)
    one, two, three = (ndimage.gaussian_filter(rng.normal(size=(64, 64)), 2.5) for _ in range(3))
    fields = {"a": one, "b": 0.9 * one + 0.436 * two, "c": three}
    images = {
        name: np.clip(120 + 30 * field / one.std(), 0, 255).astype(np.uint8)
        for name, field in fields.items()
    }
    raw = write_raw(tmp_path, images)
    frame, copies = take_in(raw, tmp_path / "out")
    assert list(frame["group"]) == ["a", "a", "c"]
    (pair,) = copies["pairs"]
    assert pair["kind"] == "near"
    assert 0.85 <= pair["correlation"] < 0.95
    assert pair["iou"] is not None
    assert copies["ceiling"] is None


def test_declared_groups_and_what_binds_them(tmp_path: Path) -> None:
    raw = write_raw(
        tmp_path, {"a": cell(1), "b": cell(1), "c": cell(2), "d": cell(3), "e": cell(4)}
    )
    (raw / "samples.csv").write_text(
        "image,group,condition,replicate\n"
        "a,well 1,NA,1\nb,well 2,NA,1\nc,well 2,control,2\nd,well 3,control,2\ne,well 1,NA,1\n"
    )
    (raw / "images" / "e.tif").write_bytes(b"")
    frame, _ = take_in(raw, tmp_path / "out")
    # a and b are copies: wells 1 and 2 are one group, with the unreadable image of well 1.
    assert list(frame["group"]) == [*["well 1+well 2"] * 3, "well 3", "well 1+well 2"]
    assert list(frame["declared_group"]) == ["well 1", "well 2", "well 2", "well 3", "well 1"]
    assert list(frame["condition"]) == ["NA", "NA", "control", "control", "NA"]


def test_pixel_size_of_table_before_settings_before_file(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, {"a": cell(1), "b": cell(2)}, pixel_size_um=0.2)
    (raw / "samples.csv").write_text("image,pixel_size_um\na,0.1\nb,\n")
    frame, _ = take_in(raw, tmp_path / "out")
    assert list(frame["pixel_size_um"]) == [0.1, 0.2]


def test_interrupted_nothing_is_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write_raw(tmp_path, {"a": cell(1), "b": cell(2)})
    take_in(raw, tmp_path / "out")
    before = every_file(tmp_path / "out")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(module, "write_manifest", full)
    with pytest.raises(OSError, match="No space left"):
        take_in(raw, tmp_path / "out")
    assert every_file(tmp_path / "out") == before
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out"}


def test_jpeg_copies_of_other_depth(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, {"a": cell(1).astype(np.uint16) * 256, "b": cell(2)})
    (raw / "images" / "b.tif").unlink()
    Pillow.fromarray(np.rot90(cell(1))).save(raw / "images" / "b.jpg", quality=80)
    frame, _ = take_in(raw, tmp_path / "out")
    assert list(frame["group"]) == ["a", "a"]


@pytest.mark.skipif("SGSEG_REAL_DATA" not in os.environ, reason="SGSEG_REAL_DATA is not set")
def test_real_cells_and_their_label_ceiling(tmp_path: Path) -> None:
    cells = Path(os.environ["SGSEG_REAL_DATA"], "sg_cells")
    raw = import_folder(cells, images="unlabel", masks="label", name="cells", root=tmp_path)
    frame, copies = take_in(raw, tmp_path / "out")
    assert (len(frame), frame["group"].nunique()) == (87, 60)
    assert not frame["problem"].any()
    # Published for the full set: IoU 0.54, Dice 0.70, object F1 0.88.
    ceiling = copies["ceiling"]
    assert ceiling["pairs"] == 26
    assert ceiling["iou"] == pytest.approx(0.528, abs=0.001)
    assert ceiling["dice"] == pytest.approx(0.682, abs=0.001)
    assert ceiling["object_f1"] == pytest.approx(0.902, abs=0.001)
