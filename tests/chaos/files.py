"""What lies in a folder, and what may befall it: damage, and clocks that are set."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

CUT_OFF, EMPTIED, CHANGED = "cut off", "emptied", "changed"
DAMAGES = (CUT_OFF, EMPTIED, CHANGED)
TEN_YEARS_S = 10 * 365 * 86_400


def content(folder: Path, *, without: Iterable[str] = ()) -> dict[str, str]:
    """MD5 of each file below a folder, locks left out, as are the paths below `without`."""
    left_out = tuple(without)
    return {
        name: md5(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
        for name in (path.relative_to(folder).as_posix(),)
        if not any(name == other or name.startswith(f"{other}/") for other in left_out)
    }


def md5(path: Path) -> str:
    """MD5 of a file's bytes."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def damage(
    folder: Path, rng: random.Random, ways: Sequence[str] = DAMAGES, *, forced: bool = False
) -> str:
    """Cut one file of a folder off, empty it, or change a byte of it; which one, and how.

    A file that is read-only stays so; with `forced` it is damaged all the same, as a disk would.
    """
    path = rng.choice([path for path in sorted(folder.rglob("*")) if path.is_file()])
    whole = path.read_bytes()
    way = rng.choice(ways) if whole else EMPTIED
    changed = bytearray(whole)
    if way == CUT_OFF:
        del changed[rng.randrange(len(whole)) :]
    elif way == EMPTIED:
        changed.clear()
    else:
        changed[rng.randrange(len(whole))] ^= 0xFF
    rights = path.stat().st_mode
    if forced:
        path.chmod(0o600)
    path.write_bytes(changed)
    path.chmod(rights)
    return f"{path.relative_to(folder)} {way}"


def set_clock(folder: Path, rng: random.Random) -> str:
    """As after a clock that was wrong: all times of files are years off, or each by chance."""
    whole, now = rng.random() < 0.5, time.time()
    shift = rng.uniform(-TEN_YEARS_S, TEN_YEARS_S)
    for path in [folder, *folder.rglob("*")]:
        moment = now + (shift if whole else rng.uniform(-TEN_YEARS_S, TEN_YEARS_S))
        os.utime(path, (moment, moment), follow_symlinks=False)
    return f"clock {shift / 86_400:+.0f} days" if whole else "clocks by chance"
