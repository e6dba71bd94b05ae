"""Names and order of files; nothing is opened."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from sgseg.errors import InputError
from sgseg.images.files import find_images, image_id, natural_key, stem


def test_find_images_in_natural_order_and_in_subfolders(tmp_path: Path) -> None:
    names = ["b/cell 2.TIF", "b/cell 10.png", "1 (10).jpg", "1 (2).JPEG", "a.bmp", "é.tiff"]
    others = ["._a.png", ".hidden/a.png", "notes.txt", "b/Thumbs.db", "a.roi"]
    for name in names + others:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == ["1 (2).JPEG", "1 (10).jpg", "a.bmp", "b/cell 2.TIF", "b/cell 10.png", "é.tiff"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").touch()
    (folder / "round").symlink_to(folder)
    assert [path.name for path in find_images(folder)] == ["a.png"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_images(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not a folder"):
        find_images(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1 (10).jpg", "1 (10)"),
        ("a.ome.tif", "a"),
        ("a.OME.TIFF", "a"),
        ("a.ome.png", "a.ome"),
        ("field.1.tif", "field.1"),
        ("e\u0301.png", "\u00e9"),
        ("\u00e9.png", "\u00e9"),
    ],
)
def test_stem(name: str, expected: str) -> None:
    assert stem(PurePosixPath(name)) == expected


def test_image_id() -> None:
    assert image_id(PurePosixPath("day 1/e\u0301/a.ome.tif")) == "day 1__\u00e9__a"


def test_natural_key_compares_numbers_with_letters() -> None:
    names = ["b", "a10", "a2", "2", "10", "a"]
    ordered = sorted(names, key=lambda name: natural_key(PurePosixPath(name)))
    assert ordered == ["2", "10", "a", "a2", "a10", "b"]
