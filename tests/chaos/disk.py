"""A small disk for real: in memory, seen by this process and its children alone, gone with them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NEW_MOUNTS = 0x20000
_RECURSIVE, _PRIVATE, _REMOUNT, _READ_ONLY = 0x4000, 0x40000, 0x20, 0x1


class SmallDisk:
    """A mounted disk that can be filled, and made read-only.

    Parameters
    ----------
    place
        The folder where it is mounted.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ballast = place / "ballast"

    def fill(self, *, leave: int) -> None:
        """Take all room but so many bytes, in whole pages of memory."""
        self.make_room()
        free = os.statvfs(self.place)
        take = free.f_bavail * free.f_frsize - leave
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(take, 1))

    def make_room(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Nobody writes to it within the block, not even root."""
        _mount(None, self.place, _REMOUNT | _READ_ONLY)
        try:
            yield
        finally:
            _mount(None, self.place, _REMOUNT)


def small_disk(place: Path, *, megabytes: int) -> SmallDisk | None:
    """Mount one for the rest of this process's life; None where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        _check(_libc().unshare(_NEW_MOUNTS))
        _mount(None, Path("/"), _RECURSIVE | _PRIVATE)
        _mount("tmpfs", place, 0, f"size={megabytes}m")
    except (OSError, AttributeError):
        return None
    return SmallDisk(place)


def _mount(kind: str | None, place: Path, flags: int, options: str = "") -> None:
    name = b"none" if kind is None else kind.encode()
    _check(
        _libc().mount(
            name,
            os.fsencode(place),
            None if kind is None else name,
            ctypes.c_ulong(flags),
            options.encode(),
        )
    )


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
