"""Put into the store what the files show and the store lacks. Changes no file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sgseg.tracking import runs
from sgseg.tracking.files import artifacts, read_history, read_system_metrics
from sgseg.tracking.identity import FoldRecord
from sgseg.tracking.store import Store, failures_named, store_lock

What = Literal["put back", "completed", "already there", "deleted in the store", "not finished"]


@dataclass(frozen=True)
class Restored:
    """What became of one run."""

    source: str
    """The folder whose files it shows."""
    what: What
    run_id: str = ""
    values: int = 0
    """Values of metrics that were added."""
    files: int = 0
    """Files that were copied."""
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.source}: {self.what}"
        if self.what in {"put back", "completed"}:
            text += f" ({self.values} values, {self.files} files)"
        if self.note:
            text += f"; it {self.note}"
        return text


def put_fold(store: Store, record: FoldRecord, folder: Path) -> Restored:
    """See to it that the store shows all of a fold that has ended.

    Raises
    ------
    InputError
        A file of the fold cannot be read.
    StoreError
        The store cannot be written.
    """
    points = read_history(record, folder) + read_system_metrics(folder)
    files = artifacts(folder)
    with failures_named(store.uri):
        with store_lock(store.home):
            run = runs.find_fold(store, record.run_key)
            what: What = "already there" if run else "put back"
            if run is None:
                run = runs.create_fold(store, record)
        if runs.is_deleted(run):
            return Restored(str(folder), "deleted in the store", run.info.run_id)
        runs.describe_fold(store, run, record)
        logged = runs.logged_points(store, run)
        missing = [item for item in points if (item.name, item.step) not in logged]
        runs.log_points(store, run.info.run_id, missing)
        copied = runs.log_artifacts(store, run, files)
        runs.forget_process(store, run)
        ended = runs.set_status(store, run, record.status, record.ended_ms)
        with store_lock(store.home):
            runs.settle_parent(store, record.identity.cv.key)
    if what == "already there" and (missing or copied or ended):
        what = "completed"
    return Restored(str(folder), what, run.info.run_id, len(missing), copied)
