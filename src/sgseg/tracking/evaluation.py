"""The scores of a cross-validation: into its run, and those of each fold into the fold's run."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from sgseg.errors import InputError, Problem
from sgseg.evaluation.table import COLUMNS, HEADLINE, score_rows
from sgseg.tracking import runs
from sgseg.tracking.files import Artifact, Point, artifacts
from sgseg.tracking.identity import (
    EvaluationRecord,
    FoldRecord,
    read_evaluation,
    read_fold,
    write_record,
)
from sgseg.tracking.provenance import file_md5, provenance_tags
from sgseg.tracking.restore import Restored, What
from sgseg.tracking.store import (
    Store,
    StoreError,
    failures_named,
    open_store,
    put_tag,
    store_lock,
)

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
EVALUATION, NOTE = "sgseg.evaluation_digest", "mlflow.note.content"
NOTE_TITLE = "### Scores"
GAP = "&emsp;"
"""MLflow draws the columns of a table without a space between them."""
SECTIONS = {
    "out_of_fold": "oof",
    "test": "test",
    "baseline_out_of_fold": "baseline_oof",
    "baseline_test": "baseline_test",
    "label_ceiling": "label_ceiling",
    "operating_point": "operating_point",
    "tuned_on_itself": "tuned_on_itself",
    "averaging": "averaging",
    "uncertainty": "uncertainty",
}
"""Sections of metrics.json that hold one score by name, and how their metrics begin."""


def write_evaluation(folder: str | Path, folds: Iterable[str | Path]) -> EvaluationRecord:
    """Write the run.json of an evaluation: which cross-validation it belongs to.

    Parameters
    ----------
    folder
        Where metrics.json and the pictures are.
    folds
        Folders of the folds that were evaluated.

    Raises
    ------
    InputError
        The run.json of a fold cannot be read; all such folds are named.
    """
    records: list[FoldRecord] = []
    problems: list[Problem] = []
    for item in folds:
        try:
            records.append(read_fold(item))
        except InputError as error:
            problems += error.problems
    if problems or not records:
        raise InputError(*problems or [Problem(str(folder), "no fold to evaluate")])
    records.sort(key=lambda record: record.started_ms)
    cv = records[-1].identity.cv
    strange = [record.identity for record in records if record.identity.cv.key != cv.key]
    if strange:
        numbers = ", ".join(str(identity.fold) for identity in strange)
        logger.warning(
            "Fold %s was trained from other parameters, data or code than the others; MLflow shows "
            "the scores under the newest, %s.",
            numbers,
            cv.name,
        )
    tags = {
        name.replace("mlflow.source.git", "sgseg.evaluation"): value
        for name, value in provenance_tags().items()
        if name.startswith("mlflow.source.git")
    }
    own = [record for record in records if record.identity.cv.key == cv.key]
    record = EvaluationRecord(own[0].identity.cv, own[0].started_ms, _now_ms(), tags)
    write_record(record, folder)
    return record


def log_evaluation(
    folder: str | Path, evaluated: str | Path, *, root: str | Path = "."
) -> Restored | None:
    """Log an evaluation; a store that fails costs a warning, and None is returned.

    Parameters
    ----------
    folder
        With run.json (`write_evaluation`), metrics.json, pictures, tables and the report.
    evaluated
        The model bundle: bundle.json and its members.
    root
        The project's root, home of the default store.
    """
    record = read_evaluation(folder)
    try:
        store = open_store(root, record.cv.experiment)
        return put_evaluation(store, record, Path(folder), Path(evaluated))
    except StoreError as error:
        logger.warning("The evaluation is not in MLflow. %s", error)
        return None


def put_evaluation(
    store: Store, record: EvaluationRecord, folder: Path, evaluated: Path
) -> Restored:
    """See to it that the store shows an evaluation.

    The same evaluation is never logged twice; another one of the same folds is logged at the next
    step and its files replace those of the earlier.

    Raises
    ------
    InputError
        metrics.json is missing or cannot be read.
    StoreError
        The store cannot be written.
    """
    scores = read_scores(folder / METRICS_FILE)
    text = note(scores)
    digest = file_md5(folder / METRICS_FILE)
    files = [
        Artifact(item.path, "report" if item.shown_as == item.path.name else item.folder)
        for item in artifacts(folder, plain="report")
    ] + _bundle(evaluated)
    with failures_named(store.uri):
        with store_lock(store.home):
            parent = runs.ensure_parent(store, record.cv, record.started_ms, restore=False)
            if runs.is_deleted(parent):
                return Restored(str(folder), "deleted in the store", parent.info.run_id)
            runs.settle_parent(store, record.cv.key, otherwise_ended_ms=record.evaluated_ms)
        new = parent.data.tags.get(EVALUATION) != digest
        values = _put_scores(store, parent, parent_scores(scores), digest, record)
        for child in runs.children(store, record.cv.key):
            own = fold_scores(scores, child.data.tags[runs.FOLD])
            values += _put_scores(store, child, own, digest, record)
        _put_note(store, parent, text, record.tags)
        copied = runs.log_artifacts(store, parent, files)
    what: What = "put back" if new else "completed" if values or copied else "already there"
    return Restored(str(folder), what, parent.info.run_id, values, copied)


def read_scores(path: Path) -> dict[str, Any]:
    """metrics.json as a mapping of sections.

    Raises
    ------
    InputError
        It is missing, no JSON or no mapping.
    """
    remedy = "Run `dvc repro evaluate`, or `dvc pull`."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(Problem(str(path), "no such file", remedy=remedy)) from None
    except ValueError as error:
        raise InputError(Problem(str(path), f"no JSON ({error})", remedy=remedy)) from None
    if not isinstance(content, dict):
        raise InputError(Problem(str(path), "no mapping of sections", remedy=remedy))
    return content


def parent_scores(scores: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of the parent run: cv_iou_mean, cv_iou_std, oof_iou, test_iou, ..."""
    result: dict[str, float] = {}
    for name, spread in (scores.get("cv") or {}).items():
        result |= _named("cv", {f"{name}_{key}": value for key, value in spread.items()})
    for section, prefix in SECTIONS.items():
        result |= _named(prefix, scores.get(section) or {})
    return result


