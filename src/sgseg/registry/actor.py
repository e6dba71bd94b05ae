"""Who changes something: a person as git knows them, or a CI job."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from pathlib import Path


def actor(root: str | Path = ".") -> str:
    """For example "Ada Lovelace <ada@lab.org>", "ada@bench2" without git, or "CI for ada"."""
    for marker, who, job in (
        ("GITHUB_ACTIONS", "GITHUB_ACTOR", _github_job()),
        ("GITLAB_CI", "GITLAB_USER_LOGIN", os.environ.get("CI_JOB_URL", "")),
        ("CI", "", os.environ.get("BUILD_URL", "")),
    ):
        if os.environ.get(marker, "").lower() not in {"", "0", "false"}:
            named = os.environ.get(who) or _local()
            return f"CI for {named}" + (f" ({job})" if job else "")
    name, email = _git(root, "user.name"), _git(root, "user.email")
    if name and email:
        return f"{name} <{email}>"
    return name or email or _local()


def _github_job() -> str:
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (os.environ.get(name, "") for name in names)
    return f"{server}/{repository}/actions/runs/{run}" if run else ""


def _local() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _git(root: str | Path, key: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "config", "--get", key],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
