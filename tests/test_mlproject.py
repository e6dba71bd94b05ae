"""MLproject against dvc.yaml: `mlflow run .` offers every stage, and nothing that is none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def run_entry_point(name: str, tmp_path: Path, **values: str) -> tuple[list[str], str]:
    """What an entry point calls, with a `dvc` that only says what it is asked and where code is."""
    dvc = tmp_path / "dvc"
    dvc.write_text('#!/bin/sh\necho "$PYTHONPATH" "$@"\n')
    dvc.chmod(0o755)
    entry = PROJECT["entry_points"][name]
    defaults = {key: value["default"] for key, value in entry.get("parameters", {}).items()}
    done = subprocess.run(
        ["bash", "-c", entry["command"].format(**defaults | values)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    path, *arguments = done.stdout.split()
    return arguments, path


def test_an_entry_point_for_each_stage_and_for_all() -> None:
    assert set(PROJECT["entry_points"]) == {"main", *STAGES}


@pytest.mark.parametrize("name", STAGES)
def test_an_entry_point_runs_its_stage(name: str, tmp_path: Path) -> None:
    assert run_entry_point(name, tmp_path) == (["repro", name], "src")


def test_main_runs_all(tmp_path: Path) -> None:
    assert run_entry_point("main", tmp_path) == (["repro"], "src")


def test_one_fold(tmp_path: Path) -> None:
    assert run_entry_point("train", tmp_path, fold="2") == (["repro", "train@2"], "src")


def test_the_environment_is_that_of_the_lock() -> None:
    environment = yaml.safe_load((ROOT / PROJECT["python_env"]).read_text(encoding="utf-8"))
    assert environment["python"] == "3.11"
    assert environment["dependencies"] == ["-r requirements.lock"]
    assert (ROOT / "requirements.lock").is_file()


def test_mlflow_understands_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.projects._project_spec import load_project  # noqa: PLC0415

    project = load_project(str(ROOT))
    assert project.name == "sgseg"
    command = project.get_entry_point("train").compute_command({"fold": "1; rm -rf x"}, None)
    assert command.count("'1; rm -rf x'") == 2  # a value cannot become a command
