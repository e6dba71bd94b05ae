"""Whether a retrain can begin: the place, what is not committed, the data, the branch."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from sgseg.errors import InputError, Problem
from sgseg.retrain import settings
from sgseg.retrain.dvc import Dvc
from sgseg.retrain.git import Repository

SHAPING = (settings.PARAMS, "dvc.yaml", "pipelines", "src", "data/raw/*.dvc", "splits")
"""Files and folders in git on which stages depend."""
COMMIT_FIRST = (
    "A retrain is of a commit, and these differ from it: commit them first, or give parameters "
    "with --set"
)
logger = logging.getLogger(__name__)


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
    for name in (settings.PARAMS, "dvc.yaml"):
        if not (root / name).is_file():
            remedy = "Run from the project's root."
            problems.append(Problem(str(root / name), "no such file", remedy=remedy))
    if root.is_dir() and repository.commit_of("HEAD") is None:
        expected = "a project under git with a commit"
        problems.append(Problem(str(root), "no commit that could be retrained", expected))
    if problems:
        raise InputError(*problems)


def check_tree(repository: Repository, dvc: Dvc, source: str) -> None:
    """Nothing that a user may take for a part of the retrain is missing in the commit.

    Raises
    ------
    InputError
        Files on which stages depend are changed, or the data set is not in git or changed since it
        was added; all of them are named.
    """
    problems = [Problem(name, "changed and not committed") for name in repository.changed(*SHAPING)]
    tracked = f"{raw_data(source)}.dvc"
    if (repository.root / tracked).is_file():
        if repository.content("HEAD", tracked) is None:
            problems.append(Problem(tracked, "not committed"))
        elif (repository.root / raw_data(source)).is_dir() and _differs(dvc, tracked):
            remedy = "`sgseg data add` or `dvc add` keeps that; then commit."
            problems.append(Problem(raw_data(source), "files are new, changed or gone", "", remedy))
    if problems:
        raise InputError(*problems, title=COMMIT_FIRST)


def _differs(dvc: Dvc, tracked: str) -> bool:
    try:
        return bool(dvc.status(tracked))
    except InputError as error:
        # Somebody may be at work there, which is none of a retrain's business.
        logger.info("Whether %s is as it was added cannot be said: %s", tracked, error)
        return False


def check_name(branch: str, taken: Iterable[str]) -> None:
    """Beside the branches that there are, one of this name is possible.

    Raises
    ------
    InputError
        git keeps branches like files: `retrain/1` cannot be where `retrain` is.
    """
    for other in sorted(taken):
        if branch.startswith(f"{other}/") or other.startswith(f"{branch}/"):
            remedy = "Rename that one, or choose another name with --branch."
            what = f"cannot be made: git allows none beside the branch {other}"
            raise InputError(Problem(f"branch {branch}", what, remedy=remedy))


def source_at(repository: Repository, commit: str, values: Mapping[str, Any]) -> str:
    """The name of the data set that is in use at a commit, or by the values given.

    Raises
    ------
    InputError
        The commit has no such parameter.
    """
    if "data.source" in values:
        return str(values["data.source"])
    try:
        content = yaml.safe_load(repository.content(commit, settings.PARAMS) or b"")
        return str(content["data"]["source"])
    except (yaml.YAMLError, LookupError, TypeError):
        what = f"data.source is not there at {commit[:7]}"
        raise InputError(Problem(settings.PARAMS, what)) from None


def raw_data(source: str) -> str:
    """The folder of a data set as the lab handed it over."""
    return f"data/raw/{source}"


def raw_file(root: Path, source: str) -> str | None:
    """Its .dvc file; None where a stage makes it, or git has it.

    Raises
    ------
    InputError
        None of them.
    """
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
            "no such data set in the commit, and nothing says how to get it",
            f"{name}, which `sgseg import` writes",
            "Commit that file, or choose another data.source in params.yaml.",
        )
    )
