"""The state of an unfinished training on disk: it goes on where it was, to the same weights."""

from __future__ import annotations

import json
import logging
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
Arrays = list[NDArray[Any]]


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
    """Write under a temporary name, then rename: a kill leaves the state before or after."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{group}_{index:04d}": value
        for group in ("model", "optimizer", "best")
        for index, value in enumerate(getattr(progress, group))
    }
    facts = {
        "epoch": progress.epoch,
        "history": progress.history,
        "best_epoch": progress.best_epoch,
    }
    # One name, so that what kills leave behind does not pile up.
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, facts=np.array(json.dumps(facts)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_progress(path: Path) -> Progress | None:
    """The saved state; None where there is none or it is unreadable (training then starts anew)."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(str(file["facts"]))
            model, optimizer, best = (
                [file[name] for name in sorted(file.files) if name.startswith(f"{group}_")]
                for group in ("model", "optimizer", "best")
            )
            return Progress(
                epoch=facts["epoch"],
                history=facts["history"],
                best_epoch=facts["best_epoch"],
                model=model,
                optimizer=optimizer,
                best=best,
            )
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning(
            "%s: unreadable checkpoint (%s); training starts from the beginning", path, error
        )
        return None
