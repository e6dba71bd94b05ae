"""Who may work now, and how long a request may take. Knows nothing of what is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Semaphore
from time import monotonic


class BusyError(Exception):
    """Other requests take all the time there is for this one."""


@dataclass(frozen=True)
class Deadline:
    """When nobody listens to an answer any more.

    Parameters
    ----------
    seconds
        From the arrival of the request.
    end
        The moment, of `time.monotonic`.
    """

    seconds: float
    end: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(seconds, monotonic() + seconds)

    def left(self) -> float:
        """Seconds from now, at least 0."""
        return max(0.0, self.end - monotonic())


class Turn:
    """Lets `places` threads in at once; the others wait until their time is over."""

    def __init__(self, places: int = 1) -> None:
        self._free = Semaphore(places)

    @contextmanager
    def within(self, deadline: Deadline | None) -> Iterator[None]:
        """Wait for a place and keep it for the block.

        Raises
        ------
        BusyError
            There was none in time.
        """
        if not self._free.acquire(timeout=None if deadline is None else deadline.left()):
            raise BusyError
        try:
            yield
        finally:
            self._free.release()
