"""What a retrain's processes find in their environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sgseg.retrain.environment import ABOUT_A_REPOSITORY, MARK, of_retrain
from sgseg.retrain.git import Repository
from sgseg.tracking.store import store_home, tracking_uri


def test_the_store_is_the_projects_and_the_log_the_copys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    project, tree = tmp_path / "project", tmp_path / "project/tree"
    before = dict(os.environ)
    with of_retrain(project, tree):
        assert tracking_uri(tree) == tracking_uri(project) == f"sqlite:///{project}/mlflow.db"
        assert store_home(tree) == tree
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///mine.db", "sqlite:///{project}/mine.db"),
        ("sqlite:////share/mlflow.db", "sqlite:////share/mlflow.db"),
        ("https://mlflow.example.org", "https://mlflow.example.org"),
    ],
)
def test_a_relative_store_is_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, used: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    with of_retrain(tmp_path, tmp_path / "tree"):
        assert os.environ["MLFLOW_TRACKING_URI"] == used.format(project=tmp_path)


def test_git_is_led_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ABOUT_A_REPOSITORY:
        monkeypatch.setenv(name, "elsewhere")
    with of_retrain(tmp_path, tmp_path / "tree"):
        assert not ABOUT_A_REPOSITORY & set(os.environ)
        assert os.environ[MARK] == str(tmp_path / "tree")
    assert os.environ["GIT_DIR"] == "elsewhere"
    local = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True
    ).stdout.split()
    # The others are settings, among them rights that a runner hands over.
    kept = {name for name in local if name.startswith(("GIT_CONFIG", "GIT_NO_REPLACE"))}
    kept |= {"GIT_REPLACE_REF_BASE", "GIT_IMPLICIT_WORK_TREE", "GIT_INTERNAL_SUPER_PREFIX"}
    assert set(local) - kept <= ABOUT_A_REPOSITORY


def test_no_helper_of_gits_is_taken_for_a_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = subprocess.run

    def run(*arguments: object, **options: object) -> object:
        seen.extend(options["env"])  # type: ignore[arg-type]
        return real(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", run)
    with of_retrain(tmp_path, tmp_path / "tree"):
        Repository(tmp_path).run("version")
    assert seen
    assert MARK not in seen
