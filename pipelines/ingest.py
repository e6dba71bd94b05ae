"""Stage `ingest`: one canonical data set, data/dataset, from data/raw/<data.source>."""

from __future__ import annotations

from pathlib import Path

from sgseg.config import load_params
from sgseg.dataset.ingest import ingest
from sgseg.errors import exit_with_message

RAW, OUT = Path("data/raw"), Path("data/dataset")


def main() -> None:
    params = load_params()
    ingest(
        RAW / params.data.source,
        OUT,
        copy_correlation=params.ingest.copy_correlation,
        near_correlation=params.ingest.near_correlation,
        object_iou=params.evaluate.object_iou,
        second_channel=params.ingest.second_channel,
    )


if __name__ == "__main__":
    exit_with_message(main)
