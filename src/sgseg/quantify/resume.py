"""What a run has finished, field by field, so that the next one goes on where it was stopped.

`.fields/<name>/` in the folder of results: record.json with the row of fields.csv, and both tables
as Parquet. The record is written last, so a field without one was not finished; it is made anew
where what shapes it, or a file of it, has changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing
from sgseg.quantify.field import Measured
from sgseg.quantify.sources import content_md5

FOLDER, RECORD, LOCK = ".fields", "record.json", ".lock"
GRANULES, CELLS = "granules.parquet", "cells.parquet"
PARTIAL = re.compile(r"\..+\.[a-z0-9_]{8}\.part")  # what `replacing` writes to
CODE = ("errors.py", "scores.py", "images", "inference", "quantify")


@dataclass(frozen=True)
class Kept:
    """A field that is done."""

    row: dict[str, Any]
    granules: pd.DataFrame
    cells: pd.DataFrame


class Store:
    """The finished fields in a folder of results."""

    def __init__(self, out: Path) -> None:
        self._out = out

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes here meanwhile; what a killed run left half-written goes.

        Raises
        ------
        InputError
            Another run is writing here.
        """
        folder = self._out / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            remedy = "Wait for it, or give another folder to --out."
            raise InputError(
                Problem(str(self._out), "another run is writing its results here", remedy=remedy)
            ) from None
        try:
            for path in self._out.rglob(".*.part"):
                if PARTIAL.fullmatch(path.name):
                    path.unlink()
            yield
        finally:
            lock.release()

    def is_done(self, name: str, digest: str) -> bool:
        """Whether a field was finished with this digest, and all its files are as they were."""
        record = self._record(name)
        if record is None or record["digest"] != digest:
            return False
        return all(
            (self._out / path).is_file() and content_md5(self._out / path) == md5
            for path, md5 in record["files"].items()
        )

    def keep(self, name: str, digest: str, measured: Measured, files: Sequence[Path]) -> None:
        """Remember a field whose files are all written."""
        folder = self._out / FOLDER / name
        tables = {GRANULES: measured.granules_table, CELLS: measured.cells_table}
        for file, table in tables.items():
            with replacing(folder / file) as temporary:
                table.to_parquet(temporary, index=False)
        known = [*files, *(folder / file for file in tables)]
        record = {
            "digest": digest,
            "row": measured.row,
            "files": {path.relative_to(self._out).as_posix(): content_md5(path) for path in known},
        }
        with replacing(folder / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def load(self, name: str) -> Kept:
        """A field that is done."""
        record = self._record(name)
        assert record is not None
        folder = self._out / FOLDER / name
        return Kept(
            record["row"], pd.read_parquet(folder / GRANULES), pd.read_parquet(folder / CELLS)
        )

    def _record(self, name: str) -> dict[str, Any] | None:
        try:
            text = (self._out / FOLDER / name / RECORD).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        record: dict[str, Any] = json.loads(text)
        return record


def digest_of(shaping: Mapping[str, Any]) -> str:
    """MD5 over all that shapes the result of a field, the code included."""
    text = json.dumps({**shaping, "code": _code()}, sort_keys=True, default=str)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@cache
def _code() -> str:
    """MD5 over the library's own files that measure."""
    root = Path(__file__).parents[1]
    total = hashlib.md5(usedforsecurity=False)
    for name in CODE:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            total.update(file.relative_to(root).as_posix().encode())
            total.update(hashlib.md5(file.read_bytes(), usedforsecurity=False).digest())
    return total.hexdigest()
