"""A folder of results: complete, or as it was before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing_folder(out: str | Path) -> Iterator[Path]:
    """An empty folder beside `out` that takes its place at the end, or vanishes on an error.

    What an interrupted run left behind is removed.
    """
    out = Path(out)
    new = out.with_name(f".{out.name}.part")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        if out.exists():
            shutil.rmtree(out)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
