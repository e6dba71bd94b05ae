"""A data set takes its place in data/raw at one stroke; what a killed command left is tidied up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from sgseg.dataset.in_use import held, refuse_in_use


@contextmanager
def placing(target: Path, *, check: Callable[[], None] | None = None) -> Iterator[Path]:
    """A new folder beside `target` that takes its place at the end, or vanishes on an error.

    `check` is called right before; if it raises, `target` stays as it is.

    Raises
    ------
    InputError
        A stage that DVC runs reads or writes `target`, before or at the end; it stays as it is.
    """
    refuse_in_use(target)
    new = target.with_name(f".{target.name}.new-{os.getpid()}")
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    new.mkdir(parents=True)
    try:
        yield new
        with held(target):
            if check is not None:
                check()
            replaced = target.exists()
            if replaced:
                target.rename(old)
            try:
                new.rename(target)
            except OSError:
                if replaced:
                    old.rename(target)
                raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def recover(target: Path) -> None:
    """Tidy up after a command that was killed while it placed `target`: the old one comes back."""
    if not target.parent.is_dir():
        return
    for kind in ("old", "new"):
        for left in target.parent.glob(f".{target.name}.{kind}-*"):
            process = left.name.rpartition("-")[2]
            if process.isdecimal() and psutil.pid_exists(int(process)):
                continue
            if kind == "old" and not target.exists():
                left.rename(target)
            else:
                shutil.rmtree(left, ignore_errors=True)
