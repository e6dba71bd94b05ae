"""Running git and DVC, with their message when they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sgseg.errors import InputError, Problem

# Of the caller: where its store and its git repository are is none of a preview's business.
NOT_PASSED_ON = ("MLFLOW_", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "DVC_ROOT", "SGSEG_")


class CallError(Exception):
    """A command failed; `said` is what it wrote."""

    def __init__(self, command: Sequence[str], said: str) -> None:
        super().__init__(f"{' '.join(command)}:\n{said}")
        self.said = said


def environment(source: Path | None = None) -> dict[str, str]:
    """A child's environment: this Python's programs first, `source` in place of our own sgseg."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    kept |= {"DVC_NO_ANALYTICS": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    if source is not None:
        kept["PYTHONPATH"] = str(source)
    return kept


def call(*command: str, cwd: Path, source: Path | None = None) -> str:
    """What a command writes to stdout.

    Raises
    ------
    CallError
        It ended with another status than 0.
    InputError
        There is no such program.
    """
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment(source), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise InputError(
            Problem(command[0], "is not installed", remedy="Install it; `make env` brings DVC.")
        ) from None
    if done.returncode:
        raise CallError(command, done.stdout + done.stderr)
    return done.stdout
