"""A project of a few text files whose stages take no time, with a DVC that is a few lines.

The stages have the names of the real ones and write the files that a retrain looks at. git is
real. What the fake DVC keeps is what a retrain relies on: a lock file, a cache of runs that gives
back what a stage made, and a remote.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sgseg.retrain.dvc import Done, Dvc
from sgseg.retrain.git import Repository
from sgseg.retrain.job import Tools, Wish
from sgseg.retrain.judge import Verdict
from sgseg.retrain.outcome import Outcome
from sgseg.retrain.run import retrain

ROOT = Path(__file__).parents[2]
RAW = "data/raw/lab"
ALL = ("ingest", "validate", "split", "train", "promote", "quantify")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "ingest": (RAW,),
    "validate": ("data/dataset",),
    "split": ("data/dataset", "data/validated", "splits/lab.csv"),
    "train": ("data/split", "params.yaml"),
    "promote": ("models/evaluated",),
    "quantify": ("models/evaluated",),
}
GIVES: Mapping[str, str] = {
    "ingest": "data/dataset",
    "validate": "data/validated",
    "split": "data/split",
    "train": "models/evaluated",
    "promote": "reports/promotion",
    "quantify": "reports/quantify",
}
WHO = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@lab.example",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@lab.example",
}


def git(root: Path, *arguments: str) -> str:
    """A git command as a user gives it."""
    return subprocess.run(
        ["git", *arguments],
        cwd=root,
        env=os.environ | WHO,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def make(home: Path, *, push: bool = True) -> Path:
    """A bare repository, a remote for data, and a clone in which nothing has been trained yet."""
    root = home / "first"
    (root / RAW).mkdir(parents=True)
    (root / ".dvc").mkdir()
    (root / "splits").mkdir()
    (home / "remote").mkdir()
    (root / "splits/lab.csv").write_text("image_id,set\n")
    (root / ".gitignore").write_text(
        "/data/\n!/data/raw\n/models/\n/reports/\n/.dvc/tmp/\n/.dvc/cache/\n/.dvc/config.local\n"
    )
    (root / "data/.gitignore").write_text("")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["source"] = "lab"
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / ".dvc/config").touch()
    (root / "notes.txt").write_text("of a person\n")
    git(home, "init", "-q", "--bare", "-b", "main", "origin.git")
    git(root, "init", "-q", "-b", "main")
    git(root, "remote", "add", "origin", str(home / "origin.git"))
    bring(root, image_1="good")
    git(root, "push", "-q", "-u", "origin", "main")
    return root


def bring(root: Path, **images: str) -> None:
    """Add images to the data set, as `sgseg data add` does: data to the remote, one commit."""
    for name, content in images.items():
        (root / RAW / name).write_text(content)
    tool = FakeDvc(root)
    digest = tool.keep(root / RAW)
    (root / f"{RAW}.dvc").write_text(digest)
    tool.upload([digest])
    git(root, "add", "-A", "-f", f"{RAW}.dvc")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", f"Images: {', '.join(images)}")


def clone(home: Path, name: str) -> Path:
    """A fresh clone of the main branch."""
    git(home, "clone", "-q", "origin.git", name)
    return home / name


def branches(home: Path) -> list[str]:
    return git(home / "origin.git", "branch", "--format=%(refname:short)").split()


@dataclass(frozen=True)
class FakeDvc(Dvc):
    """DVC as a retrain sees it; `log` is what it was asked."""

    log: list[str] = field(default_factory=list)

    @property
    def project(self) -> Path:
        """The one that the cache and the remote belong to."""
        shared = self.root / ".dvc/config.local"
        return Path(shared.read_text()) if shared.is_file() else self.root

    @property
    def cache(self) -> Path:
        return self.project / ".dvc/cache"

    @property
    def remote(self) -> Path:
        return self.project.parent / "remote"

    def has_remote(self) -> bool:
        return self.remote.is_dir()

    def share(self, root: Path) -> None:
        (root / ".dvc/config.local").write_text(str(self.project))

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        self.log.append(" ".join(arguments))
        words = [word for word in arguments[1:] if not word.startswith("--")]
        if arguments[0] in {"pull", "checkout"}:
            return self._bring(words, fetch=arguments[0] == "pull")
        if arguments[0] == "push":
            self.upload([*self._lock().values(), *self._runs()])
            return Done(0, "")
        if arguments[0] == "repro":
            wanted = ALL[:2] if words == ["validate"] else ALL
            return self._repro(wanted, force="--force" in arguments, env=dict(env or {}))
        if arguments[0] == "commit":
            lock = self._lock()
            lock["out:promote"] = self.keep(self.root / GIVES["promote"])
            self._write_lock(lock)
            return Done(0, "")
        raise AssertionError(arguments)

    def status(self, *targets: str) -> Mapping[str, Sequence[Any]]:
        if targets == (f"{RAW}.dvc",):
            same = _digest(self.root / RAW) == (self.root / f"{RAW}.dvc").read_text()
            return {} if same else {RAW: ["changed outs"]}
        lock = self._lock()
        changed = {}
        for stage in ALL[:-1]:
            if lock.get(f"in:{stage}") != self._inputs(stage):
                changed[stage] = [{"changed deps": dict.fromkeys(NEEDS[stage], "modified")}]
        return changed

    def keep(self, path: Path) -> str:
        """Put a file or folder into the cache."""
        digest = _digest(path)
        if not (self.cache / digest).exists():
            scratch = self.cache / f".{digest}.{os.getpid()}"
            _copy(path, scratch)
            scratch.rename(self.cache / digest)
        return digest

    def upload(self, digests: Sequence[str]) -> None:
        for digest in digests:
            source, target = self.cache / digest, self.remote / digest
            if source.exists() and not target.exists():
                _copy(source, target)

    def _bring(self, words: Sequence[str], *, fetch: bool) -> Done:
        raw = f"{RAW}.dvc"
        if fetch:
            for item in self.remote.iterdir():
                if not (self.cache / item.name).exists():
                    _copy(item, self.cache / item.name)
        made = {GIVES[s]: d for s in ALL if (d := self._lock().get(f"out:{s}"))}
        made[raw] = (self.root / raw).read_text()
        wanted = {word.removesuffix(".dvc"): made[word] for word in words}
        for name, digest in wanted.items():
            if not (self.cache / digest).exists():
                return Done(1, f"ERROR: {name} is neither here nor on the remote")
            if _digest(self.root / name) != digest:
                _copy(self.cache / digest, self.root / name)
        return Done(0, "")

    def _repro(self, wanted: Sequence[str], *, force: bool, env: Mapping[str, str]) -> Done:
        for stage in wanted:
            lock, inputs = self._lock(), self._inputs(stage)
            if lock.get(f"in:{stage}") == inputs and not force:
                continue
            target, key = self.root / GIVES[stage], _md5(f"{stage} {inputs}")
            known = self.cache / f"run-{key}"
            if known.exists() and not force:
                _copy(self.cache / known.read_text(), target)
            else:
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(parents=True)
                said = run_stage(self.root, stage, target, env)
                if said:
                    text = f"error: {said}\nERROR: failed to reproduce '{stage}': exited with 2"
                    return Done(255, text)
            digest = self.keep(target)
            inputs = self._inputs(stage)
            key = _md5(f"{stage} {inputs}")
            (self.cache / f"run-{key}").write_text(digest)
            self._write_lock(lock | {f"in:{stage}": inputs, f"out:{stage}": digest})
        return Done(0, "")

    def _runs(self) -> list[str]:
        runs = list(self.cache.glob("run-*"))
        return [path.name for path in runs] + [path.read_text() for path in runs]

    def _inputs(self, stage: str) -> str:
        return _md5(*(f"{name} {_digest(self.root / name)}" for name in NEEDS[stage]))

    def _lock(self) -> dict[str, str]:
        path = self.root / "dvc.lock"
        return json.loads(path.read_text())["flat"] if path.is_file() else {}

    def _write_lock(self, lock: Mapping[str, str]) -> None:
        stages = {
            stage: {
                "deps": [{"path": path} for path in NEEDS[stage]],
                "outs": [{"path": GIVES[stage]}],
            }
            for stage in ALL
            if f"out:{stage}" in lock
        }
        content = {"stages": stages, "flat": dict(sorted(lock.items()))}
        (self.root / "dvc.lock").write_text(json.dumps(content, indent=1))


ran: list[str] = []
"""Stages that ran, in their order."""


def run_stage(root: Path, stage: str, target: Path, env: Mapping[str, str]) -> str:
    """What the stages do; what they say if they fail. Trained models get better with each image."""
    ran.append(stage)
    images = sorted((root / RAW).iterdir())
    if stage == "validate":
        bad = [
            f"  - {path.name}: {path.read_text()}" for path in images if "bad" in path.read_text()
        ]
        if bad:
            return "\n".join([f"{len(bad)} problems:", *bad])
    if stage == "split":
        rows = "".join(f"{path.name},development\n" for path in images)
        (root / "splits/lab.csv").write_text(f"image_id,set\n{rows}")
    content = {path.name: path.read_text() for path in images}
    if stage == "train":
        epochs = yaml.safe_load((root / "params.yaml").read_text())["train"]["epochs"]
        (target / "score").write_text(str(len(content) + epochs / 1000))
    elif stage == "promote":
        assert env == {"SGSEG_PROPOSE": "1"}
        decide(root)
    else:
        (target / "content.json").write_text(json.dumps(content))
    return ""


def decide(root: Path) -> bool:
    """The gate: the model against the champion of the project's registry."""
    score = float((root / "models/evaluated/score").read_text())
    registry = Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"))
    registry = registry.parent.parent / "champion"
    champion = float(registry.read_text()) if registry.is_file() else 0.0
    better = score > champion
    decision = {"outcome": "promote" if better else "keep", "score": score, "champion": champion}
    (root / "reports/promotion/decision.json").write_text(json.dumps(decision))
    return better


