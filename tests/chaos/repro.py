"""`dvc repro` itself: killed, alone and with its stage, twice at once, and over a damaged cache."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import yaml

from .files import CUT_OFF, EMPTIED, content, damage, md5
from .project import HISTORY, STAGES, copy_project
from .trial import Loss

GROUP, ALONE = "dvc repro killed, with its stage", "dvc repro killed, alone"
TWICE, CACHE = "dvc repro, two at once", "a file of DVC's cache damaged"
QUICK = ("simulate", "ingest", "validate", "split", "promote", "quantify")
WITH_NETWORK = ("train@0", "evaluate")
TIMES = ("run.json", "system_metrics.csv", "timing.json", "card.md", "card.html")
"""Files that tell of times and numbers of runs."""
LOCK_IS_HALF = ("validation failed", "is invalid")
PATIENCE_S = 600


class Repro:
    """One stage of a project, run by DVC."""

    def __init__(self, project: Path, work: Path) -> None:
        self._project, self._work = project, work
        self._seconds: dict[str, float] = {}
        self._expected: dict[str, dict[str, str]] = {}
        self._lock = (project / "dvc.lock").read_text(encoding="utf-8")

    def inject(self, kind: str, rng: random.Random) -> list[Loss]:
        """One fault while a stage by chance runs, then `dvc repro` once more."""
        quick = kind != GROUP or rng.random() < 0.75
        name = rng.choice(QUICK if quick else WITH_NETWORK)
        return list(getattr(self, _WAYS[kind])(name, rng))

    def killed(self, name: str, rng: random.Random) -> Iterator[Loss]:
        """DVC and the stage, at once."""
        after_s = rng.uniform(0.3, 1.0) * self._learn(name)
        self._begin(name)
        process = self._start(name)
        time.sleep(after_s)
        _end(process)
        yield from self._ends_the_same(name, f"{name} killed after {after_s:.1f} s")

    def killed_alone(self, name: str, rng: random.Random) -> Iterator[Loss]:
        """DVC alone: its stage goes on while the next `dvc repro` begins."""
        after_s = rng.uniform(0.3, 1.0) * self._learn(name)
        self._begin(name)
        process = self._start(name)
        try:
            time.sleep(after_s)
            process.kill()
            process.wait()  # not until its stage has ended as well
            told = f"{name}, dvc alone killed after {after_s:.1f} s"
            again = self._start(name)
            said = again.communicate(timeout=PATIENCE_S)[0].decode(errors="replace")
            if "Traceback" in said:
                yield Loss(told, f"run again: {said[-1500:]}")
            _wait_for(process.pid)
            yield from self._ends_the_same(name, told)
        finally:
            _end(process)

    def two_at_once(self, name: str, rng: random.Random) -> Iterator[Loss]:
        """Two `dvc repro`: one gives way by a message, or waits."""
        pause_s = rng.uniform(0, 1.0) * self._learn(name)
        self._begin(name)
        first = self._start(name)
        time.sleep(pause_s)
        second = self._start(name)
        for process in (first, second):
            said = process.communicate(timeout=PATIENCE_S)[0].decode(errors="replace")
            if "Traceback" in said:
                yield Loss(f"{name}, two at once", said[-1500:])
        yield from self._ends_the_same(name, f"{name}, two at once")

    def damaged_cache(self, _: str, rng: random.Random) -> Iterator[Loss]:
        """An object that DVC keeps is cut off; the outputs are gone and come from the cache.

        DVC trusts an object that is read-only, as all of its own are. So it is made to look, as
        docs/faults.md says; then it has to see what is damaged, and to make it again.
        """
        copy_project(self._project, self._work, whole=True)
        objects = self._work / ".dvc/cache/files"
        told = damage(objects, rng, (CUT_OFF, EMPTIED), forced=True)
        for outputs in STAGES.values():
            for output in outputs:
                shutil.rmtree(self._work / output, ignore_errors=True)
        shutil.rmtree(self._work / ".dvc/tmp", ignore_errors=True)
        self._start("checkout", "--force", command="").communicate(timeout=PATIENCE_S)
        for path in [objects, *objects.rglob("*")]:
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
        status, said = self._again()
        if status != 0 or "Traceback" in said:
            yield Loss(f"cache: {told}", f"run again: {status}: {said[-1500:]}")
            return
        for path in self._unlike_lock():
            yield Loss(f"cache: {told}", f"{path} is not what dvc.lock says")

    def _learn(self, name: str) -> float:
        """How long a stage takes, undisturbed, and what it makes that is the same each time."""
        if name not in self._seconds:
            made = []
            for _ in range(2):
                self._begin(name)
                began = time.monotonic()
                said = self._start(name).communicate(timeout=PATIENCE_S)[0]
                self._seconds[name] = time.monotonic() - began
                made.append(self._outputs(name))
                assert made[-1], said.decode(errors="replace")
            first, second = made
            assert first.keys() == second.keys()
            self._expected[name] = {
                path: digest
                for path, digest in first.items()
                if digest == second[path] and Path(path).name not in TIMES
            }
        return self._seconds[name]

    def _begin(self, name: str) -> None:
        """As if a stage had never been run."""
        copy_project(self._project, self._work, whole=True)
        lock = self._work / "dvc.lock"
        told = yaml.safe_load(lock.read_text(encoding="utf-8"))
        del told["stages"][name]
        self._lock = yaml.safe_dump(told)
        lock.write_text(self._lock, encoding="utf-8")
        for output in STAGES[name]:
            shutil.rmtree(self._work / output)
        for place in (".dvc/cache/runs", *HISTORY):
            shutil.rmtree(self._work / place, ignore_errors=True)

    def _start(self, *words: str, command: str = "repro") -> subprocess.Popen[bytes]:
        begin = [str(Path(sys.executable).with_name("dvc")), *([command] if command else [])]
        return subprocess.Popen(
            [*begin, *words],
            cwd=self._work,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _again(self, *words: str) -> tuple[int, str]:
        """`dvc repro` once more: its status, and what it said.

        DVC writes dvc.lock in place. Of one that a kill left half-written it says so by name; then
        that of the last commit takes its place, as docs/faults.md says.
        """
        process = self._start(*words)
        said = process.communicate(timeout=PATIENCE_S)[0].decode(errors="replace")
        if process.returncode != 0 and any(f"dvc.lock' {why}" in said for why in LOCK_IS_HALF):
            (self._work / "dvc.lock").write_text(self._lock, encoding="utf-8")
            process = self._start(*words)
            said = process.communicate(timeout=PATIENCE_S)[0].decode(errors="replace")
        return process.returncode, said

    def _ends_the_same(self, name: str, told: str) -> Iterator[Loss]:
        status, said = self._again(name)
        if status != 0 or "Traceback" in said:
            yield Loss(told, f"run again: {status}: {said[-1500:]}")
            return
        found = self._outputs(name)
        for path, digest in self._expected[name].items():
            if found.get(path) != digest:
                yield Loss(told, f"{path} {'differs' if path in found else 'is missing'}")
        for path in found.keys() - self._expected[name].keys():
            if Path(path).name.startswith("."):
                yield Loss(told, f"{path} is left over")

    def _unlike_lock(self) -> Iterator[str]:
        """Outputs whose bytes are not what dvc.lock says, whatever DVC thinks of them."""
        lock = yaml.safe_load((self._work / "dvc.lock").read_text(encoding="utf-8"))
        for output in (out for told in lock["stages"].values() for out in told.get("outs", [])):
            wanted = {output["path"]: output["md5"]}
            if output["md5"].endswith(".dir"):
                place = f".dvc/cache/files/md5/{output['md5'][:2]}/{output['md5'][2:]}"
                files = json.loads((self._work / place).read_text(encoding="utf-8"))
                wanted = {f"{output['path']}/{file['relpath']}": file["md5"] for file in files}
            for path, digest in wanted.items():
                found = self._work / path
                if not found.is_file() or md5(found) != digest:
                    yield path

    def _outputs(self, name: str) -> dict[str, str]:
        return {
            f"{output}/{path}": digest
            for output in STAGES[name]
            for path, digest in content(self._work / output).items()
        }


_WAYS = {
    GROUP: "killed",
    ALONE: "killed_alone",
    TWICE: "two_at_once",
    CACHE: "damaged_cache",
}


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _wait_for(group: int) -> None:
    """Until all of a process group have ended."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
