"""What a retrain asks of DVC: its commands, with their output shown as it comes.

Never its Python API, which changes the working directory, signals and logging of the process.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sgseg.errors import InputError, Problem
from sgseg.retrain.environment import without_repository

KEPT = 20_000
"""Characters of the end of an output that messages are made of."""
LOCKS = ".dvc/tmp/rwlock"
FAILED_STAGE = re.compile(r"failed to reproduce '([^']+)'")
STATUS_OF_STAGE = re.compile(r"exited with (-?\d+)")
FROM_HERE = re.compile(r"^error: ", re.MULTILINE)


@dataclass(frozen=True)
class Done:
    """How a command of DVC ended, and the end of what it printed."""

    status: int
    text: str

    @property
    def stage(self) -> str:
        """The stage that failed; empty where none did."""
        found = FAILED_STAGE.findall(self.text)
        return found[-1] if found else ""

    @property
    def stage_status(self) -> int | None:
        """The exit status of the stage that failed; 2: it named something for the user to mend."""
        found = STATUS_OF_STAGE.findall(self.text)
        return int(found[-1]) if found else None

    @property
    def problems(self) -> tuple[str, ...]:
        """What the stage that failed said: the lines of its message, without DVC's own."""
        said = FROM_HERE.split(self.text)[-1].split("\nERROR: ")[0]
        lines = [line.strip().removeprefix("- ") for line in said.splitlines() if line.strip()]
        items = [line for line in said.splitlines() if line.startswith("  - ")]
        return tuple(line[4:] for line in items) if items else tuple(lines)

    @property
    def in_short(self) -> str:
        """The last lines, for a message."""
        return " ".join(" ".join(self.text.split()[-80:]).split())


@dataclass(frozen=True)
class Dvc:
    """DVC in a project, or in a copy of it."""

    root: Path

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """Run a command and show its output."""
        _mend_locks(self.root)
        command = [sys.executable, "-m", "dvc", *arguments]
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=_environment(self.root) | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            text, decode = "", codecs.getincrementaldecoder("utf-8")(errors="replace").decode
            while chunk := os.read(process.stdout.fileno(), 65536):
                piece = decode(chunk)
                sys.stdout.write(piece)
                sys.stdout.flush()
                text = (text + piece)[-KEPT:]
        return Done(process.returncode, text)

    def share(self, root: Path) -> None:
        """Give a copy of the project this one's cache, remotes and rights.

        Raises
        ------
        InputError
            DVC cannot read its own settings.
        """
        self._ask(["-c", _SHARE, str(self.root / ".dvc"), str(root / ".dvc")], "config")

    def ask(self, *arguments: str) -> str:
        """What a command prints.

        Raises
        ------
        InputError
            It fails.
        """
        _mend_locks(self.root)
        return self._ask(["-m", "dvc", *arguments], arguments[0])

    def _ask(self, arguments: Sequence[str], name: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=_environment(self.root),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())[-500:]
            raise InputError(Problem(f"dvc {name}", f"failed: {said}"))
        return done.stdout

    def has_remote(self) -> bool:
        """Whether data can be fetched and stored somewhere.

        Raises
        ------
        InputError
            There are remotes, and none is the default.
        """
        settings = self.ask("config", "--list").splitlines()
        names = {match[1] for line in settings if (match := _REMOTE.match(line))}
        if names and not any(line.startswith("core.remote=") for line in settings):
            raise InputError(
                Problem(
                    "DVC",
                    f"none of its remotes is the default ({', '.join(sorted(names))})",
                    remedy="Choose one: `dvc remote default NAME`, and commit .dvc/config.",
                )
            )
        return bool(names)

    def status(self, *targets: str) -> Mapping[str, Sequence[Any]]:
        """What has changed, by stage, in these stages and all before them."""
        found = json.loads(self.ask("status", "--json", "--with-deps", *targets))
        return found if isinstance(found, dict) else {}


def outputs(root: Path, *stages: str) -> list[str]:
    """What these stages and all before them have made, by dvc.lock: never the lab's own files."""
    path = root / "dvc.lock"
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    known = {
        name: (
            [str(item["path"]) for item in stage.get("deps") or []],
            [str(item["path"]) for item in stage.get("outs") or []],
        )
        for name, stage in ((content or {}).get("stages") or {}).items()
    }
    wanted = {name for name in known if name.partition("@")[0] in stages}
    while True:
        needed = [Path(dep) for name in wanted for dep in known[name][0]]
        before = {
            name
            for name, (_, outs) in known.items()
            if any(
                dep.is_relative_to(out) or Path(out).is_relative_to(dep)
                for out in outs
                for dep in needed
            )
        }
        if before <= wanted:
            return sorted(out for name in wanted for out in known[name][1])
        wanted |= before


def changes_in_short(
    status: Mapping[str, Sequence[Any]], made: Sequence[str] = (), most: int = 8
) -> str:
    """What DVC finds changed, such as "data/raw/mine, train.epochs and 3 more".

    What is in `made`, by earlier stages, is a consequence and left out where there is a cause.
    """
    found: dict[str, None] = {}
    for entry in (entry for entries in status.values() for entry in entries):
        changed = entry if isinstance(entry, Mapping) else {entry: {}}
        for what, names in changed.items():
            found.update(dict.fromkeys(_leaves(names) or [str(what)]))
    causes = [name for name in found if not any(Path(name).is_relative_to(out) for out in made)]
    named = causes or list(found)
    rest = len(named) - most
    return ", ".join(named[:most]) + (f" and {rest} more" if rest > 0 else "")


def _leaves(names: Any) -> list[str]:
    """Names of files and, for parameters, of the values in their file."""
    if not isinstance(names, Mapping):
        return []
    return [leaf for name, inner in names.items() for leaf in _leaves(inner) or [str(name)]]


_REMOTE = re.compile(r"remote\.(.+)\.url=")


_SHARE = """
import os, sys
from dvc.config import Config, merge
ours, theirs = sys.argv[1:]
settings = {}
for level in "repo", "local":
    merge(settings, Config(ours, validate=False).load_one(level))
settings["cache"].setdefault("dir", os.path.join(ours, "cache"))
settings["core"]["check_update"] = False
os.umask(0o077)
if os.path.exists(os.path.join(theirs, "config.local")):
    os.unlink(os.path.join(theirs, "config.local"))
with Config(theirs, validate=False).edit("local") as local:
    merge(local, settings)
"""
"""Paths in DVC's settings are relative to their file; so DVC itself reads and writes them."""


def _environment(root: Path) -> dict[str, str]:
    """Stages call `python`, which must be this one, with the code that is there."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    code = os.pathsep.join(filter(None, [str(root / "src"), os.environ.get("PYTHONPATH")]))
    ours = {"PATH": path, "PYTHONPATH": code, "DVC_NO_ANALYTICS": "1"}
    return without_repository(os.environ) | ours


def _mend_locks(root: Path) -> None:
    """Remove DVC's list of who reads and writes what, if a killed DVC has left half of it.

    DVC itself would stop for ever at such a file. It is written in an instant, so a file that is
    broken twice is not being written.
    """
    path = root / LOCKS
    for pause in (0.5, 0.0):
        try:
            json.loads(path.read_text(encoding="utf-8"))
            return
        except FileNotFoundError:
            return
        except ValueError:
            time.sleep(pause)
    path.unlink(missing_ok=True)
