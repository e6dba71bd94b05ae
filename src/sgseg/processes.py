"""Child processes: the cores shared out among them, and their end with that of their parent."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping


def environment(workers: int) -> Mapping[str, str]:
    """Environment of a child of which `workers` train on this machine; what is set already stays.

    The cores are shared out, and no child takes all memory of a GPU.
    """
    if workers == 1:
        return dict(os.environ)
    share = str(max(1, n_cores() // workers))
    return {
        "TF_NUM_INTRAOP_THREADS": share,
        "TF_NUM_INTEROP_THREADS": share,
        "OMP_NUM_THREADS": share,
        "OPENBLAS_NUM_THREADS": share,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        **os.environ,
    }


def n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Lifeline:
    """The pipe from the process that started this one: its lines, and word of its end.

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
