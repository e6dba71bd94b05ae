"""Files that are written have the rights that the user's umask leaves, and no others."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sgseg.images.write import replacing

from .cases import CASES
from .faults import run


@pytest.mark.parametrize("name", ["predict", "quantify", "import", "simulate"])
def test_all_that_a_command_writes(tmp_path: Path, name: str) -> None:
    case = CASES[name]

    def command() -> None:
        os.umask(0o027)
        os.chdir(tmp_path)
        case.prepare(tmp_path)
        case.command()

    ended = run(command, tmp_path)
    assert ended.status == 0, ended.said
    written = [path for out in case.outputs for path in (tmp_path / out).rglob("*")]
    assert len(written) > 3
    rights = {
        path.relative_to(tmp_path).as_posix(): oct(stat.S_IMODE(path.stat().st_mode))
        for path in written
        # A lock may be everybody's: it holds nothing.
        if path.suffix != ".lock" and path.name != ".lock"
    }
    wrong = {
        path: mode
        for path, mode in rights.items()
        if mode != ("0o750" if (tmp_path / path).is_dir() else "0o640")
    }
    assert wrong == {}


def test_the_umask_is_never_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the whole process's: meanwhile, another thread's files would be open to all."""
    monkeypatch.setattr(os, "umask", lambda _: 1 // 0)
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


@pytest.mark.parametrize("letter", ["a", "é", "漢", "🔬"])
def test_the_longest_name_that_a_file_can_have(tmp_path: Path, letter: str) -> None:
    path = tmp_path / (letter * (251 // len(letter.encode())) + ".tif")
    with replacing(path) as temporary:
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"


def test_a_name_that_is_taken_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link under the temporary name would lead the content to where somebody wants it."""
    names = iter(["0" * 8, "1" * 8])
    monkeypatch.setattr("sgseg.images.write.secrets.token_hex", lambda _: next(names))
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / f".a.txt.{'0' * 8}.part").symlink_to(elsewhere)
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert not elsewhere.exists()
