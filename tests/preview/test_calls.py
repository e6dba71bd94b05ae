"""Programs that a preview calls."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sgseg.errors import InputError
from sgseg.preview.calls import CallError, call, environment


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    assert call(sys.executable, "-c", "print('here')", cwd=tmp_path) == "here\n"


def test_a_failure_says_all_that_was_written(tmp_path: Path) -> None:
    code = "import sys; print('out'); sys.exit('err')"
    with pytest.raises(CallError) as error:
        call(sys.executable, "-c", code, cwd=tmp_path)
    assert error.value.said.split() == ["out", "err"]


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-such-program"):
        call("no-such-program", cwd=tmp_path)


def test_neither_server_nor_repository_of_the_caller_is_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    monkeypatch.setenv("GIT_DIR", "elsewhere")
    seen = environment(Path("clone/src"))
    assert "MLFLOW_TRACKING_URI" not in seen
    assert "GIT_DIR" not in seen
    assert seen["PYTHONPATH"] == str(Path("clone/src"))
    assert seen["PATH"].startswith(str(Path(sys.executable).parent))
