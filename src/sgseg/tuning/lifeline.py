"""The pipe between a process and the one that started it: its end is that of the parent."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable


class Lifeline:
    """Lines of standard input, and word of its end.

    A killed parent cannot say goodbye, but the system closes its pipes.

    Parameters
    ----------
    on_end
        Called, in a thread, once the parent has closed the pipe or has ended.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._on_end = on_end
        threading.Thread(target=self._listen, daemon=True).start()

    def next_line(self) -> str:
        """The next line, once it is there."""
        return self._lines.get()

    def _listen(self) -> None:
        rest = b""
        # Not through `sys.stdin`, whose lock a thread that waits would hold while Python ends.
        while chunk := os.read(0, 65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._lines.put(line.decode())
        self._on_end()
