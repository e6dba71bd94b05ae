"""A folder of results is whole, or as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgseg.dataset.folders import replacing_folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_new_folder_takes_the_place_of_the_old(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ("old", "new"):
        with replacing_folder(out) as folder:
            (folder / text).write_text(text)
    assert contents(out) == {"new": "new"}
    assert list(tmp_path.iterdir()) == [out]


def test_an_error_leaves_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with replacing_folder(out) as folder:
        (folder / "old").write_text("old")

    def fail() -> None:
        with replacing_folder(out) as folder:
            (folder / "new").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert contents(out) == {"old": "old"}
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "half").touch()
    with replacing_folder(out) as folder:
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == [out]
