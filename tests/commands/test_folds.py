"""`sgseg folds`: stages of DVC side by side, and nothing left for `dvc repro`."""

from __future__ import annotations

import contextlib
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from filelock import FileLock, Timeout

from sgseg.cli import parser
from sgseg.cluster import folds as cluster_folds
from sgseg.commands.folds import BEFORE, train
from sgseg.errors import InputError, Problem

ROOT = Path(__file__).parents[2]
# Each fold waits for the other: one after the other they would never end.
TRAIN = """
import sys, time
from pathlib import Path
fold = sys.argv[1]
Path(f"began.{fold}").touch()
end = time.monotonic() + 60
while len(list(Path(".").glob("began.*"))) < int(Path("together").read_text()):
    if time.monotonic() > end:
        sys.exit("error: alone")
    time.sleep(0.05)
if Path(f"broken.{fold}").exists():
    sys.exit(f"error: images: fold {fold} is broken")
folder = Path("models/folds", fold)
folder.mkdir(parents=True)
(folder / "weights").write_text(Path("data").read_text() + fold)
"""
STAGES = {
    **{name: {"cmd": f"echo {name} > {name}.txt", "outs": [f"{name}.txt"]} for name in BEFORE},
    "train": {
        "matrix": {"fold": [0, 1]},
        "cmd": "python train.py ${item.fold}",
        "deps": ["data", "split.txt", "tune.txt"],
        "outs": ["models/folds/${item.fold}"],
    },
}


def dvc(*words: str) -> str:
    command = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["split"]["folds"] = [0, 1]
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    Path("train.py").write_text(TRAIN)
    Path("data").write_text("images")
    Path("together").write_text("2")
    dvc("init", "--no-scm", "-q")
    return tmp_path


def folds(*arguments: str) -> int:
    parsed = parser().parse_args(["folds", *arguments])
    return int(parsed.run(parsed))


def test_the_stages_before_the_folds_are_those_of_the_project() -> None:
    train = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = {name: stage.get("outs", []) for name, stage in train.items()}
    needed = [dep for dep in train["train"]["deps"] if not Path(dep).is_relative_to("src")]
    made = {name for name in outs for dep in needed if any(dep.startswith(o) for o in outs[name])}
    # `ingest` comes before `split`.
    assert made - {"ingest"} == set(BEFORE)


def test_folds_are_trained_side_by_side(project: Path) -> None:
    assert folds("--workers", "2") == 0
    assert [Path(f"models/folds/{k}/weights").read_text() for k in "01"] == ["images0", "images1"]
    assert "up to date" in dvc("repro")
    # And so they are for this command.
    for name in project.glob("began.*"):
        name.unlink()
    assert folds() == 0
    assert not list(project.glob("began.*"))


def test_a_fold_that_fails_is_named_and_the_other_is_kept(project: Path) -> None:
    Path("broken.1").touch()
    with pytest.raises(InputError) as caught:
        folds("--workers", "2")
    assert caught.value.problems == (Problem("stage train@1", "images: fold 1 is broken"),)
    assert "1 of 2 folds are not trained" in str(caught.value)
    Path("broken.1").unlink()
    Path("began.0").unlink()
    Path("together").write_text("1")
    assert folds() == 0
    assert not Path("began.0").exists()
    assert "up to date" in dvc("repro")


def test_what_a_cluster_has_trained_is_recorded_here(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def train_on(scheduler: str, wanted: list[int], root: Path, _: Path) -> Iterator[object]:
        asked.append((scheduler, wanted, root))
        yield 1, Problem("fold 1", "each worker that began it was killed")
        yield 0, None

    monkeypatch.setattr(cluster_folds, "train_on", train_on)
    Path("together").write_text("1")
    with pytest.raises(InputError, match="fold 1: each worker that began it was killed"):
        folds("--scheduler", "tcp://host:8786")
    assert asked == [("tcp://host:8786", [0, 1], project)]
    assert Path("models/folds/0/weights").exists()
    assert not Path("models/folds/1").exists()


def is_locked(checkpoint: Path) -> bool:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(checkpoint.with_suffix(".lock"), timeout=0):
            return False
    except Timeout:
        return True


def test_a_worker_trains_what_the_stage_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("src").symlink_to(ROOT / "src")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for folder in ("data/dataset", "data/split", "reports/tuning"):
        Path(folder).mkdir(parents=True)
    Path("data/dataset/manifest.csv").write_text("image_id\na\n")
    Path("data/split/roles.csv").write_text("image_id,role_1\na,train\n")
    Path("reports/tuning/recipe.yaml").write_text("train:\n  learning_rate: 0.004\n")
    asked: list[dict[str, Any]] = []

    def run_fold(params: Any, fold: int, **options: Any) -> None:
        asked.append({"params": params, "fold": fold, "alone": is_locked(options["checkpoint"])})
        asked[-1] |= options

    monkeypatch.setattr("sgseg.training.cross_validation.run_fold", run_fold)
    live = contextlib.nullcontext(SimpleNamespace(epoch=None))
    monkeypatch.setattr("sgseg.tracking.live_fold", lambda *_: live)
    monkeypatch.setattr(sys, "argv", ["train.py", "1"])
    runpy.run_path(str(ROOT / "pipelines/train.py"))["main"]()
    train(1)
    stage, there = asked
    assert there["params"].train.learning_rate == 0.004
    assert there["roles"].equals(stage["roles"])
    for name in ("params", "fold", "dataset", "checkpoint"):
        assert there[name] == stage[name]
    # A killed worker's training, about to end, would write to the same file.
    assert there["alone"]
    assert not stage["alone"]
    # What only the stage does: its folder, its record.
    assert there.keys() - stage.keys() == set()
    assert stage.keys() - there.keys() == {"on_epoch"}
