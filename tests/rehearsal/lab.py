"""A lab with nothing hosted: a bare git repository, a folder as DVC remote, a SQLite registry.

Its clones hold the project's own code, stages and, but for a tiny recipe, parameters.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]
COPIED = ("pipelines", "src", "experiments", "registry")
FILES = ("dvc.yaml", ".dvcignore", ".gitignore", ".gitattributes", "Makefile")
TINY: dict[str, dict[str, Any]] = {
    "simulate": {"size": 96, "replicates": 4, "fields_per_replicate": 3},
    "data": {"source": "lab"},
    "split": {"folds": [0, 1], "test_fraction": 0.25},
    "network": {"width": 4, "depth": 2},
    "train": {"epochs": 12, "patch_size": 48, "coverage": 4.0},
    "tune": {"budget": "none"},
    "predict": {"orientations": 1},
    "evaluate": {"bootstrap": 200, "gallery": 1},
    # Networks as small as these are poor; the rule is there to be gone through.
    "promote": {
        "floors": {"object_f1": 0.0, "foreground_iou": 0.0},
        "most_false_per_empty": 1000.0,
        "margins": {
            "object_f1": 0.2,
            "pooled_iou": 1.0,
            "object_precision": 1.0,
            "object_recall": 1.0,
            "count_error": 1000.0,
            "false_per_empty": 1000.0,
        },
        "most_slowdown": 100.0,
        "on_tie": "more_data",
    },
}


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    status: int
    text: str
    seconds: float


@dataclass(frozen=True)
class Lab:
    """Where everything is."""

    home: Path

    @property
    def origin(self) -> Path:
        return self.home / "origin.git"

    @property
    def remote(self) -> Path:
        return self.home / "remote"

    @property
    def store(self) -> str:
        return f"sqlite:///{self.home / 'registry' / 'mlflow.db'}"

    def environment(self, clone: Path) -> dict[str, str]:
        """A user's environment: this clone's code, the lab's registry, a name for git."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT")}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(clone / "src"),
            "MLFLOW_TRACKING_URI": self.store,
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@lab.example",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@lab.example",
        }

    def run(self, clone: Path, *command: str, status: int | None = 0) -> Ran:
        """Run a command in a clone; another status than expected is an error that shows all."""
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=clone,
            env=self.environment(clone),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, time.monotonic() - began)
        assert "Traceback" not in ran.text, ran.text
        assert status is None or ran.status == status, f"{ran.status}: {ran.text}"
        return ran

    def start(self, clone: Path, *command: str, output: Path) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own."""
        with output.open("ab") as stream:
            return subprocess.Popen(
                command,
                cwd=clone,
                env=self.environment(clone),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def clone(self, name: str) -> Path:
        """A fresh clone of the main branch."""
        folder = self.home / name
        self.run(self.home, "git", "clone", "-q", str(self.origin), str(folder))
        return folder

    def champion(self) -> tuple[int, str]:
        """Number and bundle of the model in use."""
        from mlflow.tracking import MlflowClient  # noqa: PLC0415

        found = MlflowClient(self.store).get_model_version_by_alias("sgseg", "champion")
        return int(found.version), str(found.tags["sgseg.bundle"])


def found(home: Path) -> Lab:
    """Found a lab: a project without data in the bare repository."""
    lab = Lab(home)
    for folder in (lab.remote, home / "registry", home / "cache"):
        folder.mkdir(parents=True)
    first = home / "first"
    first.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, first / name, ignore=ignored)
    shutil.rmtree(first / "registry", ignore_errors=True)
    for name in FILES:
        shutil.copy(ROOT / name, first / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    write_params(first, params, TINY)
    lab.run(home, "git", "init", "-q", "--bare", "-b", "main", str(lab.origin))
    lab.run(first, "git", "init", "-q", "-b", "main")
    lab.run(first, "dvc", "init", "-q")
    lab.run(first, "dvc", "remote", "add", "-q", "-d", "share", str(lab.remote))
    lab.run(first, "git", "remote", "add", "origin", str(lab.origin))
    return lab


def write_params(clone: Path, params: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Write params.yaml with other values in some sections."""
    for section, values in changes.items():
        params[section] |= values
    (clone / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def hand_over(source: Path, target: Path, images: list[str]) -> Path:
    """A folder as a lab would hand it over: images, masks, and a table."""
    table = pd.read_csv(source / "samples.csv")
    for kind in ("images", "masks"):
        (target / kind).mkdir(parents=True, exist_ok=True)
        for name in images:
            shutil.copy(source / kind / name, target / kind / name)
    table[table["image"].isin(images)].to_csv(target / "samples.csv", index=False)
    return target


def commit_and_push(lab: Lab, clone: Path, message: str) -> str:
    """Data to the remote, everything else to git; the commit."""
    lab.run(clone, "dvc", "push", "-q")
    lab.run(clone, "git", "add", "-A")
    lab.run(clone, "git", "commit", "-q", "-m", message)
    lab.run(clone, "git", "push", "-q", "origin", "HEAD:main")
    return lab.run(clone, "git", "rev-parse", "HEAD").text.strip()
