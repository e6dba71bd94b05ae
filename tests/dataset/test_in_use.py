"""A data set is not swapped under a stage that DVC runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dvc.lock
import pytest
from lab_project import IDENTITY, commit_all, make_project, tree, write_folder

from sgseg.dataset.add import carry_out, plan_addition
from sgseg.dataset.importer import import_folder
from sgseg.dataset.in_use import held, refuse_in_use
from sgseg.dataset.placing import placing
from sgseg.errors import InputError

NOBODY = 4194305
"""No process has this id."""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """data/raw/mine of a project with a folder of DVC's, which is all that is looked at."""
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/config").touch()
    folder = tmp_path / "data/raw/mine"
    folder.mkdir(parents=True)
    (folder / "old").touch()
    return folder


def note(target: Path, kind: str, place: Path, process: int) -> None:
    """Write what DVC writes while a stage runs."""
    info = {"pid": process, "cmd": "dvc repro"}
    content = {"read": {}, "write": {}} | {kind: {str(place): [info] if kind == "read" else info}}
    (target.parents[2] / ".dvc/tmp/rwlock").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest.mark.parametrize("place", ["data/raw/mine", "data/raw/mine/images", "data/raw"])
def test_who_is_at_it_is_named(target: Path, kind: str, place: str) -> None:
    note(target, kind, target.parents[2] / place, os.getpid())
    with (
        pytest.raises(InputError, match=rf"in use by `dvc repro` \(process {os.getpid()}\)"),
        placing(target),
    ):
        raise AssertionError("not reached")
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in target.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize("place", ["data/raw/mine2", "data/raw/other", "data/dataset"])
def test_what_others_read_does_not_matter(target: Path, place: str) -> None:
    note(target, "read", target.parents[2] / place, os.getpid())
    refuse_in_use(target)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"read": {"a": [{}]}}', '{"write": {"a": 1}}'])
def test_a_dead_process_and_a_damaged_note_count_for_nothing(target: Path, text: str) -> None:
    note(target, "read", target, NOBODY)
    refuse_in_use(target)
    (target.parents[2] / ".dvc/tmp/rwlock").write_text(text, encoding="utf-8")
    refuse_in_use(target)


def test_who_begins_while_files_are_copied_is_seen(target: Path) -> None:
    copying = placing(target)
    new = copying.__enter__()
    (new / "new").touch()
    note(target, "read", target, os.getpid())
    with pytest.raises(InputError, match="in use"):
        copying.__exit__(None, None, None)
    assert [path.name for path in target.iterdir()] == ["old"]


def test_no_dvc_command_begins_in_the_moment_of_the_swap(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc.lock, "DEFAULT_TIMEOUT", 0.05)
    lock = dvc.lock.make_lock(str(target.parents[2] / ".dvc/tmp/lock"))
    with held(target), pytest.raises(dvc.lock.LockError):
        lock.lock()
    # Nor is anything swapped while one is at work.
    with (
        lock,
        pytest.raises(InputError, match="a DVC command is at work"),
        placing(target) as new,
    ):
        (new / "new").touch()
    assert [path.name for path in target.iterdir()] == ["old"]
    with placing(target) as new:
        (new / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]


def test_without_dvc_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with held(tmp_path / "data/raw/mine"):
        assert not list(tmp_path.iterdir())


SLOW = """\
import pathlib, shutil, time
pathlib.Path("running").touch()
while not pathlib.Path("go on").exists():
    time.sleep(0.05)
shutil.copytree("data/raw/mine/images", "data/dataset")
"""


@pytest.fixture
def repro(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A project whose stage `ingest` is at work until there is a file `go on`."""
    root = make_project(tmp_path / "project", with_dvc=True)
    (root / "slow.py").write_text(SLOW, encoding="utf-8")
    (root / "dvc.yaml").write_text(
        f"stages:\n  ingest:\n    cmd: {sys.executable} slow.py\n"
        "    deps: [data/raw/mine]\n    outs: [data/dataset]\n",
        encoding="utf-8",
    )
    commit_all(root, "stage")
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--quiet"],
        cwd=root,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        text=True,
    )
    until = time.monotonic() + 60
    while not (root / "running").exists() and time.monotonic() < until:
        time.sleep(0.05)
    yield root, process
    (root / "go on").touch()
    process.wait(timeout=60)


def test_new_images_wait_for_a_running_pipeline(
    repro: tuple[Path, subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in IDENTITY.items():
        monkeypatch.setenv(key, value)
    root, process = repro
    folder = write_folder(tmp_path / "more", range(11, 13))
    addition = plan_addition(folder, images="images", masks="masks", root=root)
    before = tree(root / "data")
    named = rf"is in use by `.*dvc.* repro --quiet` \(process {process.pid}\)"
    with pytest.raises(InputError, match=named):
        carry_out(addition)
    with pytest.raises(InputError, match=named):
        import_folder(folder, images="images", masks="masks", name="mine", root=root, replace=True)
    assert tree(root / "data") == before
    (root / "go on").touch()
    assert process.wait(timeout=60) == 0
    assert carry_out(addition).commit
    shutil.rmtree(root / "data/dataset")
    # The run cache has the old images under the old data, not under the new.
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=root, check=True, env=os.environ
    )
    assert done.returncode == 0
    assert len(list((root / "data/dataset").iterdir())) == 10
