"""Who a run is, and the run.json that says so beside what was trained. Nothing here knows MLflow.

A cross-validation is known by the digest of all that shapes its models, a fold by that digest and
its number, one training of it by the moment it began; a study likewise by the digest of all that
shapes its trials. All that MLflow shows of a run follows from these files (contract 7), so a run
can be put back into any store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sgseg.errors import InputError, Problem

RUN_FILE = "run.json"
Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class DatasetInput:
    """A data set that a run has read."""

    name: str
    digest: str
    """Its DVC md5, or whatever identifies its content; at most 36 characters."""
    source: str
    """Where it is: a path relative to the project's root, or a URI."""
    context: str = "training"
    profile: Mapping[str, Any] = field(default_factory=dict)
    """A few numbers that describe it, such as the number of images."""


@dataclass(frozen=True)
class CrossValidation:
    """The parent run: what the folds of one cross-validation share."""

    key: str
    """Digest of all that shapes the models: parameters, data and code."""
    name: str
    experiment: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetInput, ...] = ()


@dataclass(frozen=True)
class FoldIdentity:
    """One fold of a cross-validation."""

    cv: CrossValidation
    fold: int
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of this fold alone, added to those of the cross-validation."""


@dataclass(frozen=True)
class FoldRecord:
    """What run.json of a fold holds. Times are Unix times in milliseconds."""

    identity: FoldIdentity
    started_ms: int
    ended_ms: int | None = None
    status: Status = "RUNNING"
    mlflow_run_id: str | None = None
    process: str = ""
    """The process that trains, as `running_process` writes it; empty once it has ended."""
    epoch_ms: Mapping[str, int] = field(default_factory=dict)
    """When each epoch ended, by its number."""

    @property
    def run_key(self) -> str:
        """Names this one training of this fold, in every store."""
        return f"{self.identity.cv.key[:16]}-{self.identity.fold}-{self.started_ms}"

    def ended(self, status: Status, ended_ms: int) -> FoldRecord:
        """The same training, over."""
        return replace(self, status=status, ended_ms=ended_ms, process="")


@dataclass(frozen=True)
class EvaluationRecord:
    """What run.json of an evaluation holds."""

    cv: CrossValidation
    started_ms: int
    """When the first fold began, Unix time in milliseconds."""
    evaluated_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TuningRecord:
    """A study, the parent run of its trials, and what its run.json holds."""

    key: str
    """Digest of all that shapes the trials: parameters, search, data and code."""
    name: str
    experiment: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    datasets: tuple[DatasetInput, ...]
    started_ms: int
    ended_ms: int | None = None
    """Unix times in milliseconds; None while it goes on."""


def write_record(record: FoldRecord | EvaluationRecord | TuningRecord, folder: str | Path) -> None:
    """Write run.json, all of it or nothing."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{RUN_FILE}.{os.getpid()}"
    temporary.write_text(
        json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    temporary.replace(folder / RUN_FILE)


def read_fold(folder: str | Path) -> FoldRecord:
    """The run.json of a fold.

    Raises
    ------
    InputError
        The file is missing, or not what `write_record` writes.
    """
    path = Path(folder) / RUN_FILE
    content = read_mapping(path)
    try:
        identity = content.pop("identity")
        cv = _cross_validation(identity.pop("cv"))
        return FoldRecord(identity=FoldIdentity(cv=cv, **identity), **content)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(not_ours(path, error)) from None


def read_evaluation(folder: str | Path) -> EvaluationRecord:
    """The run.json of an evaluation.

    Raises
    ------
    InputError
        The file is missing, or not what `write_record` writes.
    """
    path = Path(folder) / RUN_FILE
    content = read_mapping(path)
    try:
        return EvaluationRecord(cv=_cross_validation(content.pop("cv")), **content)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(not_ours(path, error)) from None


def read_tuning(folder: str | Path) -> TuningRecord:
    """The run.json of a study.

    Raises
    ------
    InputError
        The file is missing, or not what `write_record` writes.
    """
    path = Path(folder) / RUN_FILE
    content = read_mapping(path)
    try:
        datasets = tuple(DatasetInput(**item) for item in content.pop("datasets"))
        return TuningRecord(datasets=datasets, **content)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(not_ours(path, error)) from None


def _cross_validation(content: dict[str, Any]) -> CrossValidation:
    datasets = tuple(DatasetInput(**item) for item in content.pop("datasets"))
    return CrossValidation(datasets=datasets, **content)


def read_mapping(path: Path) -> dict[str, Any]:
    """The content of a JSON file that describes a run.

    Raises
    ------
    InputError
        The file is missing, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            Problem(str(path), "no such file", remedy="Run the stage that makes it, or `dvc pull`.")
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(not_ours(path, error)) from None
    if not isinstance(content, dict):
        raise InputError(not_ours(path, TypeError("no mapping")))
    return content


def not_ours(path: Path, error: Exception) -> Problem:
    """What to say of a file that is not as it was written."""
    return Problem(
        str(path),
        f"cannot be read as the record of a run ({' '.join(str(error).split())})",
        remedy="Restore it with `dvc checkout`, or run the stage that makes it again.",
    )
