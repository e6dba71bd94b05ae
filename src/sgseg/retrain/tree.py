"""The private copy of a commit that a retrain works in: below .dvc/tmp, never the user's files.

It is a repository of its own which shares git's objects and DVC's cache with the project. As long
as a retrain is unfinished it stays, with the checkpoints of its stages.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

import psutil

from sgseg.retrain.dvc import Dvc
from sgseg.retrain.environment import MARK
from sgseg.retrain.git import GitError, Repository

PLACE = ".dvc/tmp/retrain"
KEPT = "checkpoints"
"""What stages go on from. They look for their own by a digest of all that shapes it, so it may come
from a copy of another commit, or from a cache of CI without one.
"""
PAUSE_SECONDS = 1.0
logger = logging.getLogger(__name__)


def place(project: Path) -> Path:
    """The top of the copy."""
    return project / PLACE


def at_commit(repository: Repository, commit: str, dvc: Dvc) -> Path:
    """The project's root in a copy of a commit; the copy that a killed retrain left, if it is one.

    Parameters
    ----------
    repository, dvc
        Of the project.

    Raises
    ------
    InputError
        git or DVC cannot make it.
    """
    top = place(repository.root)
    root = top / repository.prefix()
    if not _is_restored(top, commit):
        part = _make(repository, _unfinished(top), commit)
        if (root / KEPT).is_dir():
            (root / KEPT).rename(part / root.relative_to(top) / KEPT)
        if top.exists():
            shutil.rmtree(top)
        part.rename(top)
    # The registry asks whether a commit is merged.
    (top / ".git/packed-refs").write_text(repository.refs("refs/heads", "refs/remotes"), "utf-8")
    # Each time: remotes and the right to them may have been mended since.
    dvc.share(root)
    return root


def remove(project: Path) -> None:
    """Let it be no more."""
    top = place(project)
    for folder in (top, _unfinished(top)):
        if folder.exists():
            shutil.rmtree(folder)


def wait_for_left_over(project: Path) -> None:
    """Wait for the stages that a killed retrain left running: they still write."""
    said: list[int] = []
    while found := _left_over(place(project)):
        if found != said:
            numbers = ", ".join(map(str, found))
            logger.info("A killed retrain has left processes running; waiting for %s", numbers)
            said = found
        time.sleep(PAUSE_SECONDS)


def _left_over(top: Path) -> list[int]:
    """By the environment they were started in: DVC closes all files, so no lock tells of them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == str(top):
                found += [process.pid] * (process.status() != psutil.STATUS_ZOMBIE)
        except (psutil.Error, OSError):
            continue  # somebody else's, or gone
    return found


def _in(top: Path, *arguments: str) -> str:
    """A git command in the copy, and never in the repository around it."""
    return Repository(top).run(f"--git-dir={top / '.git'}", f"--work-tree={top}", *arguments)


def _is_restored(top: Path, commit: str) -> bool:
    """Let a copy of this commit be as at the commit, but for what git ignores; whether it is."""
    try:
        for lock in (top / ".git").glob("*.lock"):
            lock.unlink()
        if not top.is_dir() or _in(top, "rev-parse", "HEAD").strip() != commit:
            return False
        # A stage that had finished comes back from DVC's cache of runs, whatever dvc.lock says.
        _in(top, "reset", "--quiet", "--hard", commit)
        _in(top, "clean", "--quiet", "-ffd")
    except (GitError, OSError):
        return False
    return True


def _make(repository: Repository, part: Path, commit: str) -> Path:
    if part.exists():
        shutil.rmtree(part)
    repository.run("init", "--quiet", "--template=", str(part))
    information = part / ".git/objects/info"
    information.mkdir(parents=True, exist_ok=True)
    (information / "alternates").write_text(f"{repository.path('objects')}\n", encoding="utf-8")
    shallow = repository.path("shallow")
    if shallow.is_file():
        shutil.copyfile(shallow, part / ".git/shallow")
    # No hook: DVC's own would check out data, and others may push.
    settings = {"core.hooksPath": os.devnull, "core.fsmonitor": "false", "gc.auto": "0"}
    for name in ("user.name", "user.email", "core.autocrlf", "core.eol"):
        value = repository.ask("config", name)
        settings |= {name: value} if value else {}
    for name, value in settings.items():
        _in(part, "config", name, value)
    _in(part, "checkout", "--quiet", "--force", "--detach", commit)
    return part


def _unfinished(top: Path) -> Path:
    return top.with_name(f"{top.name}.part")
