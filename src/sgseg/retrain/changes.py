"""What changed since the last training: images, parameters, what the search chose, code.

Read from git, from dvc.lock and through DVC; nothing here is written, and what cannot be found out
is said rather than raised.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from sgseg.errors import InputError
from sgseg.retrain.git import Repository
from sgseg.tracking.provenance import flat

if TYPE_CHECKING:
    from sgseg.dataset.difference import DataDifference

LOCK, PARAMS, STAGES = "dvc.lock", "params.yaml", "dvc.yaml"
RECIPE = "reports/tuning/recipe.yaml"
CODE = ("src/", "pipelines/")
SECONDS = 120
Values = dict[str, tuple[str | None, str | None]]
"""Before and after by dotted name; None where there is none."""
T = TypeVar("T")


@dataclass(frozen=True)
class Changes:
    """What differs between the last training and the project as it is now.

    Parameters
    ----------
    base
        The commit that was retrained; empty without git.
    since
        The commit of the last training, which is the last one up to `base` that changed dvc.lock;
        empty if there was none.
    source
        The data set in use.
    data
        None if it cannot be said.
    params
        Parameters of stages that differ.
    recipe
        What the search chose, as far as it differs.
    code
        Files that stages depend on, and differ; posix, relative to the root.
    other_files
        Number of other files that differ.
    commits
        (abbreviated commit, subject) from `since` to `base`, the newest first.
    unknown
        What could not be found out, and why.
    """

    base: str
    since: str
    source: str = ""
    data: DataDifference | None = None
    params: Values = field(default_factory=dict)
    recipe: Values = field(default_factory=dict)
    code: list[str] = field(default_factory=list)
    other_files: int = 0
    commits: list[tuple[str, str]] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)


def find_changes(root: str | Path, base: str) -> Changes:
    """Compare the project as it is now with what `base` trained last.

    Not with `base` itself: it is the commit that brought the new images or parameters.

    Parameters
    ----------
    root
        The project's root.
    base
        The commit that is retrained, as git names it.
    """
    root = Path(root)
    git = Repository(root)
    commit = (git.commit_of(base) if base else None) or ""
    since = last_training(git, commit) if commit else ""
    unknown: dict[str, str] = {}
    if not commit:
        unknown["history"] = f"git knows no commit {base!r} here."
    elif git.ask("rev-parse", "--is-shallow-repository") == "true":
        unknown["history"] = "This clone is shallow: changes before its first commit are not seen."
    before = _yaml(git.ask("show", f"{since}:./{LOCK}")) if since else {}
    now = _yaml_of(root / PARAMS)
    source = str(_at(now, "data.source") or "")

    def found(what: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except (InputError, OSError, ValueError, LookupError, TypeError) as error:
            unknown[what] = str(error) or type(error).__name__
            return otherwise

    files = _changed_files(git, since)
    ours = [name for name in files if _is_of(name, _stage_code(_yaml_of(root / STAGES)))]
    return Changes(
        base=commit,
        since=since,
        source=source,
        data=found("data", lambda: _data(root, before, since, source), None),
        params=found("params", lambda: _params(before, _yaml_of(root / LOCK), now), {}),
        recipe=found("recipe", lambda: _recipe(root, since), {}),
        code=ours,
        other_files=len(files) - len(ours),
        commits=_commits(git, since, commit),
        unknown=unknown,
    )


def last_training(git: Repository, commit: str) -> str:
    """The last commit up to this one that changed dvc.lock; empty if there is none."""
    return git.ask("log", "-1", "--format=%H", commit, "--", LOCK) or ""


def _data(root: Path, before: Mapping[str, Any], since: str, source: str) -> DataDifference:
    # DVC, which they ask, takes more than a second to import.
    from sgseg.dataset.difference import compare_versions  # noqa: PLC0415
    from sgseg.dataset.versions import listing  # noqa: PLC0415

    # Of `ingest`: where the line was stopped, later stages keep what they had.
    stage = {"stages": {"ingest": (before.get("stages") or {}).get("ingest") or {}}}
    trained = str(lock_params(stage).get("data.source") or source)
    old = listing(root, trained, since) if since else None
    return compare_versions(old, listing(root, source, None))


def _params(before: Mapping[str, Any], lock: Mapping[str, Any], now: Mapping[str, Any]) -> Values:
    """Those that dvc.lock names, before or now; the values of now are those of params.yaml.

    Where validation stops the line, later stages keep their old values in dvc.lock.
    """
    old = lock_params(before)
    if not old:
        return {}
    names = old.keys() | lock_params(lock).keys()
    new = {name: _at(now, name) for name in names if _has(now, name)}
    return difference(flat(old), flat(new))


def lock_params(lock: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of all stages in dvc.lock, by the names that stages call them."""
    found: dict[str, Any] = {}
    for stage in (lock.get("stages") or {}).values():
        for values in (stage.get("params") or {}).values():
            found |= values
    return found


def _recipe(root: Path, since: str) -> Values:
    path = root / RECIPE
    if not since or not path.is_file():
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        old = Path(scratch) / "recipe.yaml"
        command = [sys.executable, "-m", "dvc", "get", "--quiet", "--rev", since]
        try:
            done = subprocess.run(
                [*command, "--out", str(old), ".", RECIPE],
                cwd=root,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"DVC did not answer in {SECONDS} s.") from error
        if done.returncode or not old.is_file():
            raise ValueError(f"The recipe of {since[:7]} cannot be had through DVC.")
        return difference(flat(_yaml_of(old)), flat(_yaml_of(path)))


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> Values:
    """What differs between two flat mappings, sorted by name."""
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def _changed_files(git: Repository, since: str) -> list[str]:
    if not since:
        return []
    said = git.ask("diff", "--name-only", "--no-renames", "--relative", "-z", since, "--")
    return sorted(name for name in (said or "").split("\0") if name and name != LOCK)


def _stage_code(stages: Mapping[str, Any]) -> set[str]:
    named = (stages.get("stages") or {}).values()
    deps = (str(dep) for stage in named for dep in stage.get("deps") or ())
    return {STAGES, *(dep for dep in deps if dep.startswith(CODE))}


def _is_of(name: str, code: Iterable[str]) -> bool:
    return any(name == dep or name.startswith(f"{dep.rstrip('/')}/") for dep in code)


def _commits(git: Repository, since: str, commit: str) -> list[tuple[str, str]]:
    if not since or not commit:
        return []
    said = git.ask("log", "--format=%h%x09%s", f"{since}..{commit}", "--", ".") or ""
    lines = (line.partition("\t") for line in said.splitlines())
    return [(short, subject) for short, _, subject in lines]


def _yaml_of(path: Path) -> dict[str, Any]:
    try:
        return _yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}


def _yaml(text: str | None) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text or "")
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, dict) else {}


def _has(content: Mapping[str, Any], name: str) -> bool:
    *sections, leaf = name.split(".")
    for section in sections:
        content = content.get(section) or {}
        if not isinstance(content, Mapping):
            return False
    return leaf in content


def _at(content: Mapping[str, Any], name: str) -> Any:
    if not _has(content, name):
        return None
    value: Any = content
    for part in name.split("."):
        value = value[part]
    return value
