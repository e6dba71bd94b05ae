"""A folder of results: complete, or as it was before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing_folder(out: str | Path) -> Iterator[Path]:
    """An empty folder beside `out` that takes its place at the end, or vanishes on an error.

    What an interrupted run left behind is removed; a folder that it had put aside comes back.
    """
    out = Path(out)
    new, old = out.with_name(f".{out.name}.part"), out.with_name(f".{out.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    if not out.exists() and old.exists():
        old.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        # Put aside at a stroke: removed file by file, it could be left half there.
        if out.exists():
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
