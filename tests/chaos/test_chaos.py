"""Faults cost nothing, in short; `python tests/chaos/long.py` injects 500."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from .cases import CASES
from .faults import DENIED, FULL, KILL, run
from .files import content, damage
from .trial import trial

QUICK = ("predict", "import")


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_costs_nothing(tmp_path: Path, name: str) -> None:
    rng = random.Random(name)
    with trial(name, CASES[name], tmp_path / "chaos") as undisturbed:
        assert undisturbed.operations > 3
        losses = [loss for _ in range(4) for loss in undisturbed.fault(rng)]
        if CASES[name].mends:
            losses += [loss for _ in range(2) for loss in undisturbed.truncated(rng)]
    assert losses == []


# --- the faults themselves


def three_files(folder: Path) -> None:
    for number in range(3):
        (folder / f"{number}.txt").write_text("whole")


def test_undisturbed(tmp_path: Path) -> None:
    ended = run(lambda: three_files(tmp_path), tmp_path)
    assert (ended.status, ended.operations) == (0, 3)
    assert len(content(tmp_path)) == 3


def test_killed_before_the_second_operation(tmp_path: Path) -> None:
    ended = run(lambda: three_files(tmp_path), tmp_path, at=2, kind=KILL)
    assert ended.status == -9
    assert content(tmp_path).keys() == {"0.txt"}


@pytest.mark.parametrize(("kind", "number"), [(FULL, errno.ENOSPC), (DENIED, errno.EACCES)])
def test_an_operation_that_fails(tmp_path: Path, kind: str, number: int) -> None:
    ended = run(lambda: three_files(tmp_path), tmp_path, at=2, kind=kind)
    assert ended.status == 1
    assert not ended.cleanly
    assert os.strerror(number) in ended.said
    assert content(tmp_path).keys() == {"0.txt"}


def test_files_elsewhere_do_not_count(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    assert run(lambda: three_files(tmp_path), watched, at=1).status == 0


def test_a_damaged_file(tmp_path: Path) -> None:
    three_files(tmp_path)
    before = content(tmp_path)
    damage(tmp_path, random.Random(0))
    after = content(tmp_path)
    assert sum(before[path] != after[path] for path in before) == 1


def test_a_half_written_file_is_a_loss(tmp_path: Path) -> None:
    """A command that writes under the final name is found out."""

    def careless() -> None:
        with Path("out/a.txt").open("w") as file:
            file.write("half")
            file.flush()
            Path("out/b.txt").write_text("then the rest")
            file.write("whole")

    case = CASES["import"].__class__(lambda folder: (folder / "out").mkdir(), careless, ("out",))
    with trial("careless", case, tmp_path / "chaos") as undisturbed:
        losses = [loss for n in range(20) for loss in undisturbed.fault(random.Random(n))]
    assert any("out/a.txt is half-written" in loss.what for loss in losses)
