"""One retrain at a time in a clone; who comes second is told who is at it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sgseg.images.write import replacing
from sgseg.tracking.process import is_gone, running_process

FILE, HOLDER = ".dvc/tmp/retrain.lock", ".dvc/tmp/retrain.json"
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Holder:
    """The retrain that runs: its process (host/pid/start of the process), and since when."""

    process: str
    since: str

    @property
    def shown(self) -> str:
        """For a message."""
        host, _, rest = self.process.partition("/")
        return f"process {rest.partition('/')[0]} on {host}, since {self.since}"


class BusyError(Exception):
    """Another retrain runs in this clone."""

    def __init__(self, holder: Holder | None) -> None:
        self.holder = holder
        super().__init__(holder.shown if holder else "another process")


@contextmanager
def only_retrain(root: Path, *, since: str, wait: bool) -> Iterator[None]:
    """Hold the clone's lock, which the end of the process gives back, however it ends.

    Raises
    ------
    BusyError
        Another retrain runs, and `wait` is False.
    """
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        while not _taken(handle):
            holder = read_holder(root)
            # One that is killed at this moment gives it back in the next.
            if not (wait or (holder is not None and is_gone(holder.process))):
                raise BusyError(holder)
            time.sleep(PAUSE_SECONDS)
        with replacing(root / HOLDER) as temporary:
            temporary.write_text(json.dumps({"process": running_process(), "since": since}))
        yield
    finally:
        os.close(handle)


def read_holder(root: Path) -> Holder | None:
    """Who took the lock last; None if nobody says so."""
    try:
        content = json.loads((root / HOLDER).read_text(encoding="utf-8"))
        return Holder(str(content["process"]), str(content["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
