"""The state of an unfinished training on disk: it goes on where it was, to the same weights."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
Arrays = list[NDArray[Any]]

GROUPS = ("model", "optimizer", "best")
DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass
class Progress:
    """Everything that the next epoch depends on.

    `model` and `optimizer` hold all variables, those of dropout's random generators and the count
    of steps included; `best` the model's variables at the best epoch so far. Epochs count from 0.
    """

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    model: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)


def save_progress(path: Path, progress: Progress) -> None:
    """Write under a temporary name, then rename: a kill leaves the state before or after.

    The file is a `.npz` archive and the SHA-256 of its bytes. The archive's own checksums cover the
    arrays, but not their names: one flipped bit could lose an array without a word.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "epoch": progress.epoch,
        "history": progress.history,
        "best_epoch": progress.best_epoch,
    }
    arrays = {
        f"{group}_{index:04d}": value
        for group in GROUPS
        for index, value in enumerate(getattr(progress, group))
    }
    archive = io.BytesIO()
    np.savez(archive, facts=np.array(json.dumps(facts)), **arrays)
    # One name, so that what kills leave behind does not pile up.
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(archive.getbuffer())
            file.write(hashlib.sha256(archive.getbuffer()).digest())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_progress(path: Path) -> Progress | None:
    """The saved state; None where there is none or it is damaged (training then starts anew)."""
    if not path.exists():
        return None
    content = path.read_bytes()
    archive, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(archive).digest() != digest:
        log.warning("%s: damaged checkpoint; training starts from the beginning", path)
        return None
    with np.load(io.BytesIO(archive), allow_pickle=False) as file:
        facts: dict[str, Any] = json.loads(str(file["facts"]))
        arrays: dict[str, Any] = {
            group: [file[name] for name in sorted(file.files) if name.startswith(f"{group}_")]
            for group in GROUPS
        }
    return Progress(**facts, **arrays)
