"""A folder of results is whole, or as it was."""

from __future__ import annotations

import os
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


def test_killed_between_the_two_renames_the_earlier_folder_comes_back(tmp_path: Path) -> None:
    out, old = tmp_path / "out", tmp_path / ".out.old"
    old.mkdir()
    (old / "a").write_text("earlier")

    def fail() -> None:
        with replacing_folder(out):
            assert (out / "a").read_text() == "earlier"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (out / "a").read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_earlier_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", Path.rename
    out.mkdir()
    (out / "a").write_text("earlier")

    def fail(self: Path, target: Path) -> Path:
        if self.name.startswith(".out.part"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="No space"), replacing_folder(out):
        pass
    assert (out / "a").read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_at_once(tmp_path: Path) -> None:
    """What another process that lives has begun is not taken from it."""
    out = tmp_path / "out"
    others = tmp_path / f".out.part-{os.getppid()}"
    others.mkdir()
    with replacing_folder(out) as folder:
        (folder / "a").touch()
    assert others.is_dir()
    assert contents(out) == {"a": ""}
