"""Stage `validate`: check data/dataset; stops the line, or goes on without the images that fail."""

from __future__ import annotations

from pathlib import Path

from sgseg.config import load_params
from sgseg.dataset.validate import validate
from sgseg.errors import exit_with_message

DATASET, OUT = Path("data/dataset"), Path("data/validated")


def main() -> None:
    params = load_params()
    validate(DATASET, OUT, settings=params.validate_, split=params.split)


if __name__ == "__main__":
    exit_with_message(main)
