"""A folder of results: complete, or as it was before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


@contextmanager
def replacing_folder(out: str | Path) -> Iterator[Path]:
    """An empty folder beside `out` that takes its place at the end, or vanishes on an error.

    What a killed run left behind is removed; a folder that it had put aside comes back. Of two
    runs at once the later one's results stay.
    """
    out = Path(out)
    _tidy(out)
    new, old = (out.with_name(f".{out.name}.{kind}-{os.getpid()}") for kind in ("part", "old"))
    new.mkdir(parents=True)
    try:
        yield new
        # Put aside at a stroke: removed file by file, it could be left half there.
        with suppress(FileNotFoundError):
            out.rename(old)
        try:
            new.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _tidy(out: Path) -> None:
    """Finish what processes that have ended left behind."""
    for kind in ("old", "part"):
        for left in out.parent.glob(f".{out.name}.{kind}*"):
            process = left.name.rpartition("-")[2]
            others = process.isdecimal() and int(process) != os.getpid()
            if others and psutil.pid_exists(int(process)):
                continue
            if kind == "old" and not out.exists():
                left.rename(out)
            else:
                shutil.rmtree(left, ignore_errors=True)
