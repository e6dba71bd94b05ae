"""Folds of a cross-validation on a cluster: each is one task, and a process of its own there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sgseg.cluster.connection import connect
from sgseg.cluster.process import Process
from sgseg.cluster.site import marked
from sgseg.cluster.spread import Died, Item, Unseen, spread
from sgseg.errors import Problem
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
        See `connect`; or no worker sees the folder, or all have other software.
    """
    with connect(scheduler=scheduler) as client, marked(checkpoints, training=True) as site:
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
