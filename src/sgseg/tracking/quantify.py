"""The numbers of the test fields: into the run of the cross-validation whose model found them."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from pathlib import Path

from sgseg.tracking import runs
from sgseg.tracking.files import Artifact, Point, content_digest
from sgseg.tracking.identity import EvaluationRecord, read_evaluation, write_record
from sgseg.tracking.restore import Restored, What
from sgseg.tracking.store import Store, StoreError, failures_named, open_store, put_tag, store_lock

logger = logging.getLogger(__name__)

FOLDER = "quantify"
QUANTIFIED, STEP = "sgseg.quantify_digest", "sgseg.quantify_step"
SHOWN = ("*.csv", "*.html", "*.json", "*.txt", "figures/*.png", "overlays/*.png")
NOT_SHOWN = {"run.json"}


def write_quantification(folder: str | Path, evaluation: str | Path) -> EvaluationRecord:
    """Write the run.json of a quantification: that of the evaluation whose model it used.

    Raises
    ------
    InputError
        The record of the evaluation cannot be read.
    """
    record = read_evaluation(evaluation)
    write_record(record, folder)
    return record


def log_quantification(folder: str | Path, *, root: str | Path = ".") -> Restored | None:
    """Log a quantification; a store that fails costs a warning, and None is returned.

    Parameters
    ----------
    folder
        With run.json (`write_quantification`), tables and the report.
    root
        The project's root, home of the default store.
    """
    record = read_evaluation(folder)
    try:
        store = open_store(root, record.cv.experiment)
        return put_quantification(store, record, Path(folder))
    except StoreError as error:
        logger.warning("The quantification is not in MLflow. %s", error)
        return None


def put_quantification(store: Store, record: EvaluationRecord, folder: Path) -> Restored:
    """See to it that the run of the cross-validation shows a quantification.

    The same one is never logged twice; another one is logged at the next step, and its files
    replace those of the earlier.

    Raises
    ------
    StoreError
        The store cannot be written.
    """
    files = list(_files(folder))
    digest, values = content_digest(files), totals(folder / "fields.csv")
    with failures_named(store.uri):
        with store_lock(store.home):
            parent = runs.ensure_parent(store, record.cv, record.started_ms, restore=False)
            if runs.is_deleted(parent):
                return Restored(str(folder), "deleted in the store", parent.info.run_id)
            runs.settle_parent(store, record.cv.key, otherwise_ended_ms=record.evaluated_ms)
        new = parent.data.tags.get(QUANTIFIED) != digest
        logged = {key for key in runs.logged_points(store, parent) if key[0] in values}
        step = int(parent.data.tags.get(STEP, 0))
        if new:
            # Before the values, so that a process killed in between can be completed.
            step = 1 + max((at for _, at in logged), default=-1)
            put_tag(store.client.set_tag, parent.info.run_id, STEP, str(step))
            put_tag(store.client.set_tag, parent.info.run_id, QUANTIFIED, digest)
        missing = [
            Point(name, value, record.evaluated_ms, step)
            for name, value in values.items()
            if (name, step) not in logged
        ]
        runs.log_points(store, parent.info.run_id, missing)
        copied = runs.log_artifacts(store, parent, files, tag=f"{QUANTIFIED}_files")
    what: What = "put back" if new else "completed" if missing or copied else "already there"
    return Restored(str(folder), what, parent.info.run_id, len(missing), copied)


def totals(path: Path) -> dict[str, float]:
    """Metrics of a run from its fields.csv; numbers per cell are over all counted cells."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    done = [row for row in rows if row["status"] == "done"]
    found = {
        "quantify_fields": float(len(done)),
        "quantify_failed_fields": float(len(rows) - len(done)),
        "quantify_granules": sum(float(row["n_granules"]) for row in done),
    }
    counted = [(row, float(row["n_counted_cells"])) for row in done if row["n_counted_cells"]]
    cells = sum(n for _, n in counted)
    if cells:
        found["quantify_cells"] = cells
        for name in ("granules_per_cell", "positive_fraction"):
            total = sum(n * float(row[name]) for row, n in counted if n)
            found[f"quantify_{name}"] = total / cells
    return found


def _files(folder: Path) -> Iterator[Artifact]:
    for pattern in SHOWN:
        for path in sorted(folder.glob(pattern)):
            if path.name not in NOT_SHOWN:
                below = path.relative_to(folder).parent
                yield Artifact(path, (Path(FOLDER) / below).as_posix())
