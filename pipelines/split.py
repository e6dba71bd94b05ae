"""Stage `split`: roles of every image in every fold; extends splits/<data.source>.csv."""

from __future__ import annotations

from pathlib import Path

from sgseg.config import load_params
from sgseg.dataset.split import split
from sgseg.errors import exit_with_message

DATASET, VALIDATED = Path("data/dataset"), Path("data/validated")
REGISTRIES, OUT = Path("splits"), Path("data/split")


def main() -> None:
    params = load_params()
    registry = REGISTRIES / f"{params.data.source}.csv"
    split(DATASET, VALIDATED, OUT, registry=registry, params=params.split)


if __name__ == "__main__":
    exit_with_message(main)
