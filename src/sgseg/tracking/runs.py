"""Runs in the store: found by their tags, created once, filled with what they lack.

Everything here may be called again with the same arguments and then changes nothing. Who looks
for a run in order to create it holds `store_lock`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sgseg.tracking.files import TIMESTAMP, Artifact, Point, content_digest
from sgseg.tracking.identity import (
    CrossValidation,
    DatasetInput,
    FoldIdentity,
    FoldRecord,
    TuningRecord,
)
from sgseg.tracking.process import is_gone
from sgseg.tracking.store import Store, put_tag

KIND, CV_KEY, FOLD = "sgseg.kind", "sgseg.cv_key", "sgseg.fold"
RUN_KEY, PROCESS, CONTENT = "sgseg.run_key", "sgseg.process", "sgseg.content_digest"
SUPERSEDED = "sgseg.superseded"
STUDY_KEY, TRIAL = "sgseg.study_key", "sgseg.trial"
PARENT = "mlflow.parentRunId"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Of folds in charts (Okabe and Ito), as MLflow's own choice gives two of four the same."""
METRICS_AT_ONCE, PARAMS_AT_ONCE = 500, 100


def find_runs(store: Store, tags: Mapping[str, str], *, deleted: bool = False) -> list[Any]:
    """Runs that carry all these tags, the oldest first; with `deleted`, those in the bin too."""
    from mlflow.entities import ViewType  # noqa: PLC0415

    return list(
        store.client.search_runs(
            [store.experiment_id],
            " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items()),
            run_view_type=ViewType.ALL if deleted else ViewType.ACTIVE_ONLY,
            order_by=["attributes.start_time ASC"],
        )
    )


def is_deleted(run: Any) -> bool:
    """Whether the run lies in MLflow's bin."""
    return bool(run.info.lifecycle_stage == "deleted")


def find_run(store: Store, tags: Mapping[str, str]) -> Any | None:
    """The oldest run that carries these tags; a deleted one only if there is no other."""
    return min(find_runs(store, tags, deleted=True), key=is_deleted, default=None)


def find_parent(store: Store, cv_key: str) -> Any | None:
    """The run of a cross-validation."""
    return find_run(store, {KIND: "cross_validation", CV_KEY: cv_key})


def find_fold(store: Store, run_key: str) -> Any | None:
    """The run of one training of a fold."""
    return find_run(store, {RUN_KEY: run_key})


def find_left_behind(store: Store, identity: FoldIdentity) -> Any | None:
    """The newest run of this fold, if its training was stopped before its end."""
    for run in reversed(children(store, identity.cv.key)):
        if run.data.tags.get(FOLD) == str(identity.fold):
            stopped = run.info.status in {"FAILED", "KILLED"}
            return run if stopped or _killed(run) else None
    return None


def children(store: Store, cv_key: str) -> list[Any]:
    """Runs of the folds of a cross-validation, the oldest first, without superseded ones."""
    found = find_runs(store, {KIND: "fold", CV_KEY: cv_key})
    return [run for run in found if SUPERSEDED not in run.data.tags]


def trials(store: Store, study_key: str) -> list[Any]:
    """Runs of the trials of a study, the oldest first, without superseded ones."""
    found = find_runs(store, {KIND: "trial", STUDY_KEY: study_key})
    return [run for run in found if SUPERSEDED not in run.data.tags]


def ensure_parent(
    store: Store, cv: CrossValidation, started_ms: int, *, restore: bool = True
) -> Any:
    """The run of a cross-validation: found, created, or with `restore` fetched from the bin."""
    own = {KIND: "cross_validation", CV_KEY: cv.key}
    return ensure_run(store, cv, own, started_ms, restore=restore)


def ensure_run(
    store: Store,
    shown: CrossValidation | TuningRecord,
    own: Mapping[str, str],
    started_ms: int,
    *,
    restore: bool,
) -> Any:
    """The run with the tags `own`: found, created, or with `restore` fetched from the bin."""
    run = find_run(store, own)
    if run is None:
        run = create_run(store, shown.name, {**shown.tags, **own}, started_ms)
    elif is_deleted(run) and restore:
        store.client.restore_run(run.info.run_id)
    elif is_deleted(run):
        return run
    log_params(store, run, shown.params)
    log_datasets(store, run, shown.datasets)
    return store.client.get_run(run.info.run_id)


