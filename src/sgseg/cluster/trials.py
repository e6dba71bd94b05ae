"""Workers of a search (`sgseg tune`) on a cluster: each is one task, and takes trial after trial.

Dask only starts them. Who does which trial, and what becomes of a trial whose worker dies, is kept
in the study's storage, as it is for workers that are started by hand.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from sgseg.cluster.connection import connect
from sgseg.cluster.process import Process
from sgseg.cluster.site import marked
from sgseg.cluster.spread import Died, Item, Unseen, spread
from sgseg.errors import InputError, Problem

log = logging.getLogger(__name__)

MODULE = "sgseg.tuning.worker"


def start_on(scheduler: str) -> Callable[[str, int, Path], None]:
    """What `run_study` starts its workers with: the workers of a cluster.

    Raises
    ------
    InputError
        See `connect`; or the workers do not see the project's folder.
    """

    def start(line: str, workers: int, folder: Path) -> None:
        root = Path.cwd()
        with connect(scheduler=scheduler) as client, marked(folder, training=True) as site:
            items = [Item(root, Process((MODULE,), line, root, site.mark))] * workers
            for _, found in spread(client, items, site, unit="worker", desc="tune"):
                if isinstance(found, Unseen):
                    expected = "a folder that all machines share, under the same path"
                    what = f"the worker {found.worker} cannot read it"
                    raise InputError(Problem(str(root), what, expected))
                if not isinstance(found, Died) and found.status:
                    log.warning("a worker of the search ended: %s", found.said.strip())

    return start
