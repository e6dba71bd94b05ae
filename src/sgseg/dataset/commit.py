"""One git commit of some files, and of nothing else that is staged or changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Commit:
    """A commit that was made (`name`, abbreviated), or why it was not (`reason`)."""

    name: str = ""
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.name)


def has_git(root: Path) -> bool:
    """Whether a folder lies in the work tree of a git repository."""
    try:
        return _git(root, "rev-parse", "--is-inside-work-tree").stdout.strip() == "true"
    except FileNotFoundError:
        return False


def is_committed(root: Path, path: str) -> bool:
    """Whether the last commit has a file."""
    return bool(_git(root, "ls-tree", "HEAD", "--", path).stdout)


def uncommitted(root: Path, paths: Sequence[str]) -> list[str]:
    """Those of some files that are new or differ from the last commit."""
    said = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", *paths)
    listed = {entry[3:] for entry in said.stdout.split("\0") if entry}
    prefix = _git(root, "rev-parse", "--show-prefix").stdout.strip()
    return [path for path in paths if f"{prefix}{path}" in listed]


def commit_files(root: Path, paths: Sequence[str], message: str) -> Commit:
    """Commit files as they are on the disk; what else is staged stays staged.

    Parameters
    ----------
    root : a folder in a git repository
    paths : of the files, relative to `root`

    Returns
    -------
    Commit
        Its abbreviated name; or what git says if it refuses: no identity, a merge under way, a
        hook. The files are as they were then, and not staged by this.
    """
    new = [path for path in paths if not _is_in_index(root, path)]
    # `git commit --only` knows nothing of a file that git does not know.
    done = _git(root, "add", "--intent-to-add", "--", *new) if new else None
    if done is None or not done.returncode:
        done = _git(root, "commit", "--quiet", "--only", "--file=-", "--", *paths, text=message)
    if done.returncode:
        if new:
            _git(root, "reset", "--quiet", "--", *new)
        return Commit(reason=" ".join((done.stderr or done.stdout).split())[:500])
    return Commit(name=_git(root, "rev-parse", "--short", "HEAD").stdout.strip())


def _is_in_index(root: Path, path: str) -> bool:
    return _git(root, "ls-files", "--error-unmatch", "--", path).returncode == 0


def _git(root: Path, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=root,
        input=text,
        env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
