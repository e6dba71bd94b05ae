"""The whole line, small: files in, scored model out, by the commands that a user gives."""

from __future__ import annotations

import json
import os
import runpy
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
# Trials of one fold: what makes the score of several is tested where they are searched.
TINY["tune"]["budgets"]["small"]["folds"] = [0]


def call(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of the environment would; its output is shown when it goes wrong."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def run_stage(name: str, *arguments: str) -> int:
    """Run a stage's script here, where what it imports is imported already; its exit status."""
    script = f"pipelines/{name}.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(script, run_name="__main__")
    assert isinstance(ended.value.code, int)
    return ended.value.code


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
    check_masks(project)


def test_with_a_second_channel_as_well(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns(".git", ".dvc", "mlruns"))
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("second_channel: null", "second_channel: DNA"))
    monkeypatch.chdir(folder)
    stages = [["ingest"], ["validate"], ["split"], ["train", "0"], ["train", "1"], ["evaluate"]]
    assert [run_stage(*stage) for stage in stages] == [0] * len(stages)
    check_masks(folder, "--second-channel", "DNA")
    card = (folder / "reports/evaluation/card/card.md").read_text()
    assert "two channels of an image (granules, and DNA)" in card


def check_masks(project: Path, *options: str) -> None:
    images = pd.read_csv(project / "reports/evaluation/images.csv")
    tested = images[(images["method"] == "network") & (images["part"] == "test")]
    raw = project / "data/raw/simulated"
    files = [str(raw / "images" / f"{name}.tif") for name in tested["image_id"]]
    given = ("--channel", "0", *options, "--out", "found")
    call("sgseg", "predict", *files, *given, cwd=project)
    for row in tested.itertuples():
        labels = tifffile.imread(project / "found" / f"{row.image_id}_mask.tif")
        truth = tifffile.imread(raw / "masks" / f"{row.image_id}.tif")
        assert labels.shape == truth.shape
        assert np.count_nonzero((labels > 0) & (truth > 0)) == row.pixels_tp
        assert np.count_nonzero((labels > 0) & (truth == 0)) == row.pixels_fp
    fields = pd.read_csv(project / "found" / "fields.csv")
    assert len(fields) == len(files)


def test_runs_lost_from_the_store_are_put_back(project: Path) -> None:
    (project / "mlflow.db").rename(project / "lost.db")
    call("sgseg", "track", cwd=project)
    before, after = runs(project, "lost.db", "mlflow.db")
    parents = [run for run in before if "mlflow.parentRunId" not in run["tags"]]
    assert len(parents) == 2  # the search and the cross-validation
    trials = TINY["tune"]["budgets"]["small"]["trials"]
    assert len(before) == 2 + trials + len(TINY["split"]["folds"])
    assert [run["name"] for run in after] == [run["name"] for run in before]
    assert [run["metrics"] for run in after] == [run["metrics"] for run in before]


def runs(project: Path, *stores: str) -> list[list[dict[str, Any]]]:
    """All runs in each of the project's stores, by name.

    Read by another process: MLflow goes on with a file that it has opened, wherever that is moved.
    """
    script = (
        "import json, sys, mlflow\n"
        "def runs(store):\n"
        "    client = mlflow.MlflowClient(f'sqlite:///{store}')\n"
        "    ids = [e.experiment_id for e in client.search_experiments()]\n"
        "    return [dict(name=r.info.run_name, tags=r.data.tags, metrics={k: v for k, v in\n"
        "        r.data.metrics.items() if not k.startswith('system/')}) for r in\n"
        "        client.search_runs(ids)]\n"
        "print(json.dumps([runs(store) for store in sys.argv[1:]]))"
    )
    found = call(sys.executable, "-c", script, *stores, cwd=project).stdout.splitlines()[-1]
    return [sorted(each, key=lambda run: str(run["name"])) for each in json.loads(found)]


def test_a_damaged_file_stops_the_line_and_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    victim = project / "data/raw/simulated/masks/control_r1_f01.tif"
    kept = victim.read_bytes()
    try:
        victim.unlink()
        victim.write_bytes(kept[: len(kept) // 2])
        assert run_stage("ingest") == 0
        assert run_stage("validate") == 2
        assert "control_r1_f01.tif" in capsys.readouterr().err
    finally:
        victim.write_bytes(kept)
        call("dvc", "checkout", "--force", "data/dataset", "data/validated", cwd=project)
    assert "up to date" in call("dvc", "repro", cwd=project).stdout


def test_a_fold_that_the_split_does_not_have_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert run_stage("train", "7") == 2
    assert "no such fold" in capsys.readouterr().err
