"""A scratch clone in which the pipeline runs, at one commit and then at another.

Its store, its runs and its commits are its own; the project itself is only read.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sgseg.preview.calls import call
from sgseg.preview.tiny import shrink

SPLIT = "splits/simulated.csv"
EMPTY_SPLIT = "image_id,pixel_hash,group,set\n"
IDENTITY = ("-c", "user.name=preview", "-c", "user.email=preview@localhost")
# What an earlier preview has left in the cache is not run; its stage has changed all the same.
TOUCHED = re.compile(r"^(?:Running stage|Stage) '([^']+)'(?::| is cached)", re.MULTILINE)
UNTOUCHED = re.compile(r"^Stage '([^']+)' didn't change", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """A run of the pipeline: its commit in the clone; stages changed since the last run; others."""

    commit: str
    touched: tuple[str, ...]
    untouched: tuple[str, ...]


class Clone:
    """A clone of `root` in folder/clone; DVC's cache beside it is kept for the next preview."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.path = folder.resolve() / "clone"
        self.cache = folder.resolve() / "cache"
        shutil.rmtree(self.path, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        # Without a copy of the objects: also commits on no branch can be checked out.
        call(
            *("git", "clone", "--quiet", "--shared", "--no-checkout", str(root.resolve())),
            str(self.path),
            cwd=root,
        )

    def run(self, commit: str, sections: dict[str, dict[str, Any]]) -> Run:
        """Check a commit out, make its parameters tiny, reproduce its pipeline, and commit that.

        What an earlier run has left in place (outputs, dvc.lock, the assignment of test images)
        is taken up, as it would be in the project.

        Raises
        ------
        CallError
            A stage failed.
        """
        kept = {name: self._read(name) for name in ("dvc.lock", SPLIT)}
        call("git", "checkout", "--quiet", "--force", "--detach", commit, cwd=self.path)
        (self.path / ".dvc/config.local").write_text(
            f"[cache]\n    dir = {self.cache}\n", encoding="utf-8"
        )
        shrink(self.path / "params.yaml", sections)
        if not kept["dvc.lock"]:
            # The lock is of the real parameters and would only be in the way.
            (self.path / "dvc.lock").unlink(missing_ok=True)
            (self.path / SPLIT).write_text(EMPTY_SPLIT, encoding="utf-8")
        else:
            for name, text in kept.items():
                (self.path / name).write_text(text, encoding="utf-8")
        said = self._repro("simulate") + self._repro()
        call("git", "add", "--all", cwd=self.path)
        call(
            *("git", *IDENTITY, "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify"),
            *("--allow-empty", "--message", f"Tiny run of {commit}"),
            cwd=self.path,
        )
        new = call("git", "rev-parse", "HEAD", cwd=self.path).strip()
        touched = dict.fromkeys(TOUCHED.findall(said))
        untouched = [name for name in UNTOUCHED.findall(said) if name not in touched]
        return Run(new, tuple(touched), tuple(dict.fromkeys(untouched)))

    def dvc(self, *words: str) -> str:
        """What a command of DVC says, run in the clone."""
        return call("dvc", *words, cwd=self.path, source=self.path / "src")

    def _read(self, name: str) -> str:
        path = self.path / name
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def _repro(self, *stages: str) -> str:
        before = self._fields()
        said = self.dvc("repro", *stages)
        if before not in (None, self._fields()):
            # Other simulated fields: the old assignment is of images that are no more.
            (self.path / SPLIT).write_text(EMPTY_SPLIT, encoding="utf-8")
        return said

    def _fields(self) -> str | None:
        """DVC's digest of the simulated fields, by the lock."""
        lock = yaml.safe_load(self._read("dvc.lock") or "{}")
        outs = lock.get("stages", {}).get("simulate", {}).get("outs", [])
        return str(outs[0].get("md5")) if outs else None
