"""A process that a task starts on a worker and that ends with it, as training needs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgseg.processes import Lifeline

POLL_SECONDS = 0.5
END_SECONDS = 30.0
KEPT = 4000
"""Characters of the end of what it says."""


@dataclass(frozen=True)
class Ended:
    """How a process ended, and the end of what it said."""

    status: int
    said: str


@dataclass(frozen=True)
class Process:
    """Runs a module of Python until it ends, or nobody waits for it any more; travels.

    The module must end with its standard input, see `Lifeline`: so it ends when the worker is
    killed.

    Attributes
    ----------
    module
        And its arguments.
    line
        For its standard input.
    root
        The folder that it works in.
    mark
        See `Site`: it goes when the machine that asks has ended.
    """

    module: Sequence[str]
    line: str
    root: Path
    mark: Path

    def __call__(self) -> Ended:
        """Called by Dask on a worker."""
        with tempfile.TemporaryFile() as said:
            command = [sys.executable, "-m", *self.module]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said, cwd=self.root)
            assert process.stdin is not None
            try:
                with contextlib.suppress(BrokenPipeError):
                    # Not as an argument: it may hold a password.
                    process.stdin.write(self.line.encode() + b"\n")
                    process.stdin.flush()
                # A task of Dask cannot be stopped, but it can look whether it is still wanted.
                while process.poll() is None and self.mark.exists():
                    time.sleep(POLL_SECONDS)
            finally:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
                try:
                    process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            said.seek(0)
            text = said.read().decode(errors="replace")
        sys.stderr.write(text)
        return Ended(process.returncode, text[-KEPT:])


def line_of_parent() -> str:
    """In such a process: its line. From then on it ends at once when its standard input does."""
    return Lifeline(on_end=lambda: os._exit(1)).next_line()
