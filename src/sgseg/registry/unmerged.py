"""Whether the commit that is checked out is of a retrain that nobody has merged yet."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

OUTCOME = "Retrain-Outcome"
"""Trailer of the commit of a retrain: what `sgseg retrain` says of itself."""
MAIN = (
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "refs/heads/main",
    "refs/heads/master",
)
"""Where what is merged ends up: what any of them has is merged."""
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""Set in a hook, they would lead to another repository than the project's."""


def unmerged_retrain(root: str | Path) -> str:
    """The retrain that the project is at and the main branch lacks.

    Returns
    -------
    Its commit, abbreviated; empty where there is none, and without git. Where no main branch is
    known, only the commit that is checked out is asked.
    """
    main = [name for name in MAIN if _git(root, "rev-parse", "--verify", "--quiet", name)]
    what = ["HEAD", "--not", *main] if main else ["--max-count=1", "HEAD"]
    said = _git(root, "log", f"--format=%h %(trailers:key={OUTCOME},valueonly,separator=|)", *what)
    for line in said.splitlines():
        commit, _, outcome = line.partition(" ")
        if outcome.strip():
            return commit
    return ""


def _git(root: str | Path, *arguments: str) -> str:
    """What a git command says; nothing where it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            env={**environment, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout
