"""What the processes of a retrain find in their environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sgseg.tracking.store import tracking_uri

ABOUT_A_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
"""A hook of git's has them, and they would lead every git below it to the hook's repository."""
MARK = "SGSEG_RETRAIN_TREE"
"""By it a process is known that a killed retrain has left running."""


def without_repository(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which git finds the repository by the folder alone."""
    return {name: value for name, value in environment.items() if name not in ABOUT_A_REPOSITORY}


@contextmanager
def of_retrain(project: Path, tree: Path) -> Iterator[None]:
    """The environment of this process and its children while they work in `tree` for `project`.

    The store is the project's. The log of the registry is the tree's own: it begins as at the
    commit, and what is added to it is committed with the model.
    """
    before = dict(os.environ)
    changed = without_repository(before)
    # DVC sets it for its stages; another value would name another project's store and log.
    changed.pop("DVC_ROOT", None)
    # Were the tree's own repository broken, git would take the project's, which is around it.
    ceilings = [str(tree.parent), before.get("GIT_CEILING_DIRECTORIES", "")]
    changed["GIT_CEILING_DIRECTORIES"] = os.pathsep.join(filter(None, ceilings))
    changed[MARK] = str(tree)
    _become(changed)
    os.environ["MLFLOW_TRACKING_URI"] = _absolute(tracking_uri(project), project)
    try:
        yield
    finally:
        _become(before)


def _become(environment: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


def _absolute(uri: str, project: Path) -> str:
    """A SQLite file is given by four slashes, or by three and a path from the project's root."""
    relative = uri.removeprefix("sqlite:///")
    if relative in {uri, ""} or relative.startswith("/"):
        return uri
    return f"sqlite:///{project / relative}"
