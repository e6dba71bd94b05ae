"""Where the bytes of an image come from: a file, or memory (a request to a server)."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class InMemory:
    """The content of a file that lies nowhere; `name` is what errors call it.

    As far as the readers need it, it is used like a `Path`: `str()` and `open`.
    """

    content: bytes = field(repr=False)
    name: str

    def __str__(self) -> str:
        return self.name

    def open(self, _mode: str = "rb") -> BinaryIO:
        """Read from the beginning."""
        return BytesIO(self.content)


class LoneFile(BufferedReader):
    """A file on disk that does not say so.

    tifffile looks for other files beside one that has a number of the system: those that the
    metadata of Micro-Manager name, by a prefix or an index that anybody may have written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path))
        self._size = path.stat().st_size

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place; beyond the end there is nothing, as in memory, rather than an error."""
        if whence == 0 and self._size < offset <= sys.maxsize:
            offset = self._size
        return super().seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on; room is made for what is left, however much more a header promises."""
        left = max(self._size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))

    def fileno(self) -> int:
        """None."""
        raise OSError("read as if from memory")


Source = Path | InMemory


def byte_count(source: Source) -> int:
    """Size in bytes."""
    return len(source.content) if isinstance(source, InMemory) else source.stat().st_size
