"""A study small enough to log in no time, in the files that the stage `tune` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgseg.tracking import DatasetInput, TuningRecord, write_tuning

from .tracked import PNG

T0 = 1_800_000_000_000
STUDY = TuningRecord(
    key="5eed0000" * 4,
    name="tune simulated 5eed000",
    experiment="sgseg",
    params={"train.epochs": "2", "tune.seed": "1"},
    tags={"mlflow.user": "ada", "mlflow.source.git.commit": "f" * 40},
    datasets=(DatasetInput("simulated", "d" * 32 + ".dir", "data/dataset"),),
    started_ms=T0,
    ended_ms=T0 + 100_000,
)
HISTORY = "fold,epoch,loss,iou,val_loss,val_object_f1\n0,1,0.9,0.1,0.8,\n0,2,0.7,0.2,0.6,0.5\n"


def trial(number: int, state: str = "COMPLETE", **changes: Any) -> dict[str, Any]:
    """Trial n begins n * 10 s after the study, takes 8 s and reaches 0.5 + n/100."""
    complete = state == "COMPLETE"
    value = 0.5 + number / 100 if complete else None
    return {
        "number": number,
        "state": state,
        "started_ms": T0 + 10_000 * number,
        "ended_ms": T0 + 10_000 * number + 8_000,
        "params": {"train.learning_rate": 0.001 * (number + 1), "train.loss.name": "dice"},
        "value": value,
        "cost": None,
        "scores": {"object_f1": value, "foreground_iou": 0.25} if complete else {},
        "folds": {"0": {"object_f1": 0.5, "threshold": 0.6}} if state != "FAIL" else {},
        "error": "ValueError: out of memory" if state == "FAIL" else "",
    } | changes


TRIALS = (trial(0), trial(1, "PRUNED"), trial(2, "FAIL"), trial(3))


def write_trial(
    folder: Path, content: Mapping[str, Any], history: str = HISTORY
) -> tuple[Path, Path]:
    """Write the two files of a trial, or one where it has no history."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{content['number']}.json"
    path.write_text(json.dumps(content))
    if history:
        path.with_suffix(".csv").write_text(history)
    return path, path.with_suffix(".csv")


def write_study(root: Path, *trials: Mapping[str, Any], study: TuningRecord = STUDY) -> Path:
    """Write what the stage `tune` writes."""
    folder = root / "reports" / "tuning"
    for content in trials or TRIALS:
        write_trial(folder / "trials", content, "" if content["state"] == "FAIL" else HISTORY)
    (folder / "slice.png").write_bytes(PNG)
    (folder / "report.md").write_text("# Search\n")
    (folder / "recipe.yaml").write_text("train: {learning_rate: 0.004}\n")
    (folder / "trials.csv").write_text("number,state\n0,COMPLETE\n")
    (folder / "importances.json").write_text("{}")
    write_tuning(folder, study)
    return folder
