"""Recipes side by side with DVC's queue, as docs/compare.md tells it; minutes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TINY: dict[str, dict[str, Any]] = {
    "simulate": {"size": 96, "replicates": 2, "fields_per_replicate": 2},
    "split": {"folds": [0, 1], "test_fraction": 0.2},
    "network": {"width": 4, "depth": 2},
    "train": {"epochs": 2, "patch_size": 48, "coverage": 1.0},
    "tune": {"budget": "none"},
    "predict": {"orientations": 1},
    "evaluate": {"bootstrap": 50, "gallery": 1},
}
RECIPES = ("res_unet", "attention_unet")
WORKERS = 2
PATIENCE_SECONDS = 1800.0


def call(project: Path, *command: str) -> str:
    """Run a command in the project; what it prints."""
    ours = {name for name in os.environ if name.startswith(("GIT_", "MLFLOW_", "DVC_"))}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        command,
        cwd=project,
        env=kept
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(project / "src"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ada@lab.example" for who in ("AUTHOR", "COMMITTER")},
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project that has been through all stages, all of it committed."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("pipelines", "src", "registry"):
        if (ROOT / name).is_dir():
            skip = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in TINY.items():
        params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / "splits").mkdir()
    (folder / "splits" / "simulated.csv").write_text("image_id,pixel_hash,group,set\n")
    call(folder, "git", "init", "-q")
    call(folder, "dvc", "init", "-q")
    call(folder, "dvc", "repro")
    call(folder, "git", "add", "--all")
    call(folder, "git", "commit", "-q", "-m", "A small project")
    return folder


@pytest.fixture(scope="module")
def finished(project: Path) -> list[dict[str, Any]]:
    """The recipes, trained by two workers; what the store then shows of the cross-validations."""
    recipes = f"+network.architecture={','.join(RECIPES)}"
    call(project, "dvc", "exp", "run", "--queue", "-S", recipes, "evaluate")
    call(project, "dvc", "queue", "start", "--jobs", str(WORKERS))
    began = time.monotonic()
    while True:
        status = call(project, "dvc", "queue", "status")
        if not any(word in status for word in ("Queued", "Running")):
            break
        assert time.monotonic() - began < PATIENCE_SECONDS, status
        time.sleep(5)
    assert status.count("Success") == len(RECIPES), status
    return runs(project)


def runs(project: Path) -> list[dict[str, Any]]:
    script = (
        "import json\n"
        "from sgseg.tracking.lookup import runs_of_kind\n"
        "from sgseg.tracking.store import open_existing_store\n"
        "found = runs_of_kind(open_existing_store('.'), 'cross_validation')\n"
        "print(json.dumps([dict(id=r.id, name=r.name, params=dict(r.params)) for r in found]))"
    )
    found: list[dict[str, Any]] = json.loads(
        call(project, sys.executable, "-c", script).splitlines()[-1]
    )
    return found


def test_every_recipe_has_a_run_in_the_store_of_the_project(
    finished: list[dict[str, Any]],
) -> None:
    architectures = [run["params"]["network.architecture"] for run in finished]
    assert sorted(architectures) == sorted(["unet", *RECIPES])


def test_they_are_compared_by_image(project: Path, finished: list[dict[str, Any]]) -> None:
    a, b = (run["id"][:12] for run in finished[:2])
    found = json.loads(call(project, "sgseg", "compare", a, b, "--json"))
    assert "network.architecture" in found["parameters"]
    assert found["same_data"]
    # 3 conditions, 2 replicates, 2 fields: 12 images, those of the test set apart.
    assert 6 <= found["images"] <= 11
    assert found["left_out"] == []


def test_the_project_and_its_registry_are_as_they_were(
    project: Path, finished: list[dict[str, Any]]
) -> None:
    assert call(project, "git", "status", "--porcelain") == ""
    assert "up to date" in call(project, "dvc", "repro")
    assert len(json.loads(call(project, "sgseg", "registry", "list", "--json"))) == 1


def test_the_best_is_applied(project: Path, finished: list[dict[str, Any]]) -> None:
    names = call(project, "dvc", "exp", "list", "--name-only").split()
    assert len(names) == len(RECIPES)
    call(project, "dvc", "exp", "apply", names[0])
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    assert params["network"]["architecture"] in RECIPES
    # Its networks and scores come from DVC's cache: nothing is trained again.
    assert "up to date" in call(project, "dvc", "repro", "evaluate")
