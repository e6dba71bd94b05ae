"""What a run has finished, file by file, so that the next one goes on where it was stopped.

`<hidden folder>/<name>/record.json` in the folder of results. The record of a file is written last,
so one without was not finished; it is made anew where what shapes it, or a file of it, has changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing
from sgseg.images.zarr import is_zarr, zarr_files

RECORD, LOCK = "record.json", ".lock"
PARTIAL = re.compile(r"\..+\.[a-z0-9_]{8}\.part")  # what `replacing` writes to
MARK = ".seen-"
"""Begins the name of a file by which workers on other machines know that they see the folder."""
CODE = ("errors.py", "scores.py", "images", "inference")
"""What shapes a segmentation, of the library's own files."""


class Records:
    """The finished files in a folder of results.

    Parameters
    ----------
    out
        The folder of results.
    folder
        Name of the hidden folder in it.
    """

    def __init__(self, out: Path, folder: str) -> None:
        self._out, self._folder = out, folder

    def of(self, name: str) -> Path:
        """The folder of a file's record, for what belongs to it."""
        return self._out / self._folder / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes here meanwhile; what a killed process left half-written goes.

        Raises
        ------
        InputError
            Another run is writing here.
        """
        folder = self._out / self._folder
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
            self._tidy()
            for left in self._out.glob(f"{MARK}*"):
                left.unlink(missing_ok=True)
            yield
        finally:
            # A worker of this run may have been killed as well.
            self._tidy()
            lock.release()

    def _tidy(self) -> None:
        for path in self._out.rglob(".*.part"):
            if PARTIAL.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def is_done(self, name: str, digest: str) -> bool:
        """Whether a file was finished with this digest, and all its results are as they were."""
        record = self._read(name)
        if record is None or record["digest"] != digest:
            return False
        return all(
            (self._out / path).is_file() and content_md5(self._out / path) == md5
            for path, md5 in record["files"].items()
        )

    def keep(
        self, name: str, digest: str, content: Mapping[str, Any], files: Sequence[Path]
    ) -> None:
        """Remember a file whose results are all written."""
        record = {
            "digest": digest,
            **content,
            "files": {path.relative_to(self._out).as_posix(): content_md5(path) for path in files},
        }
        with replacing(self.of(name) / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def load(self, name: str) -> dict[str, Any]:
        """The record of a file that is done."""
        record = self._read(name)
        assert record is not None
        return record

    def _read(self, name: str) -> dict[str, Any] | None:
        """A record; None where there is none, or one that a failing disk has damaged."""
        try:
            record = json.loads((self.of(name) / RECORD).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        whole = isinstance(record, dict) and {"digest", "files"} <= record.keys()
        return record if whole and isinstance(record["files"], dict) else None


def digest_of(shaping: Mapping[str, Any], *, code: tuple[str, ...] = CODE) -> str:
    """MD5 over all that shapes the result of a file, the library's own files included."""
    text = json.dumps({**shaping, "code": code_digest(code)}, sort_keys=True, default=str)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@cache
def code_digest(code: tuple[str, ...]) -> str:
    """MD5 over some of the library's own files and folders."""
    root = Path(__file__).parents[1]
    total = hashlib.md5(usedforsecurity=False)
    for name in code:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            total.update(file.relative_to(root).as_posix().encode())
            total.update(hashlib.md5(file.read_bytes(), usedforsecurity=False).digest())
    return total.hexdigest()


def content_md5(path: Path) -> str:
    """MD5 of a file's bytes; of an image of OME-Zarr, of all its files.

    Raises
    ------
    InputError
        It cannot be read.
    """
    try:
        if is_zarr(path):
            total = hashlib.md5(usedforsecurity=False)
            for part in zarr_files(path):
                total.update(part.relative_to(path).as_posix().encode())
                total.update(hashlib.md5(part.read_bytes(), usedforsecurity=False).digest())
            return total.hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise InputError(Problem(str(path), error.strerror or "cannot be read")) from None
