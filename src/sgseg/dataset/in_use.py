"""Whether a stage that DVC runs is at a data set, which must not be swapped under it then.

DVC notes what a stage got and what it made, not all at one moment. If the folder changes in
between, new data stand beside old results, here and in the run cache for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from sgseg.errors import InputError, Problem


@contextmanager
def held(target: Path) -> Iterator[None]:
    """Keep DVC from beginning anything in the project of data/raw/NAME, or of another place in it.

    To be held for a moment only: DVC's own commands wait three seconds for each other. Without DVC
    there is nothing to hold.

    Raises
    ------
    InputError
        A DVC command is at work and does not let go; or a stage reads or writes `target`.
    """
    folder = _dvc_folder(target)
    if folder is None:
        yield
        return
    from dvc.config import Config  # noqa: PLC0415
    from dvc.lock import LockError, make_lock  # noqa: PLC0415

    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    hard_links = bool(Config(str(folder)).get("core", {}).get("hardlink_lock", False))
    lock = make_lock(str(temporary / "lock"), tmp_dir=str(temporary), hardlink_lock=hard_links)
    try:
        lock.lock()
    except LockError:
        what = f"a DVC command is at work in {folder.parent}"
        remedy = "Give the command again when it has ended."
        raise InputError(Problem(str(target), what, remedy=remedy)) from None
    try:
        refuse_in_use(target)
        yield
    finally:
        lock.unlock()


def refuse_in_use(target: Path) -> None:
    """See to it that no stage that DVC runs reads or writes data/raw/NAME, or another place.

    Raises
    ------
    InputError
        One does: process and command are named.
    """
    folder = _dvc_folder(target)
    if folder is None:
        return
    place = target.resolve()
    users = {
        (process, command)
        for path, process, command in _entries(folder / "tmp" / "rwlock")
        if (path.is_relative_to(place) or place.is_relative_to(path)) and psutil.pid_exists(process)
    }
    if users:
        named = ", ".join(f"`{command}` (process {pid})" for pid, command in sorted(users))
        remedy = "Give the command again when that has ended."
        raise InputError(Problem(str(target), f"is in use by {named}", remedy=remedy))


def _dvc_folder(target: Path) -> Path | None:
    """The folder `.dvc` of the project that a data set belongs to."""
    parents = (parent / ".dvc" for parent in target.absolute().parents)
    return next((folder for folder in parents if (folder / "config").is_file()), None)


def _entries(path: Path) -> Iterator[tuple[Path, int, str]]:
    """Places that are read or written, by which process and command, as DVC's own file has it.

    Nobody where the file is damaged: DVC's own commands stop then and say so.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = [(place, info) for place, info in content.get("write", {}).items()]
        found += [(place, info) for place, all_ in content.get("read", {}).items() for info in all_]
        entries = [(Path(place), int(info["pid"]), str(info["cmd"])) for place, info in found]
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return
    yield from entries
