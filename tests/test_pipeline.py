"""The whole line, small: files in, scored model out, by the commands that a user gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from sgseg.preview.tiny import shrink, tiny_sections

ROOT = Path(__file__).parents[1]
TINY = tiny_sections(ROOT)


def call(*command: str, cwd: Path, fails: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of the environment would; its output is shown when it goes wrong."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project, after `dvc repro`."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("pipelines", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "params.yaml", folder)
    shrink(folder / "params.yaml", TINY)
    (folder / "splits").mkdir()
    (folder / "splits" / "simulated.csv").write_text("image_id,pixel_hash,group,set\n")
    call("git", "init", "-q", cwd=folder)
    call("dvc", "init", "-q", cwd=folder)
    call("dvc", "repro", cwd=folder)
    return folder


def test_every_image_is_scored_once(project: Path) -> None:
    images = pd.read_csv(project / "reports/evaluation/images.csv")
    network = images[images["method"] == "network"]
    assert sorted(network["image_id"]) == sorted(
        path.stem for path in (project / "data/raw/simulated/images").iterdir()
    )


def test_a_second_run_does_nothing(project: Path) -> None:
    said = call("dvc", "repro", cwd=project).stdout
    assert "Data and pipelines are up to date." in said


def test_predict_gives_the_mask_that_was_scored(project: Path) -> None:
    """Contract 1: a raw file through `predict` and through `evaluate` ends in the same granules."""
    images = pd.read_csv(project / "reports/evaluation/images.csv")
    tested = images[(images["method"] == "network") & (images["part"] == "test")]
    raw = project / "data/raw/simulated"
    files = [str(raw / "images" / f"{name}.tif") for name in tested["image_id"]]
    call("sgseg", "predict", *files, "--channel", "0", "--out", "found", cwd=project)
    for row in tested.itertuples():
        labels = tifffile.imread(project / "found" / f"{row.image_id}_mask.tif")
        truth = tifffile.imread(raw / "masks" / f"{row.image_id}.tif")
        assert labels.shape == truth.shape
        assert np.count_nonzero((labels > 0) & (truth > 0)) == row.pixels_tp
        assert np.count_nonzero((labels > 0) & (truth == 0)) == row.pixels_fp
    fields = pd.read_csv(project / "found" / "fields.csv")
    assert len(fields) == len(files)


def test_runs_lost_from_the_store_are_put_back(project: Path) -> None:
    before = runs(project)
    parents = [run for run in before if "mlflow.parentRunId" not in run["tags"]]
    assert len(parents) == 2  # the search and the cross-validation
    trials = TINY["tune"]["budgets"]["small"]["trials"]
    assert len(before) == 2 + trials + len(TINY["split"]["folds"])
    (project / "mlflow.db").rename(project / "lost.db")
    call("sgseg", "track", cwd=project)
    after = runs(project)
    assert [run["name"] for run in after] == [run["name"] for run in before]
    assert [run["metrics"] for run in after] == [run["metrics"] for run in before]


def runs(project: Path) -> list[dict[str, Any]]:
    """All runs in the project's store, by name."""
    script = (
        "import json, mlflow\n"
        "client = mlflow.MlflowClient('sqlite:///mlflow.db')\n"
        "ids = [e.experiment_id for e in client.search_experiments()]\n"
        "print(json.dumps([dict(name=r.info.run_name, tags=r.data.tags, metrics={k: v for k, v in\n"
        "    r.data.metrics.items() if not k.startswith('system/')}) for r in\n"
        "    client.search_runs(ids)]))"
    )
    found = call(sys.executable, "-c", script, cwd=project).stdout.splitlines()[-1]
    return sorted(json.loads(found), key=lambda run: str(run["name"]))


def test_a_damaged_file_stops_the_line_and_is_named(project: Path) -> None:
    victim = project / "data/raw/simulated/masks/control_r1_f01.tif"
    kept = victim.read_bytes()
    try:
        victim.unlink()
        victim.write_bytes(kept[: len(kept) // 2])
        call(sys.executable, "pipelines/ingest.py", cwd=project)
        said = call(sys.executable, "pipelines/validate.py", cwd=project, fails=True).stderr
        assert "control_r1_f01.tif" in said
    finally:
        victim.write_bytes(kept)
        call("dvc", "checkout", "--force", "data/dataset", "data/validated", cwd=project)
    assert "up to date" in call("dvc", "repro", cwd=project).stdout


def test_a_fold_that_the_split_does_not_have_is_refused(project: Path) -> None:
    said = call(sys.executable, "pipelines/train.py", "7", cwd=project, fails=True).stderr
    assert "no such fold" in said
