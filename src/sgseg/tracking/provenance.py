"""Where a run comes from: git, DVC, and digests of parameters, data and code."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sgseg.config import Params
from sgseg.errors import InputError, Problem
from sgseg.tracking.identity import CrossValidation, DatasetInput, TuningRecord

SHAPING = ("evaluate.object_iou", "network", "preprocess", "train")
"""Parameters and whole sections of params.yaml on which the models depend, given the data."""
TUNE_SHAPING = (*SHAPING, "evaluate.min_areas_px", "evaluate.thresholds")
"""Those on which the score of a trial depends."""
SETTLED_SECONDS = 0.2
"""A file that was written to so long ago is whole; DVC takes a tenth of a second for its own."""
WRITTEN_BY_STAGES = ("dvc.lock", "registry/history.jsonl", "splits/*.csv")
UPSTREAM = ("data", "ingest", "validate", "split")
"""Sections that shape the data: they are logged, and enter a key through the digest of the data."""


@dataclass(frozen=True)
class GitState:
    """The commit that is checked out, and whether a tracked file differs from it."""

    commit: str
    branch: str
    dirty: bool


def git_state(root: str | Path = ".") -> GitState | None:
    """State of the git repository around `root`; None without git, repository or commit.

    dvc.lock, the log of the registry and the assignment of test images do not make the state dirty:
    `dvc repro` writes them while the stages run.
    """
    commit = _git(root, "rev-parse", "HEAD")
    written = [f":(exclude){name}" for name in WRITTEN_BY_STAGES]
    changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *written)
    if commit is None or changes is None:
        return None
    branch = _git(root, "symbolic-ref", "--short", "--quiet", "HEAD")
    return GitState(commit, branch or "", bool(changes))


def provenance_tags(root: str | Path = ".", *, stage: str | None = None) -> dict[str, str]:
    """Tags that say where a run comes from, in MLflow's own names where it has them.

    Parameters
    ----------
    root
        The project's root.
    stage
        Name of the DVC stage; by default what DVC says in DVC_STAGE.
    """
    state = git_state(root)
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": Path(sys.argv[0]).name,
        "sgseg.dvc_stage": stage if stage is not None else os.environ.get("DVC_STAGE", ""),
        "sgseg.dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
    }
    if state is not None:
        tags["mlflow.source.git.commit"] = state.commit
        tags["mlflow.source.git.branch"] = state.branch
        tags["mlflow.source.git.dirty"] = str(state.dirty).lower()
    return {name: value for name, value in tags.items() if value}


def cross_validation(
    params: Params,
    *,
    datasets: Sequence[DatasetInput],
    code: Iterable[str | Path],
    root: str | Path = ".",
    sources: Mapping[str, str] | None = None,
) -> CrossValidation:
    """The identity of the cross-validation that these parameters, data and code make.

    Parameters
    ----------
    params
        All parameters. Those of `SHAPING` enter the key and are logged, those of `UPSTREAM` are
        logged. Of a network to start from the content enters the key, not the path.
    datasets
        What the folds read; their digests enter the key.
    code
        Files and folders of Python source that shape the models, relative to `root`.
    sources
        Where the values of parameters come from: "tuned", "explicit" or "start" by dotted name. For
        two of them a tag names the parameters; no part of the key.

    Raises
    ------
    InputError
        `train.init` names no file.
    """
    every = _every(params, root)
    shaping, upstream = _chosen(every, SHAPING), _chosen(every, UPSTREAM)
    key, tags = _identify(shaping, {}, datasets, code, root)
    for source in ("tuned", "explicit"):
        named = sorted(name for name, found in (sources or {}).items() if found == source)
        tags |= {f"sgseg.{source}": ", ".join(named)} if named else {}
    network, train = params.network, params.train
    return CrossValidation(
        key=key,
        name=f"cv {network.architecture}-{train.loss.name}-{train.optimizer.name} {key[:7]}",
        experiment=params.tracking.experiment,
        params={**upstream, **shaping},
        tags={**provenance_tags(root, stage=""), **tags},
        datasets=tuple(datasets),
    )


def tuning_study(
    params: Params,
    *,
    datasets: Sequence[DatasetInput],
    code: Iterable[str | Path],
    settings: Mapping[str, Any],
    root: str | Path = ".",
) -> TuningRecord:
    """The identity of the study that these parameters, search settings, data and code make.

    It begins now; who continues a study keeps the record of its beginning.

    Parameters
    ----------
    params
        All parameters. Those of `TUNE_SHAPING` enter the key and are logged, without those that are
        searched: their values here, from an earlier study or a start, shape no trial.
    datasets
        What the trials read; their digests enter the key.
    code
        Files and folders of Python source that shape the trials, relative to `root`.
    settings
        What shapes the search and is the same for all of its trials, in values that JSON can hold:
        `space` with what is searched by dotted name, and the folds, epochs, seed and so on, but not
        the number of trials, which may grow. Enters the key; is logged as `tune.*`.

    Raises
    ------
    InputError
        `train.init` names no file.
    """
    every = _every(params, root)
    searched = _chosen(every, settings.get("space", {}))
    fixed = {name: value for name, value in every.items() if name not in searched}
    shaping, upstream = _chosen(fixed, TUNE_SHAPING), _chosen(fixed, UPSTREAM)
    key, tags = _identify(shaping, settings, datasets, code, root)
    return TuningRecord(
        key=key,
        name=f"tune {params.data.source} {key[:7]}",
        experiment=params.tracking.experiment,
        params={**upstream, **shaping, **flat({"tune": settings})},
        tags={**provenance_tags(root), **tags},
        datasets=tuple(datasets),
        started_ms=time.time_ns() // 1_000_000,
    )


def _every(params: Params, root: str | Path) -> dict[str, str]:
    """All parameters, flat, and with the network to start from its digest."""
    every = flat(params.model_dump(by_alias=True, mode="json"))
    if params.train.init is not None:
        every["train.init_md5"] = _md5_of_start(Path(root) / params.train.init)
    return every


def _md5_of_start(path: Path) -> str:
    try:
        return file_md5(path)
    except OSError as error:
        raise InputError(
            Problem(
                f"{path} (train.init)",
                "no such file" if isinstance(error, FileNotFoundError) else str(error),
                "a network to start from",
                "Give the path of a .keras file, or null.",
            )
        ) from None


def _identify(
    shaping: Mapping[str, str],
    settings: Mapping[str, Any],
    datasets: Sequence[DatasetInput],
    code: Iterable[str | Path],
    root: str | Path,
) -> tuple[str, dict[str, str]]:
    """The key, and the tags with the digests that it is made of."""
    known = {name: value for name, value in shaping.items() if name != "train.init"}
    params_digest = digest([known, settings] if settings else known)
    code_md5 = code_digest(code, root)
    key = digest([params_digest, code_md5, sorted([item.name, item.digest] for item in datasets)])
    return key, {"sgseg.params_digest": params_digest, "sgseg.code_digest": code_md5}


def _chosen(params: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The parameters of these names, or in these sections."""
    return {
        key: value
        for key, value in params.items()
        if any(key == name or key.startswith(f"{name}.") for name in names)
    }


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters with dotted names; values written as in JSON, text without quotes."""
    result: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return result


def digest(content: Any) -> str:
    """MD5 of a value that JSON can hold, whatever the order of its keys."""
    return hashlib.md5(
        json.dumps(content, sort_keys=True).encode(), usedforsecurity=False
    ).hexdigest()


def code_digest(paths: Iterable[str | Path], root: str | Path = ".") -> str:
    """MD5 over the Python source below these files and folders, with their names."""
    root = Path(root)
    files: set[Path] = set()
    for path in (root / item for item in paths):
        files |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return digest([[file.relative_to(root).as_posix(), file_md5(file)] for file in sorted(files)])


def file_md5(path: Path) -> str:
    """MD5 of a file's bytes, as DVC computes it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def dvc_md5(path: str | Path, root: str | Path = ".") -> str:
    """The md5 by which DVC knows a file or folder, relative to `root`.

    Read from dvc.lock or the .dvc file beside it; computed the way DVC does where neither knows
    it. A folder's ends in `.dir`.
    """
    root, name = Path(root), Path(path).as_posix()
    for base, outs in _tracked(root, name):
        for out in outs:
            if (base / str(out.get("path"))).as_posix() == name and out.get("md5"):
                return str(out["md5"])
    target = root / name
    if target.is_file():
        return file_md5(target)
    entries = [
        {"md5": file_md5(file), "relpath": file.relative_to(target).as_posix()}
        for file in target.rglob("*")
        if file.is_file()
    ]
    return digest(sorted(entries, key=lambda entry: entry["relpath"])) + ".dir"


def _tracked(root: Path, name: str) -> Iterable[tuple[Path, list[dict[str, Any]]]]:
    """Outputs that DVC has on record, with the folder to which their paths are relative."""
    beside = Path(f"{name}.dvc")
    if (root / beside).is_file():
        yield beside.parent, _load_yaml(root / beside).get("outs") or []
    if (root / "dvc.lock").is_file():
        _settle(root / "dvc.lock")
        stages = _load_yaml(root / "dvc.lock").get("stages") or {}
        for stage in stages.values():
            yield Path(), stage.get("outs") or []


def _settle(path: Path) -> None:
    """Wait until DVC has written its file: in place, when a stage beside this one ends."""
    while abs(time.time() - path.stat().st_mtime) < SETTLED_SECONDS:
        time.sleep(SETTLED_SECONDS / 4)


def _load_yaml(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded if isinstance(loaded, dict) else {}


def _git(root: str | Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
