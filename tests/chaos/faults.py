"""Faults at chosen moments of a command: killed, disk full, no permission.

A command runs in a child made by `fork`, after everything is imported, so that a fault costs a
fraction of a second. The moments are operations on files (opened for writing, renamed, removed, a
folder made), which Python tells its audit hooks of before they happen, or seconds.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

KILL, FULL, DENIED, READ_ONLY = "kill -9", "disk full", "permission denied", "read-only disk"
_ERRORS = {FULL: errno.ENOSPC, DENIED: errno.EACCES, READ_ONLY: errno.EROFS}
KINDS = (KILL, *_ERRORS)
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}
_SLOW = ("sgseg.", "great_expectations", "matplotlib.", "mlflow.", "tf2onnx.", "optuna.", "scipy.")
_SLOW_ALONE = {"tensorflow", "keras", "onnx", "onnxruntime", "sqlalchemy", "alembic", "pandas"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_SAID = 20_000
Hook = Callable[[str, tuple[object, ...]], None]
_HANGS_S = 600.0


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
        Its output, and that of its children.
    seconds
        How long it ran.
    group
        Number of its process group: what it started may outlive it.
    """

    status: int
    operations: int
    modules: tuple[str, ...]
    said: str
    seconds: float
    group: int

    @property
    def cleanly(self) -> bool:
        """Done, or ended by a message: never by a stack trace."""
        return self.status in (0, 2) and "Traceback" not in self.said

    def end_orphans(self) -> None:
        """Kill what it has left running."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, signal.SIGKILL)


def run(
    command: Callable[[], None],
    folder: Path,
    *,
    at: int | None = None,
    kind: str = KILL,
    after_s: float | None = None,
    alone: bool = False,
    strike: Callable[[], None] | None = None,
) -> Ended:
    """Run a command, with a fault at its operation number `at` (from 1) in a folder.

    From a full disk or missing rights on, every further operation fails as well, but for removing
    what is there.

    Parameters
    ----------
    after_s
        Kill it so many seconds after it began instead.
    alone
        Not with all that it has started.
    strike
        What is done then instead of killing it.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(reader)
            seen = [0]
            hook = _saboteur(os.path.realpath(folder), seen, at, kind)
            _child(command, writer, output.fileno(), seen, hook)
        os.close(writer)
        ends = partial(os.kill if alone else _kill_group, child, signal.SIGKILL)
        told = _told(reader, after_s, strike or ends, ends)
        _, status = os.waitpid(child, 0)
        seconds = time.monotonic() - began
        output.seek(max(0, output.seek(0, os.SEEK_END) - _SAID))
        said = output.read().decode(errors="replace")
    count, _, modules = told.partition("\n")
    return Ended(
        os.waitstatus_to_exitcode(status),
        int(count or 0),
        tuple(modules.split()),
        said,
        seconds,
        child,
    )


def _told(
    reader: int, after_s: float | None, strike: Callable[[], None], end: Callable[[], None]
) -> str:
    """What the child tells at its end; what is to happen after some time happens meanwhile."""
    told, began = b"", time.monotonic()
    due = [] if after_s is None else [(after_s, strike)]
    due.append((_HANGS_S, end))
    with os.fdopen(reader, "rb", buffering=0) as stream:
        while True:
            wait = max(0.0, began + due[0][0] - time.monotonic()) if due else None
            ready, _, _ = select.select([stream], [], [], wait)
            if not ready:
                with suppress(ProcessLookupError):
                    due.pop(0)[1]()
                continue
            chunk = stream.read(65_536)
            if not chunk:
                return told.decode(errors="replace")
            told += chunk


def _kill_group(child: int, number: int) -> None:
    try:
        os.killpg(child, number)
    except ProcessLookupError:
        os.kill(child, number)


def _child(
    command: Callable[[], None], writer: int, output: int, seen: list[int], hook: Hook
) -> None:
    status = 1
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        sys.addaudithook(hook)
        try:
            command()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001 - a stack trace is told to the parent
            traceback.print_exc()
    finally:
        count = seen[0]
        seen[0] = -(10**9)  # no more faults
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            modules = " ".join(
                name for name in sys.modules if name.startswith(_SLOW) or name in _SLOW_ALONE
            )
            os.write(writer, f"{count}\n{modules[:60_000]}".encode())
        os._exit(status)


def _saboteur(root: str, seen: list[int], at: int | None, kind: str) -> Hook:
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