def create_fold(store: Store, record: FoldRecord) -> Any:
    """A new run for one training of a fold; older ones of this fold are marked superseded."""
    identity, cv = record.identity, record.identity.cv
    parent = ensure_parent(store, cv, record.started_ms)
    own = {
        KIND: "fold",
        CV_KEY: cv.key,
        FOLD: str(identity.fold),
        RUN_KEY: record.run_key,
        PARENT: parent.info.run_id,
        # At once: of a process that dies, or finds the disk full, right after this.
        PROCESS: record.process,
        "mlflow.runColor": COLOURS[identity.fold % len(COLOURS)],
    }
    run = create_run(
        store, f"fold {identity.fold}", {**cv.tags, **identity.tags, **own}, record.started_ms
    )
    same = [run for run in children(store, cv.key) if run.data.tags[FOLD] == own[FOLD]]
    supersede(store, same[:-1])
    return run


def supersede_earlier(store: Store, run: Any) -> None:
    """Mark the runs of the same fold that began before this one."""
    tags, began = run.data.tags, run.info.start_time
    supersede(
        store,
        [
            other
            for other in children(store, tags[CV_KEY])
            if other.data.tags[FOLD] == tags[FOLD]
            and other.info.run_id != run.info.run_id
            and other.info.start_time <= began
        ],
    )


def supersede(store: Store, earlier: Sequence[Any]) -> None:
    """Mark runs of folds or trials whose place another has taken."""
    for previous in earlier:
        number = previous.info.run_id
        put_tag(store.client.set_tag, number, SUPERSEDED, "true")
        store.client.update_run(number, name=f"{previous.info.run_name} (superseded)")
        if _killed(previous):
            terminate_killed(store, previous)


def describe_fold(store: Store, run: Any, record: FoldRecord) -> None:
    """Parameters and data sets of a fold."""
    cv = record.identity.cv
    log_params(store, run, {**cv.params, "fold": str(record.identity.fold)})
    log_datasets(store, run, cv.datasets)


def set_status(store: Store, run: Any, status: str, ended_ms: int | None) -> bool:
    """Give a run its status; True if that changed anything."""
    same_end = status == "RUNNING" or run.info.end_time == ended_ms
    if run.info.status == status and same_end:
        return False
    if status == "RUNNING":
        store.client.update_run(run.info.run_id, status=status)
    else:
        store.client.set_terminated(run.info.run_id, status, ended_ms)
    return True


def settle_parent(store: Store, cv_key: str, *, otherwise_ended_ms: int | None = None) -> None:
    """Let a cross-validation run while a fold does, and end with the last of them.

    Without any fold in the store it ends at `otherwise_ended_ms`.
    """
    parent, folds = find_parent(store, cv_key), children(store, cv_key)
    if parent is None or is_deleted(parent):
        return
    if not folds:
        set_status(store, parent, "FINISHED", otherwise_ended_ms)
        return
    running = [run for run in folds if run.info.status == "RUNNING"]
    if any(not _killed(run) for run in running):
        set_status(store, parent, "RUNNING", None)
        return
    ended = max(run.info.end_time or run.info.start_time for run in folds)
    complete = all(run.info.status == "FINISHED" for run in folds)
    set_status(store, parent, "FINISHED" if complete else "FAILED", ended)


def end_the_killed(store: Store) -> None:
    """Mark the runs of processes that are gone, and let their cross-validations end."""
    killed = [run for run in find_runs(store, {KIND: "fold"}) if _killed(run)]
    for run in killed:
        terminate_killed(store, run)
        settle_parent(store, run.data.tags[CV_KEY])
    for study in [run for run in find_runs(store, {KIND: "study"}) if _killed(run)]:
        ends = [run.info.end_time for run in trials(store, study.data.tags[STUDY_KEY])]
        ended = max([study.info.start_time, *(end for end in ends if end)])
        store.client.set_terminated(study.info.run_id, "KILLED", ended)


def forget_process(store: Store, run: Any) -> None:
    """A run that has ended has no process."""
    if PROCESS in run.data.tags:
        store.client.delete_tag(run.info.run_id, PROCESS)