def fold_scores(scores: Mapping[str, Any], fold: str) -> dict[str, float]:
    """Metrics of a fold's run: its network on images it has not seen."""
    members = {"oof": "folds", "test": "test_members"}
    return {
        name: value
        for prefix, section in members.items()
        for name, value in _named(prefix, (scores.get(section) or {}).get(fold, {})).items()
    }


def _named(prefix: str, scores: Mapping[str, Any]) -> dict[str, float]:
    """Flat metrics of a section; of {"value":, "low":, "high":} the value.

    Intervals are in the table of the run's page: as metrics they would bury the scores.
    """
    values = {
        f"{prefix}_{name}": score.get("value") if isinstance(score, Mapping) else score
        for name, score in scores.items()
    }
    return {name: float(value) for name, value in values.items() if _is_number(value)}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _put_scores(
    store: Store, run: Any, scores: Mapping[str, float], digest: str, record: EvaluationRecord
) -> int:
    """Log scores at the step after those of the last evaluation; the number of values logged.

    The tag is set before the values and names their step, so that a process killed in between
    leaves something that the next can complete.
    """
    if not scores:
        return 0
    number = run.info.run_id
    logged = {(name, step) for name, step in runs.logged_points(store, run) if name in scores}
    if run.data.tags.get(EVALUATION) == digest:
        step = int(run.data.tags.get(f"{EVALUATION}_step", 0))
    else:
        step = 1 + max((step for _, step in logged), default=-1)
        put_tag(store.client.set_tag, number, f"{EVALUATION}_step", str(step))
        put_tag(store.client.set_tag, number, EVALUATION, digest)
    missing = [
        Point(name, value, record.evaluated_ms, step)
        for name, value in scores.items()
        if (name, step) not in logged
    ]
    runs.log_points(store, number, missing)
    return len(missing)


def _put_note(store: Store, parent: Any, text: str, tags: Mapping[str, str]) -> None:
    """The table at the top of the run's page; a description that somebody wrote is left alone."""
    found = parent.data.tags.get(NOTE, "")
    wanted = {**tags, NOTE: text} if not found or found.startswith(NOTE_TITLE) else tags
    for name, value in wanted.items():
        if parent.data.tags.get(name) != value:
            put_tag(store.client.set_tag, parent.info.run_id, name, value)


def note(scores: Mapping[str, Any]) -> str:
    """The table of the report, in Markdown."""
    rows = [
        [name, *(cell.replace(" ", "&nbsp;") for cell in cells)]  # one line each
        for name, *cells in score_rows(scores, HEADLINE)
        if any(cells)
    ]
    lines = [f"{GAP} | ".join(line) for line in (COLUMNS, *rows)]
    lines.insert(1, " | ".join("---" for _ in COLUMNS))
    return "\n".join([NOTE_TITLE, "", *(f"| {line} |" for line in lines)])


def _bundle(evaluated: Path) -> list[Artifact]:
    """The bundle, which is a model: bundle.json and the members beside it."""
    return [
        Artifact(path, "bundle")
        for path in sorted(evaluated.glob("*"))
        if path.suffix in {".json", ".onnx"}
    ]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
