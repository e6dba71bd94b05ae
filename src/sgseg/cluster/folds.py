"""Folds of a cross-validation on a cluster: each is one task, and a process of its own there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sgseg.cluster.connection import connect
from sgseg.cluster.process import Process
from sgseg.cluster.site import marked
from sgseg.cluster.spread import Died, Item, Unseen, spread
from sgseg.errors import InputError, Problem
from sgseg.inference.records import LOCK, MARK
from sgseg.processes import n_cores

MODULE = "sgseg.commands.folds"
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""Sums are rounded otherwise with another number of threads: that of this machine counts."""


def train_on(
    scheduler: str, folds: Sequence[int], root: Path, checkpoints: Path
) -> Iterator[tuple[int, Problem | None]]:
    """Train folds on the workers of a cluster, as far as their checkpoints; each as it is done.

    Parameters
    ----------
    root
        The project's folder, which the workers must see.
    checkpoints
        The folder in it that they write to.

    Yields
    ------
    A fold and what went wrong with it.

    Raises
    ------
    InputError
        See `connect`; or no worker sees the folder, or all have other software, or another command
        has folds trained there.
    """
    with (
        connect(scheduler=scheduler) as client,
        _alone(checkpoints),
        marked(checkpoints, training=True) as site,
    ):
        settings = {name: os.environ.get(name, str(n_cores())) for name in THREADS}
        line = json.dumps({"TF_CPP_MIN_LOG_LEVEL": "3", **settings})
        items = [Item(root, Process((MODULE, str(k)), line, root, site.mark)) for k in folds]
        for place, found in spread(client, items, site, unit="fold", desc="train"):
            where = f"fold {folds[place]}"
            problem = None
            if isinstance(found, Unseen):
                expected = "a folder that all machines share, under the same path"
                problem = Problem(where, f"the worker {found.worker} cannot read {root}", expected)
            elif isinstance(found, Died):
                remedy = "It may need more memory than a worker has."
                problem = Problem(where, "each worker that began it was killed", remedy=remedy)
            elif found.status:
                said = found.said.strip().splitlines() or ["it said nothing"]
                what = f"its training ended with status {found.status} ({said[-1].strip()})"
                problem = Problem(where, what)
            yield folds[place], problem


@contextmanager
def _alone(checkpoints: Path) -> Iterator[None]:
    """No other command has folds trained meanwhile: two trainings would share one checkpoint."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    lock = FileLock(checkpoints / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        what = "another `sgseg folds` has folds trained into it"
        problem = Problem(str(checkpoints), what, remedy="Wait for it, or stop it.")
        raise InputError(problem) from None
    try:
        # Of one that was killed the workers train on, until its mark goes.
        for left in checkpoints.glob(f"{MARK}*"):
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
