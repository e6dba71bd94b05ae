"""A cross-validation small enough to log in no time, and eyes for what a store holds.

Run as a script it trains one fold, so that a test can kill it or run several at once:
`python tracked.py ROOT FOLD EPOCHS [DIE_AFTER]`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from sgseg.tracking import CrossValidation, DatasetInput, FoldIdentity, live_fold
from sgseg.tracking.files import write_table
from sgseg.tracking.store import Store, open_store

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cf"
    "c0000003010100c9fe92ef0000000049454e44ae426082"
)
CV = CrossValidation(
    key="c0ffee00" * 4,
    name="cv unet-bce_dice-adam c0ffee0",
    experiment="sgseg",
    params={"train.epochs": "3", "preprocess.resize": "null"},
    tags={"mlflow.user": "ada", "mlflow.source.git.commit": "f" * 40, "sgseg.params_digest": "9"},
    datasets=(
        DatasetInput("simulated", "d" * 32 + ".dir", "data/dataset", profile={"images": 12}),
    ),
)


def history(fold: int, epochs: int = 3, start_ms: int | None = None) -> list[dict[str, float]]:
    """Rows as a training writes them; loss 1/epoch + fold."""
    start_ms = start_ms or time.time_ns() // 1_000_000
    return [
        {
            "epoch": epoch,
            "timestamp_ms": start_ms + epoch,
            "loss": 1 / epoch + fold,
            "val_iou": epoch / 10,
        }
        for epoch in range(1, epochs + 1)
    ]


def train(root: Path, cv: CrossValidation, fold: int, epochs: int = 3) -> Path:
    """Train one fold, as far as tracking can tell."""
    folder = root / "models" / "folds" / str(fold)
    identity = FoldIdentity(cv, fold, {"sgseg.dvc_stage": f"train@{fold}"})
    with live_fold(identity, folder, root=root) as live:
        rows = history(fold, epochs)
        for row in rows:
            live.epoch(int(row["epoch"]), row)
        write_table(folder / "history.csv", rows)
        (folder / "gallery.png").write_bytes(PNG)
        (folder / "model.onnx").write_bytes(b"weights")
    return folder


Snapshot = dict[str, dict[str, Any]]


def snapshot(root: Path, experiment: str = "sgseg") -> Snapshot:
    """All that the store shows of each run, by name; parents by name rather than by id."""
    store = open_store(root, experiment)
    found = store.client.search_runs([store.experiment_id])
    names = {run.info.run_id: run.info.run_name for run in found}
    assert len(set(names.values())) == len(found), "two runs have one name"
    return {run.info.run_name: _shown(store, run, names) for run in found}


def _shown(store: Store, run: Any, names: dict[str, str]) -> dict[str, Any]:
    number = run.info.run_id
    metrics = {
        name: sorted(
            (item.step, item.timestamp, item.value)
            for item in store.client.get_metric_history(number, name)
        )
        for name in run.data.metrics
    }
    tags = dict(run.data.tags)
    if "mlflow.parentRunId" in tags:
        tags["mlflow.parentRunId"] = names.get(tags["mlflow.parentRunId"], "deleted")
    return {
        "status": run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "params": run.data.params,
        "tags": tags,
        "metrics": metrics,
        "inputs": [
            (item.dataset.name, item.dataset.digest, item.dataset.source, item.dataset.profile)
            for item in run.inputs.dataset_inputs
        ],
        "artifacts": _files(Path(run.info.artifact_uri)),
    }


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main() -> None:
    root, fold, epochs, *die_after = sys.argv[1:]
    folder = Path(root) / "models" / "folds" / fold
    if not die_after:
        train(Path(root), CV, int(fold), int(epochs))
        return
    identity = FoldIdentity(CV, int(fold))
    with live_fold(identity, folder, root=Path(root), sample_seconds=0.1) as live:
        for row in history(int(fold), int(epochs))[: int(*die_after)]:
            live.epoch(int(row["epoch"]), row)
        time.sleep(0.5)
        os._exit(9)


if __name__ == "__main__":
    main()
