"""Stage `simulate`: write the built-in data set to data/raw/simulated."""

from __future__ import annotations

from pathlib import Path

from sgseg.config import load_params
from sgseg.dataset.simulate import simulate_dataset
from sgseg.errors import exit_with_message

OUT = Path("data/raw/simulated")


def main() -> None:
    simulate_dataset(OUT, load_params().simulate)


if __name__ == "__main__":
    exit_with_message(main)
