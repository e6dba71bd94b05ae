"""A fold while it trains: its values go into the store epoch by epoch, and never twice.

The training comes first. Whatever the store does, a fold is trained to its end; what could not be
logged is in the files and is put in at the end, or later by `sgseg track`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.tracking import runs
from sgseg.tracking.files import TIMESTAMP, Point, points_of
from sgseg.tracking.identity import (
    RUN_FILE,
    FoldIdentity,
    FoldRecord,
    Status,
    read_fold,
    write_record,
)
from sgseg.tracking.process import SystemSampler, is_gone, running_process
from sgseg.tracking.provenance import provenance_tags
from sgseg.tracking.restore import put_fold
from sgseg.tracking.store import (
    Store,
    StoreError,
    failures_named,
    open_store,
    put_tag,
    store_lock,
)

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 60.0
"""How long a store that failed is left in peace."""


@contextmanager
def live_fold(
    identity: FoldIdentity,
    folder: str | Path,
    *,
    root: str | Path = ".",
    sample_seconds: float | None = None,
) -> Iterator[LiveFold]:
    """Track the training of one fold.

    The folder must stay where it is until the block ends. At the end the files in it (history.csv,
    pictures, tables) are copied into the run; run.json and system_metrics.csv are written here.

    Parameters
    ----------
    identity
        Which fold of which cross-validation.
    folder
        Where the fold's files are. If it holds the run.json of the same fold, not finished, its run
        goes on; so does the run of a killed process whose folder is gone.
    root
        The project's root, home of the default store.
    sample_seconds
        Time between two samples of system metrics; by default 10 s.

    Raises
    ------
    InputError
        Another living process trains this fold in this folder. Never because of the store.
    """
    live = LiveFold(identity, Path(folder), Path(root))
    sampler = SystemSampler(live.folder, live.sample, sample_seconds, live.earlier_samples)
    sampler.start()
    status: Status = "FAILED"
    try:
        yield live
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        status = "KILLED"
        raise
    finally:
        sampler.stop()
        live.close(status)


class LiveFold:
    """What a training reports to; made by `live_fold`."""

    def __init__(self, identity: FoldIdentity, folder: Path, root: Path) -> None:
        self.folder = folder
        self.earlier_samples: list[dict[str, float]] = []
        self._root = root
        self._store: Store | None = None
        self._logged: dict[tuple[str, int], int] = {}
        self._writing = threading.Lock()
        self._quiet_until = 0.0
        self._goes_on = "The training goes on without MLflow."
        self.record = _record(identity, folder, root)
        folder.mkdir(parents=True, exist_ok=True)
        self._tolerantly(self._open, self.record.identity.cv.experiment)
        write_record(self.record, folder)

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the values of one epoch at step = `epoch`.

        Parameters
        ----------
        epoch
            As in the column `epoch` of history.csv; sgseg counts from 1.
        metrics
            By name. `timestamp_ms`, if given, is the time of all of them. Values that are not
            finite are left out, as are those already logged before an interruption.
        """
        moment = int(metrics.get(TIMESTAMP, self.record.epoch_ms.get(str(epoch), _now_ms())))
        if str(epoch) not in self.record.epoch_ms:
            times = {**self.record.epoch_ms, str(epoch): moment}
            self.record = replace(self.record, epoch_ms=times)
            write_record(self.record, self.folder)
        self._log(points_of(metrics, step=epoch, default_ms=moment))

    def sample(self, row: Mapping[str, float]) -> None:
        """Log one row of system metrics."""
        self._log(points_of(row, step=int(row["step"]), default_ms=int(row[TIMESTAMP])))

    def close(self, status: Status) -> None:
        """End the run, and log from the files whatever it lacks."""
        self.record = self.record.ended(status, _now_ms())
        write_record(self.record, self.folder)
        self._quiet_until = 0.0
        self._goes_on = "What the training has made is in its folder, not all of it in MLflow."
        self._tolerantly(self._complete)

    def _open(self, experiment: str) -> None:
        store = open_store(self._root, experiment)
        with failures_named(store.uri), store_lock(store.home):
            run = runs.find_fold(store, self.record.run_key)
            if run is None and self.record.mlflow_run_id is None:
                run = runs.find_left_behind(store, self.record.identity)
            if run is None:
                run = runs.create_fold(store, self.record)
            else:
                self._resume(store, run)
            number = run.info.run_id
            put_tag(store.client.set_tag, number, runs.PROCESS, self.record.process)
            runs.settle_parent(store, self.record.identity.cv.key)
            runs.end_the_killed(store)
        with failures_named(store.uri):
            runs.describe_fold(store, run, self.record)
        self.record = replace(self.record, mlflow_run_id=number)
        self._store = store

    def _resume(self, store: Store, run: Any) -> None:
        if runs.is_deleted(run):
            store.client.restore_run(run.info.run_id)
        runs.ensure_parent(store, self.record.identity.cv, run.info.start_time)
        runs.supersede_earlier(store, run)  # what made it may not have come so far
        runs.set_status(store, run, "RUNNING", None)
        self._logged = runs.logged_points(store, run)
        times = {
            str(step): moment
            for (name, step), moment in self._logged.items()
            if not name.startswith("system/")
        }
        self.record = replace(
            self.record,
            started_ms=run.info.start_time,
            epoch_ms={**times, **self.record.epoch_ms},
        )
        self.earlier_samples = runs.system_samples(store, run)

    def _log(self, points: list[Point]) -> None:
        with self._writing:
            new = [item for item in points if (item.name, item.step) not in self._logged]
            if new and self._store is not None and time.monotonic() >= self._quiet_until:
                self._tolerantly(self._log_new, self._store, new)

    def _log_new(self, store: Store, points: list[Point]) -> None:
        with failures_named(store.uri):
            runs.log_points(store, self.record.mlflow_run_id or "", points)
        self._logged |= {(item.name, item.step): item.timestamp_ms for item in points}

    def _complete(self) -> None:
        store = self._store or open_store(self._root, self.record.identity.cv.experiment)
        run_id = put_fold(store, self.record, self.folder).run_id
        if self.record.mlflow_run_id != run_id:
            self.record = replace(self.record, mlflow_run_id=run_id)
            write_record(self.record, self.folder)

    def _tolerantly(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except StoreError as error:
            if self._quiet_until == 0.0:
                logger.warning("%s %s", self._goes_on, error)
            self._quiet_until = time.monotonic() + PAUSE_SECONDS
        except InputError as error:
            logger.warning("Not logged to MLflow: %s", error)


def _record(identity: FoldIdentity, folder: Path, root: Path) -> FoldRecord:
    """The record in the folder if it is of this fold and not finished, else a new one."""
    identity = replace(identity, tags={**provenance_tags(root), **identity.tags})
    fresh = FoldRecord(identity, started_ms=_now_ms(), process=running_process())
    if not (folder / RUN_FILE).exists():
        return fresh
    try:
        found = read_fold(folder)
    except InputError as error:
        logger.warning("%s It is written anew.", error)
        return fresh
    same = (found.identity.cv.key, found.identity.fold) == (identity.cv.key, identity.fold)
    if not same or found.status == "FINISHED":
        return fresh
    if found.process and found.process != fresh.process and not is_gone(found.process):
        raise InputError(
            Problem(
                str(folder),
                f"fold {identity.fold} is being trained there by process {found.process}",
                remedy="Wait for it, or end it; it can be resumed.",
            )
        )
    return replace(found, status="RUNNING", ended_ms=None, process=fresh.process)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
