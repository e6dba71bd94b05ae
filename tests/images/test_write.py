"""What is written is read back, and nothing is left half-written."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from sgseg.images import write
from sgseg.images.masks import read_mask
from sgseg.images.read import read_image
from sgseg.images.write import OUTLINE, overlay, replacing, write_labels, write_png

from .examples import two_granules


@pytest.mark.parametrize(
    ("scale", "dtype"), [(1, "uint16"), (30_000, "uint16"), (70_000, "uint32")]
)
@pytest.mark.parametrize("pixel_size_um", [None, 0.108])
def test_labels(tmp_path: Path, scale: int, dtype: str, pixel_size_um: float | None) -> None:
    labels = two_granules().astype(np.int32) * scale
    path = tmp_path / "new" / "a.tif"
    write_labels(path, labels, pixel_size_um=pixel_size_um)
    assert np.array_equal(read_mask(path, rule="labels").labels, labels)
    with tifffile.TiffFile(path) as tif:
        assert tif.pages.first.dtype == np.dtype(dtype)
        assert tif.is_imagej == (dtype == "uint16")
    if dtype == "uint16":
        size = read_image(path).pixel_size_um
        assert size == (None if pixel_size_um is None else pytest.approx(pixel_size_um, rel=1e-6))
    assert [item.name for item in path.parent.iterdir()] == ["a.tif"]


def test_empty_labels_and_one_label(tmp_path: Path) -> None:
    for count in (0, 1):
        labels = (two_granules() == count).astype(np.int32) * count
        write_labels(tmp_path / "a.tif", labels)
        assert np.array_equal(read_mask(tmp_path / "a.tif").labels, labels)


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.tif", two_granules(), pixel_size_um=0.2)
    write_labels(tmp_path / "b.tif", two_granules(), pixel_size_um=0.2)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_wrong_labels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="negative"):
        write_labels(tmp_path / "a.tif", -two_granules().astype(np.int32))
    with pytest.raises(ValueError, match="expected"):
        write_labels(tmp_path / "a.tif", np.zeros((2, 3, 4), dtype=np.int32))
    assert not list(tmp_path.iterdir())


def test_replacing_keeps_the_old_file_if_something_goes_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_text() == "old"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.tifffile, "imwrite", full)
    with pytest.raises(OSError, match="No space left"):
        write_labels(tmp_path / "a.tif", two_granules())
    assert not list(tmp_path.iterdir())


def test_overlay_marks_the_outermost_pixels_and_nothing_else() -> None:
    labels = np.zeros((9, 9), dtype=np.int32)
    labels[2:6, 2:6] = 1
    image = np.arange(81, dtype=np.uint16).reshape(9, 9)
    rgb = overlay(image, labels)
    marked = (rgb == OUTLINE).all(axis=-1)
    # A square of 4 x 4 has 16 - 2 x 2 = 12 pixels on its edge.
    assert marked.sum() == 12
    assert not marked[3:5, 3:5].any()
    gray = rgb[~marked]
    assert (gray == gray[:, :1]).all()
    assert rgb[0, 0, 0] == 0
    assert rgb[8, 8, 0] == 255


def test_overlay_of_touching_objects_and_of_a_flat_image() -> None:
    labels = np.zeros((9, 9), dtype=np.int32)
    labels[1:8, 1:4], labels[1:8, 4:8] = 1, 2
    rgb = overlay(np.full((9, 9), 7, dtype=np.uint8), labels)
    assert (rgb[4, 3:5] == OUTLINE).all()
    assert not rgb[0, 0].any()
    with pytest.raises(ValueError, match="expected the same"):
        overlay(np.zeros((3, 3)), labels)


def test_png(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", rgb)
    assert np.array_equal(np.asarray(Pillow.open(tmp_path / "a.png")), rgb)
    write_png(tmp_path / "b.png", rgb[..., 0])
    assert np.array_equal(np.asarray(Pillow.open(tmp_path / "b.png")), rgb[..., 0])


def test_a_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="No space") as caught, replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
