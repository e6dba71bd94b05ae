"""What tests have workers do; each is called without arguments on one."""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

CHUNK = 2**25


@dataclass(frozen=True)
class Square:
    number: int

    def __call__(self) -> int:
        return self.number**2


@dataclass(frozen=True)
class KillOnce:
    """Kills the worker, unless it has done so before."""

    done: Path

    def __call__(self) -> str:
        if not self.done.exists():
            self.done.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"


@dataclass(frozen=True)
class Poison:
    """Kills every worker; notes each."""

    notes: Path

    def __call__(self) -> None:
        with self.notes.open("a", encoding="utf-8") as file:
            file.write("killed\n")
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Greedy:
    """Takes memory until it is killed."""

    most: int

    def __call__(self) -> None:
        taken = []
        for _ in range(self.most // CHUNK):
            taken.append(b"\1" * CHUNK)
            time.sleep(0.01)
        # Whoever watches looks now and then.
        time.sleep(20)


@dataclass(frozen=True)
class FullDisk:
    path: Path

    def __call__(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self.path))
