"""Stage `pretrain`: a network trained on simulated fields, for `train.init`."""

from pathlib import Path

from sgseg.config import load_params
from sgseg.errors import exit_with_message
from sgseg.quiet import without_startup_messages

TUNED = Path("reports/tuning/recipe.yaml")
OUT, CHECKPOINTS = Path("models/pretrained"), Path("checkpoints/pretrain")


def main() -> None:
    params = load_params(tuned=TUNED)
    # Takes seconds: not before the parameters are known to be right.
    with without_startup_messages():
        from sgseg.experiments.pretrain import pretrain  # noqa: PLC0415

    pretrain(params, OUT, checkpoints=CHECKPOINTS)


if __name__ == "__main__":
    exit_with_message(main)