def system_samples(store: Store, run: Any) -> list[dict[str, float]]:
    """Rows of system_metrics.csv as far as the run has them."""
    rows: dict[int, dict[str, float]] = {}
    for name in (name for name in run.data.metrics if name.startswith("system/")):
        for item in store.client.get_metric_history(run.info.run_id, name):
            row = rows.setdefault(item.step, {"step": item.step, TIMESTAMP: item.timestamp})
            row[name] = item.value
    return [rows[step] for step in sorted(rows)]


def terminate_killed(store: Store, run: Any) -> None:
    """End the run of a process that could not do so itself, at the last moment it was heard of."""
    moments = [run.info.start_time]
    for name in run.data.metrics:
        moments += [
            item.timestamp for item in store.client.get_metric_history(run.info.run_id, name)
        ]
    store.client.set_terminated(run.info.run_id, "KILLED", max(moments))


def _killed(run: Any) -> bool:
    return run.info.status == "RUNNING" and is_gone(run.data.tags.get(PROCESS, ""))


def create_run(store: Store, name: str, tags: Mapping[str, str], started_ms: int) -> Any:
    """A new run; tags without a value are left out."""
    kept = {key: value for key, value in tags.items() if value}
    return store.client.create_run(
        store.experiment_id, start_time=started_ms, tags=kept, run_name=name
    )


def log_params(store: Store, run: Any, params: Mapping[str, str]) -> None:
    """Log the parameters that the run does not have."""
    from mlflow.entities import Param  # noqa: PLC0415

    missing = [Param(key, value) for key, value in params.items() if key not in run.data.params]
    for start in range(0, len(missing), PARAMS_AT_ONCE):
        store.client.log_batch(run.info.run_id, params=missing[start : start + PARAMS_AT_ONCE])


def log_datasets(store: Store, run: Any, datasets: Iterable[DatasetInput]) -> None:
    """Log the data sets that the run does not have; as `mlflow.log_input` does."""
    from mlflow.entities import Dataset, InputTag  # noqa: PLC0415
    from mlflow.entities import DatasetInput as MlflowInput  # noqa: PLC0415

    logged = run.inputs.dataset_inputs if run.inputs else []
    known = {(item.dataset.name, item.dataset.digest) for item in logged}
    missing = [
        MlflowInput(
            Dataset(
                name=item.name,
                digest=item.digest,
                source_type="local",
                source=json.dumps({"uri": item.source}),
                profile=json.dumps(dict(item.profile)) if item.profile else None,
            ),
            [InputTag("mlflow.data.context", item.context)],
        )
        for item in datasets
        if (item.name, item.digest) not in known
    ]
    if missing:
        store.client.log_inputs(run.info.run_id, missing)


def logged_points(store: Store, run: Any) -> dict[tuple[str, int], int]:
    """Name and step of every value that the run has, and its time in ms."""
    return {
        (item.key, item.step): item.timestamp
        for name in run.data.metrics
        for item in store.client.get_metric_history(run.info.run_id, name)
    }


def log_points(store: Store, run_id: str, points: Sequence[Point]) -> None:
    """Log values as they are; the caller sees to it that they are new."""
    from mlflow.entities import Metric  # noqa: PLC0415

    metrics = [Metric(item.name, item.value, item.timestamp_ms, item.step) for item in points]
    for start in range(0, len(metrics), METRICS_AT_ONCE):
        store.client.log_batch(run_id, metrics=metrics[start : start + METRICS_AT_ONCE])


def log_artifacts(store: Store, run: Any, files: Sequence[Artifact], *, tag: str = CONTENT) -> int:
    """Copy files into the run unless it has exactly these, as `tag` says; the number copied."""
    number = run.info.run_id
    digest = content_digest(files)
    shown = {item.shown_as for item in files}
    if run.data.tags.get(tag) == digest and shown <= _listed(store, number):
        return 0
    for item in files:
        store.client.log_artifact(number, str(item.path), item.folder or None)
    put_tag(store.client.set_tag, number, tag, digest)
    return len(files)


def _listed(store: Store, run_id: str, folder: str | None = None) -> set[str]:
    """Paths of all files of a run."""
    found: set[str] = set()
    for entry in store.client.list_artifacts(run_id, folder):
        found |= _listed(store, run_id, entry.path) if entry.is_dir else {entry.path}
    return found
