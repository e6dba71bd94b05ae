"""A search that costs nothing: an objective that computes a score from the recipe."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sgseg.config import Params, load_params, with_values
from sgseg.tuning.job import Job
from sgseg.tuning.trial import FoldScore

ROOT = Path(__file__).parents[2]
SPACE: dict[str, Any] = {
    "train.learning_rate": {"start": 0.003, "low": 0.0001, "high": 0.1, "log": True},
    "network.depth": {"start": 3, "low": 1, "high": 5},
    "train.loss": {
        "start": {"name": "bce_dice", "positive_weight": 1.0},
        "choices": {
            "bce_dice": {"positive_weight": {"low": 0.5, "high": 4.0}},
            "dice": {},
            "tversky": {"alpha": {"low": 0.2, "high": 0.8}, "beta": 0.5},
        },
    },
}


def params_of(folder: Path, *, space: dict[str, Any] | None = None, **tune: Any) -> Params:
    """The project's parameters with a small search."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    # Written out where the default space has them, so that another space may leave them out.
    complete = load_params(ROOT / "params.yaml").model_dump(mode="json", by_alias=True)
    for section in ("preprocess", "network", "train"):
        content[section] = complete[section]
    searched = SPACE if space is None else space
    for key in searched:
        *sections, leaf = key.split(".")
        inner = content
        for section in sections:
            inner = inner[section]
        inner.pop(leaf, None)
    content["tune"] |= {"space": searched, "cost": None, "pruner": {"name": "none"}, **tune}
    path = folder / "params.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_params(path)


def job_of(folder: Path, *, trials: int = 4, objective: str = "quadratic", **changes: Any) -> Job:
    """A search of two folds with an objective of this module."""
    params = changes.pop("params", None) or params_of(folder, **changes)
    return Job(
        key="0123456789abcdef",
        folder=folder / "study",
        params=params,
        searched=tuple(params.tune.space),
        trials=trials,
        folds=(0, 1),
        dataset=folder,
        roles=folder / "roles.csv",
        objective=f"tuning.fake:{objective}",
    )


def value_of(params: Params) -> float:
    """At most 1, at a learning rate of 0.01, depth 2 and Dice."""
    from math import log10  # noqa: PLC0415

    distance = abs(log10(params.train.learning_rate) + 2) + abs(params.network.depth - 2)
    return 1 - 0.1 * distance - 0.1 * (params.train.loss.name != "dice")


def quadratic(job: Job, folder: Path) -> Iterator[FoldScore]:
    """A fold's epochs get better; the second fold is a little worse."""
    value = value_of(job.params)
    for step, fold in enumerate(job.folds):
        score = value - 0.01 * step
        yield FoldScore(
            fold=fold,
            value=score,
            scores={"object_f1": score, "roc_auc": None},
            by_fold={done: {"object_f1": value - 0.01 * done} for done in job.folds[: step + 1]},
            cost=float(2**job.params.network.depth),
            history=[{"loss": 1 / epoch, "val_object_f1": score} for epoch in (1, 2)],
        )


def slow(job: Job, folder: Path) -> Iterator[FoldScore]:
    """The first fold at once, noted in the folder as a checkpoint is; the second takes long."""
    for step, score in enumerate(quadratic(job, folder)):
        note = folder / "checkpoints" / f"fold_{step}"
        if not note.exists():
            if step == 1:
                time.sleep(float(os.environ.get("FAKE_SECONDS", "0.5")))
            note.parent.mkdir(exist_ok=True)
            note.touch()
            job.folder.mkdir(exist_ok=True)
            with (job.folder / "trained.txt").open("a") as file:
                file.write(f"{folder.name} {step}\n")
        yield score


def fails(job: Job, folder: Path) -> Iterator[FoldScore]:
    """Fails in the ways that a recipe can, by the depth of its network; depth 3 does not."""
    depth = job.params.network.depth
    if depth == 1:
        raise ValueError("no such network")
    if depth == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    for score in quadratic(job, folder):
        nan = float("nan")
        yield score if depth == 3 else FoldScore(fold=score.fold, value=nan, scores={"a": nan})


def refuses(job: Job, folder: Path) -> Iterator[FoldScore]:
    """Fails as no recipe can."""
    raise FileNotFoundError(2, "No such file or directory", str(job.dataset / "manifest.csv"))
    yield


def broken(job: Job, folder: Path) -> Iterator[FoldScore]:
    """Fails whatever the recipe."""
    raise RuntimeError("out of order")
    yield


def changed(params: Params, **values: Any) -> Params:
    """Other values, given as `train__learning_rate=...`."""
    return with_values(params, {key.replace("__", "."): value for key, value in values.items()})
