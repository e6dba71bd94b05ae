"""Projects with a store of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sgseg.tracking.store import open_store

from .project import submit_each

OURS = (
    *("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"),
    *("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "CI", "GITHUB_ACTIONS", "GITLAB_CI"),
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh database: its tables take a second, so they are made once and copied."""
    root = tmp_path_factory.mktemp("store")
    open_store(root, "unused")
    return root / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, empty_store: Path) -> Path:
    """A project's root with a store that has tables and nothing in them."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="session")
def promoted_twice(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A project in which version 1 was champion and version 2 is."""
    folder = tmp_path_factory.mktemp("promoted twice")
    shutil.copy(empty_store, folder / "mlflow.db")
    submit_each(folder, 0.6, 0.8)
    return folder


@pytest.fixture
def two(promoted_twice: Path, tmp_path: Path) -> Path:
    """A copy of that project; artifacts of its runs stay in the original."""
    skip = shutil.ignore_patterns("mlruns", "*.lock")
    return shutil.copytree(promoted_twice, tmp_path / "two", ignore=skip)


@pytest.fixture
def forget(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """From now on another store is in use, which knows nothing."""

    def lose() -> None:
        elsewhere = tmp_path_factory.mktemp("new store")
        shutil.copy(empty_store, elsewhere / "mlflow.db")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere / 'mlflow.db'}")

    return lose
