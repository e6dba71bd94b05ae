"""Faults at chosen moments of a command: killed, disk full, no permission; and damaged files.

A command runs in a child made by `fork`, after everything is imported, so that a fault costs a
fraction of a second. The moments are operations on files (opened for writing, renamed, removed, a
folder made), which Python tells its audit hooks of before they happen.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

KILL, FULL, DENIED, READ_ONLY = "kill -9", "disk full", "permission denied", "read-only disk"
_ERRORS = {FULL: errno.ENOSPC, DENIED: errno.EACCES, READ_ONLY: errno.EROFS}
KINDS = (KILL, *_ERRORS)
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}
_SLOW = ("sgseg.", "great_expectations", "matplotlib.pyplot")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Parameters
    ----------
    status
        Its exit status; minus the signal that ended it.
    operations
        Files and folders it wrote, renamed or removed in the watched folder.
    modules
        What it imported, of what takes time.
    said
        Its output.
    """

    status: int
    operations: int
    modules: tuple[str, ...]
    said: str

    @property
    def cleanly(self) -> bool:
        """Done, or ended by a message: never by a stack trace."""
        return self.status in (0, 2) and "Traceback" not in self.said


def run(
    command: Callable[[], None], folder: Path, *, at: int | None = None, kind: str = KILL
) -> Ended:
    """Run a command, with a fault at its operation number `at` (from 1) in a folder.

    From a full disk or missing rights on, every further operation fails as well, but for removing
    what is there.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(command, folder, writer, at, kind)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        told = stream.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    count, _, rest = told.partition("\n")
    modules, _, said = rest.partition("\n")
    return Ended(os.waitstatus_to_exitcode(status), int(count or 0), tuple(modules.split()), said)


def _child(
    command: Callable[[], None], folder: Path, writer: int, at: int | None, kind: str
) -> None:
    status, said, seen = 1, io.StringIO(), [0]
    root = os.path.realpath(folder)
    try:
        sys.addaudithook(_saboteur(root, seen, at, kind))
        with redirect_stdout(said), redirect_stderr(said):
            try:
                command()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:  # noqa: BLE001 - a stack trace is told to the parent
                traceback.print_exc()
    finally:
        count, at = seen[0], None
        seen[0] = -(10**9)  # no more faults
        with suppress(OSError):
            modules = " ".join(name for name in sys.modules if name.startswith(_SLOW))
            os.write(writer, f"{count}\n{modules}\n{said.getvalue()[-20_000:]}".encode())
        os._exit(status)


def _saboteur(
    root: str, seen: list[int], at: int | None, kind: str
) -> Callable[[str, tuple[object, ...]], None]:
    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITES:
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if not isinstance(path, str | bytes | os.PathLike):
            return
        place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - follows no links
        if not place.startswith(root):
            return
        seen[0] += 1
        if at is None or seen[0] < at:
            return
        if kind == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        removes = event in ("os.remove", "os.rmdir")
        if not removes or kind != FULL:
            raise OSError(_ERRORS[kind], os.strerror(_ERRORS[kind]), place)

    return hook


def content(folder: Path) -> dict[str, str]:
    """MD5 of each file below a folder, locks left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.md5(
            path.read_bytes(), usedforsecurity=False
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
    }


def damage(folder: Path, rng: random.Random) -> str:
    """Cut one file of a folder off, empty it, or change a byte of it; which one, and how."""
    path = rng.choice([path for path in sorted(folder.rglob("*")) if path.is_file()])
    whole = path.read_bytes()
    way = rng.choice(("cut off", "emptied", "changed")) if whole else "emptied"
    changed = bytearray(whole)
    if way == "cut off":
        del changed[rng.randrange(len(whole)) :]
    elif way == "emptied":
        changed.clear()
    else:
        changed[rng.randrange(len(whole))] ^= 0xFF
    path.write_bytes(changed)
    return f"{path.relative_to(folder)} {way}"
