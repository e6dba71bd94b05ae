"""Workers of a search (`sgseg tune`) on a cluster: each is one task, and takes trial after trial.

Dask only starts them. Who does which trial, and what becomes of a trial whose worker dies, is kept
in the study's storage, as it is for workers that are started by hand.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sgseg.cluster.connection import connect
from sgseg.cluster.site import marked
from sgseg.cluster.spread import Item, Unseen, spread
from sgseg.errors import InputError, Problem

POLL_SECONDS = 0.5
END_SECONDS = 30.0


@dataclass(frozen=True)
class _Search:
    """Works on a study until it is done, or its mark is gone; travels."""

    line: str
    root: Path
    mark: Path

    def __call__(self) -> int:
        process = subprocess.Popen(
            [sys.executable, "-m", "sgseg.tuning.worker"], stdin=subprocess.PIPE, cwd=self.root
        )
        assert process.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                # Not as an argument: the address of the storage may hold a password.
                process.stdin.write(self.line.encode() + b"\n")
                process.stdin.flush()
            # A task of Dask cannot be stopped, but it can look whether it is still wanted.
            while process.poll() is None and self.mark.exists():
                time.sleep(POLL_SECONDS)
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode


def start_on(scheduler: str) -> Callable[[str, int, Path], None]:
    """What `run_study` starts its workers with: the workers of a cluster.

    Raises
    ------
    InputError
        See `connect`; or the workers do not see the project's folder.
    """

    def start(line: str, workers: int, folder: Path) -> None:
        root = Path.cwd()
        with connect(scheduler=scheduler) as client, marked(folder) as site:
            items = [Item(root, _Search(line, root, site.mark))] * workers
            for _, found in spread(client, items, site, unit="worker", desc="tune"):
                if isinstance(found, Unseen):
                    expected = "a folder that all machines share, under the same path"
                    what = f"the worker {found.worker} cannot read it"
                    raise InputError(Problem(str(root), what, expected))

    return start
