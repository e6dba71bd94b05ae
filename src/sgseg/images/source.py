"""Where the bytes of an image come from: a file, or memory (a request to a server)."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
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


Source = Path | InMemory


def byte_count(source: Source) -> int:
    """Size in bytes."""
    return len(source.content) if isinstance(source, InMemory) else source.stat().st_size
