"""Runs found by what a person calls them, and their files read. Nothing here writes to a store."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.tracking.runs import CV_KEY, FOLD, KIND, PARENT, STUDY_KEY, SUPERSEDED
from sgseg.tracking.store import Store, failures_named, without_password

CROSS_VALIDATION, FOLD_KIND, TRIAL_KIND, STUDY = "cross_validation", "fold", "trial", "study"
ID_OR_PREFIX = re.compile("[0-9a-f]{4,32}")
AT_ONCE = 1000
"""Runs that are asked for at once."""


@dataclass(frozen=True)
class FoundRun:
    """A run of sgseg in a store.

    Parameters
    ----------
    kind
        `cross_validation`, `fold`, `study` or `trial`.
    key
        Of its cross-validation or study.
    fold
        Number of a fold; None for other kinds.
    parent
        Id of the run that it belongs to; empty if to none.
    data
        Digest of each data set that it has read, by name.
    started_ms
        Unix time in milliseconds.
    """

    id: str
    name: str
    kind: str
    experiment_id: str
    key: str
    fold: int | None
    parent: str
    started_ms: int
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)


def named_runs(store: Store, name: str) -> list[FoundRun]:
    """The runs that a name may mean, of all experiments, the oldest first.

    Parameters
    ----------
    name
        A run's id or the beginning of it (4 characters and more); its whole name; the digest that
        the name ends with; or, of a fold, the name of its cross-validation, a `/` and its own.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    found = _named(store, name)
    above, slash, own = name.rpartition("/")
    if found or not slash:
        return found
    number = own.removeprefix("fold").strip()
    return [
        child
        for parent in _named(store, above)
        if parent.kind == CROSS_VALIDATION
        for child in folds_of(store, parent)
        if str(child.fold) == number
    ]


def runs_of_kind(store: Store, kind: str) -> list[FoundRun]:
    """All runs of a kind, of all experiments, the oldest first; none that is superseded."""
    return _search(store, f"tags.`{KIND}` = '{kind}'")


def folds_of(store: Store, parent: FoundRun) -> list[FoundRun]:
    """The folds of a cross-validation."""
    return _search(store, f"tags.`{KIND}` = '{FOLD_KIND}' and tags.`{CV_KEY}` = '{parent.key}'")


def trials_below(store: Store, study: FoundRun) -> list[FoundRun]:
    """The trials of a search."""
    return _search(store, f"tags.`{KIND}` = '{TRIAL_KIND}' and tags.`{STUDY_KEY}` = '{study.key}'")


def read_artifact(store: Store, run: FoundRun, path: str) -> str | None:
    """A text file of a run, for example `report/images.csv`; None if the run has none there.

    Raises
    ------
    StoreError
        The files of the store cannot be read.
    InputError
        The file is no text.
    """
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415

    folder = path.rpartition("/")[0]
    with failures_named(store.uri, afterwards=""), tempfile.TemporaryDirectory() as scratch:
        if path not in {item.path for item in store.client.list_artifacts(run.id, folder or None)}:
            return None
        got = download_artifacts(
            run_id=run.id, artifact_path=path, dst_path=scratch, tracking_uri=store.uri
        )
        try:
            return Path(got).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            where = f"{path} of run {run.id} ({without_password(store.uri)})"
            raise InputError(Problem(where, "no text", "a table as UTF-8")) from None


def find_by_id(store: Store, run_id: str) -> FoundRun | None:
    """The run of this id; None if there is none, if it was deleted, or if it is none of sgseg."""
    found = _search(store, f"attributes.run_id = '{run_id}'") if run_id else []
    return found[0] if found else None


def _named(store: Store, name: str) -> list[FoundRun]:
    if not name or "`" in name or ("'" in name and '"' in name):
        return []
    if ID_OR_PREFIX.fullmatch(name):
        by_id = _search(store, f"attributes.run_id LIKE '{name}%'")
        if by_id:
            return by_id
    quote = '"' if "'" in name else "'"
    by_name = _search(store, f"attributes.run_name = {quote}{name}{quote}")
    if by_name or not ID_OR_PREFIX.fullmatch(name):
        return by_name
    return _search(store, f"attributes.run_name LIKE '% {name}'")


def _search(store: Store, wanted: str) -> list[FoundRun]:
    """Runs of sgseg that are neither deleted nor superseded."""
    found: list[Any] = []
    with failures_named(store.uri, afterwards=""):
        experiments = [item.experiment_id for item in store.client.search_experiments()]
        token: str | None = None
        while experiments:
            page = store.client.search_runs(
                experiments,
                wanted,
                max_results=AT_ONCE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            found += page
            token = page.token
            if not token:
                break
    ours = [run for run in found if KIND in run.data.tags and SUPERSEDED not in run.data.tags]
    return [_found(run) for run in ours]


def _found(run: Any) -> FoundRun:
    tags = run.data.tags
    inputs: Sequence[Any] = run.inputs.dataset_inputs if run.inputs else []
    return FoundRun(
        id=run.info.run_id,
        name=run.info.run_name,
        kind=tags[KIND],
        experiment_id=run.info.experiment_id,
        key=tags.get(CV_KEY) or tags.get(STUDY_KEY) or "",
        fold=int(tags[FOLD]) if tags.get(FOLD, "").isdigit() else None,
        parent=tags.get(PARENT, ""),
        started_ms=int(run.info.start_time),
        params=dict(run.data.params),
        tags=dict(tags),
        data={item.dataset.name: item.dataset.digest for item in inputs},
    )
