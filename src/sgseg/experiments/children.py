"""Child processes, some at once, with the cores shared out among them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sgseg.processes import Lifeline, environment

POLL_SECONDS = 0.2


def run_children(
    commands: Mapping[str, tuple[Sequence[str], Path]], *, workers: int
) -> Iterator[tuple[str, int]]:
    """Run commands in their order, up to `workers` at once; name and exit status as each ends.

    Those that run when the caller stops, or ends in whatever way, end as well, if they have called
    `end_with_parent`.

    Parameters
    ----------
    commands
        By name: the arguments of this Python, and the file for all that the process says.
    workers
        How many run at the same time.
    """
    waiting = list(commands)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                name = waiting.pop(0)
                running[name] = _start(*commands[name], workers)
            time.sleep(POLL_SECONDS)
            for name in [n for n, process in running.items() if process.poll() is not None]:
                yield name, _closed(running.pop(name))
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            _closed(process)


def end_with_parent() -> None:
    """End this process with the one that started it, even where that is killed."""
    Lifeline(lambda: os._exit(1))


def _start(arguments: Sequence[str], log: Path, workers: int) -> subprocess.Popen[bytes]:
    with log.open("wb") as said:
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,  # held open, and never written to: see `end_with_parent`
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment(workers),
        )


def _closed(process: subprocess.Popen[bytes]) -> int:
    with process:
        return process.wait()