class FakeJudge:
    """A registry that is a file with the champion's score."""

    def restore(self, root: Path) -> None:
        log = root / "registry/history.jsonl"
        log.parent.mkdir(exist_ok=True)
        log.touch()

    def judge(self, root: Path) -> Verdict:
        return Verdict(decide(root), ("Judged by its score.",))


def report(root: str | Path, folder: str | Path, **about: Any) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "summary.md").write_text(f"# Retrain: {about['outcome']}\n")


def tools(log: list[str] | None = None, **changes: Any) -> Tools:
    said = [] if log is None else log
    made = {
        "dvc": lambda root: FakeDvc(root, said),
        "judge": FakeJudge(),
        "report": report,
    }
    return Tools(**(made | changes))


def go(root: Path, log: list[str] | None = None, **wish: Any) -> Outcome:
    """Retrain."""
    return retrain(Wish(root, **wish), tools(log))


def merge(root: Path, branch: str) -> None:
    """Merge a branch and put its model to use."""
    git(root, "fetch", "-q")
    git(root, "switch", "-q", "main")
    git(root, "merge", "-q", "--ff-only", f"origin/{branch}")
    git(root, "push", "-q", "origin", "main")
    score = json.loads((root / "registry/decision.json").read_text())["score"]
    (root.parent / "champion").write_text(str(score))


def _md5(*texts: str) -> str:
    return hashlib.md5("\n".join(texts).encode(), usedforsecurity=False).hexdigest()


def _digest(path: Path) -> str:
    if path.is_dir():
        return _md5(*(f"{p.name} {_digest(p)}" for p in sorted(path.iterdir())))
    return hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else ""


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def die_at(count: int) -> None:
    """Kill this process at the given one of the steps that change something outside of it."""
    left = [count]

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
            return function(*arguments, **options)

        return call

    # Before each command of git, each of DVC and each step of a stage.
    Repository._call = counted(Repository._call)
    FakeDvc.run = counted(FakeDvc.run)
    FakeDvc._write_lock = counted(FakeDvc._write_lock)
    Path.replace = counted(Path.replace)
    Path.rename = counted(Path.rename)
    shutil.rmtree = counted(shutil.rmtree)
