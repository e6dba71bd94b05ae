"""A reader's home, made to throw away: the project with tiny parameters, trained, and images."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from test_pipeline import TINY

from .markdown import ROOT

TINIER: dict[str, dict[str, Any]] = {
    "promote": {
        "on_tie": "promote",
        "most_slowdown": 100.0,
        "floors": {"object_f1": 0.0, "foreground_iou": 0.0},
        "most_false_per_empty": 1e6,
    },
    "pretrain": {"fields": 4, "validation_fields": 2, "size": 64, "epochs": 1},
    "learning_curve": {"sizes": [2, "all"]},
    "ablations": {"rows": [{"name": "wider", "from": "recipe", "values": {"network.width": 6}}]},
}
"""Beside TINY: a first model is good enough to be served, and experiments take a minute."""
STARTED = """
git init -q && git add . && git commit -qm 'A project'
dvc repro -q && sgseg track --quiet
git add . && git commit -qm 'A model'
sed -i 's/members: all/members: one/' params.yaml
dvc repro -q && sgseg track --quiet
git add . && git commit -qm 'One network'
git clone -q --bare . ../sgseg.git && git remote add origin ../sgseg.git
git fetch -q && git branch -q --set-upstream-to=origin/main main
"""
"""Two versions in the registry, one of which became champion; a branch with a remote."""
LAB = """
import csv, sys
from pathlib import Path
import tifffile
from sgseg.config import load_params, with_values
from sgseg.dataset.simulate import simulate_dataset

home = Path.home()
for lab, seed, fields in (("lab", 8, 2), ("march", 9, 1)):
    values = {"simulate.seed": seed, "simulate.fields_per_replicate": fields}
    simulate_dataset(home / lab, with_values(load_params(), values).simulate)
def lay(folder, images, masks, lab="lab", prefix=""):
    for source in sorted((home / lab / "images").iterdir()):
        name = prefix + source.stem.replace("_r", "_rep")
        for place in [images, masks] if masks else [images]:
            (folder / place).mkdir(parents=True, exist_ok=True)
        gray = tifffile.imread(source)[0]
        tifffile.imwrite(folder / images / f"{name}.tif", gray)
        if masks:
            labels = tifffile.imread(home / lab / "masks" / source.name)
            tifffile.imwrite(folder / masks / f"{name}.tif", labels)
lay(home / "my_experiment", "images", "masks")
lay(home / "SG", "raw", "drawn")
lay(home / "SG_march", "raw", "drawn", "march", "march_")
lay(home / "gray", ".", None)
lay(home / "new_images", ".", None)
for source in (home / "lab/images").iterdir():
    (home / "stained").mkdir(exist_ok=True)
    tifffile.imwrite(home / "stained" / source.name, tifffile.imread(source), imagej=True)
"""


class Scratch:
    """A home folder that is laid anew for every page, at the same place.

    MLflow keeps whole paths, so a copy elsewhere would not be the same.
    """

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.project = self.home / "sgseg"
        self.programs = folder / "bin"
        self._finished = folder / "finished"

    @property
    def environment(self) -> dict[str, str]:
        """That of a reader with the project's environment active, and nothing else set."""
        kept = ("LANG", "OMP_NUM_THREADS", "TMPDIR", "SSL_CERT_FILE")
        here = Path(sys.executable).parent
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(self.home),
            "PATH": os.pathsep.join([str(self.programs), str(here), os.environ["PATH"]]),
            "PYTHONPATH": str(self.project / "src"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes that wait for nothing
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def make(self) -> None:
        """Run the pipeline twice; the home as it is then is what every page begins with."""
        listed = self._must("git ls-files -co --exclude-standard", ROOT).splitlines()
        for name in listed:
            if (ROOT / name).is_file():
                (self.project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.project / name)
        self._shrink()
        self._programs()
        (self.home / ".gitconfig").write_text(
            "[user]\nname = Ada Lovelace\nemail = ada@lab.example\n[init]\ndefaultBranch = main\n"
        )
        # `make` takes it for made, whatever is written later: no page's command makes another.
        ready = self.project / ".venv/.ready"
        ready.parent.mkdir()
        ready.touch()
        os.utime(ready, (2**32, 2**32))
        self._must(STARTED, self.project)
        (self.home / "lab.py").write_text(LAB)
        self._must("python ../lab.py", self.project)
        shutil.copytree(self.home, self._finished, symlinks=True)

    def lay(self) -> None:
        """The home as `make` left it."""
        subprocess.run(["rm", "-rf", self.home], check=True)
        subprocess.run(["cp", "-aT", self._finished, self.home], check=True)

    def _shrink(self) -> None:
        file = self.project / "params.yaml"
        params = yaml.safe_load(file.read_text(encoding="utf-8"))
        for section, values in (TINY | TINIER).items():
            params[section] |= values
        file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        for split in (self.project / "splits").glob("*.csv"):
            split.write_text("image_id,pixel_hash,group,set\n")
        for name in ("dvc.lock", "experiments/dvc.lock", "registry/history.jsonl"):
            (self.project / name).unlink(missing_ok=True)

    def _programs(self) -> None:
        """`sudo`, which runs as whoever tests: users and services of a server are not there."""
        self.programs.mkdir(parents=True)
        sudo = self.programs / "sudo"
        sudo.write_text('#!/bin/sh\n[ "$1" = -u ] && shift 2\nexec "$@"\n')
        sudo.chmod(0o755)

    def _must(self, script: str, folder: Path) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
