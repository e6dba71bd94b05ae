"""What happened on a worker is told as if it had happened here."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgseg.cluster.attempts import _problem
from sgseg.cluster.spread import Died, Unseen
from sgseg.errors import Problem
from sgseg.inference.predict import Task


def test_an_image_that_kills_workers(tmp_path: Path) -> None:
    problem = _problem(Task(tmp_path / "a.tif", "a"), Died(2))
    assert problem is not None
    assert str(problem).startswith(f"{tmp_path / 'a.tif'}: each worker that began it was killed")
    assert "memory of" not in problem.what
    for_memory = _problem(Task(tmp_path / "a.tif", "a"), Died(2, bytes_used=1_234_567_890))
    assert for_memory is not None
    assert for_memory.what.endswith("2 times when it was alone, for its memory of 1.2 GB")


def test_only_the_worker_cannot_read_it(tmp_path: Path) -> None:
    task = Task(tmp_path / "a.tif", "a")
    there = Unseen("tcp://host:1")
    assert _problem(task, there) == Problem(str(task.path), "No such file or directory")
    task.path.touch()
    problem = _problem(task, there)
    assert problem is not None
    assert problem.what == "the worker tcp://host:1 cannot read it"


def test_files_are_named_as_they_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = Problem(f"{tmp_path}/images/a.tif", f"{tmp_path}/masks/a.tif is empty", "a mask")
    assert _problem(Task(Path("images/a.tif"), "a"), found) == Problem(
        "images/a.tif", "masks/a.tif is empty", "a mask"
    )
    absolute = Task(tmp_path / "images/a.tif", "a")
    assert _problem(absolute, found) == found
    assert _problem(absolute, None) is None
