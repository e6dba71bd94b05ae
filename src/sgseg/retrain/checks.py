"""Whether a retrain can begin: the place, the tree, the data it is about."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from sgseg.config import load_params
from sgseg.errors import InputError, Problem
from sgseg.retrain import settings
from sgseg.retrain.delivery import DECISION, LOCK_FILE, LOG, PAGE
from sgseg.retrain.git import Repository

WRITTEN = (LOCK_FILE, "splits/*.csv", LOG, PAGE, DECISION)
"""Tracked files that stages and a retrain write: a killed one may have left them changed."""


def check_place(root: Path) -> None:
    """A project under git, with a commit, and DVC.

    Raises
    ------
    InputError
        Something of that is missing; all of it is named.
    """
    repository = Repository(root)
    problems = []
    if not (root / ".dvc").is_dir():
        problems.append(Problem(str(root), "no DVC here", remedy="Run `dvc init`."))
    for name in ("params.yaml", "dvc.yaml"):
        if not (root / name).is_file():
            remedy = "Run from the project's root."
            problems.append(Problem(str(root / name), "no such file", remedy=remedy))
    if repository.commit_of("HEAD") is None:
        expected = "a project under git with a commit"
        problems.append(Problem(str(root), "no commit that could be retrained", expected))
    if problems:
        raise InputError(*problems)


def check_tree(
    repository: Repository,
    *,
    before: bytes,
    values: Mapping[str, Any],
    base: str | None = None,
) -> None:
    """No tracked file is changed but what stages write, and params.yaml by these very values.

    Parameters
    ----------
    before
        params.yaml of the commit.
    base
        The commit that must still be checked out; None: any.

    Raises
    ------
    InputError
        Others are; all of them are named. Or git is at work, or on another commit.
    """
    repository.wait_until_idle()
    if base is not None and repository.commit_of("HEAD") != base:
        raise InputError(
            Problem(
                str(repository.root),
                f"another commit than {base[:7]} was checked out meanwhile",
                remedy="Go back to it and give the same command again: nothing is trained again.",
            )
        )
    changed = [name for name in repository.changed() if not _is_written(name)]
    if settings.PARAMS in changed and values:
        text = settings.edited(before.decode("utf-8"), values).encode("utf-8")
        if (repository.root / settings.PARAMS).read_bytes() == text:
            changed.remove(settings.PARAMS)
    if changed:
        remedy = "Commit them, or put them aside (`git stash`), and give the command again."
        if base is not None:
            remedy += " Nothing is trained again."
        raise InputError(
            *[
                Problem(name, "changed and not committed" if base is None else "changed meanwhile")
                for name in changed
            ],
            title=f"A retrain is of a commit, and these files differ from it. {remedy}",
        )


def _is_written(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in WRITTEN)


def mend_lock_file(repository: Repository, base: str) -> None:
    """Begin at the commit's dvc.lock, whatever a killed DVC has left of it.

    The results of the stages that it had finished are in DVC's cache of runs, from which they come
    back in a moment.
    """
    repository.put_back(base, [LOCK_FILE])


def data_source(root: Path) -> str:
    """The name of the data set in use."""
    return load_params(root / settings.PARAMS).data.source


def raw_data(source: str) -> str:
    """The folder of a data set as the lab handed it over."""
    return f"data/raw/{source}"


def raw_file(root: Path, source: str) -> str | None:
    """Its .dvc file; None where a stage makes it."""
    name = f"{raw_data(source)}.dvc"
    if (root / name).is_file():
        return name
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    if any(raw_data(source) in (stage.get("outs") or []) for stage in stages.values()):
        return None
    if (root / raw_data(source)).is_dir():
        return None
    raise InputError(
        Problem(
            raw_data(source),
            "no such data set, and nothing says how to get it",
            f"{name}, which `sgseg import` writes",
            "Commit that file, or choose another data.source in params.yaml.",
        )
    )
