"""`sgseg folds`: train the folds side by side, here or on a cluster, for `dvc repro` to find."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgseg.cluster.options import add_cluster_options
from sgseg.errors import InputError, Problem, exit_with_message

if TYPE_CHECKING:
    from sgseg.config import Params

log = logging.getLogger(__name__)

DESCRIPTION = """\
Bring what the folds need up to date, then run the stages train@0, train@1 ... that are not, side by
side. The results are those of `dvc repro`, which finds them done. With --scheduler the networks are
trained by a Dask cluster and recorded here. See docs/cluster.md.
"""
DATASET = Path("data/dataset")
SPLIT = Path("data/split")
TUNED = Path("reports/tuning/recipe.yaml")
CHECKPOINTS = Path("checkpoints")
BEFORE = ("split", "tune")
"""The last stages before those of the folds."""


def add_parser(subparsers: Any) -> None:
    """Add `folds` to the commands."""
    parser = subparsers.add_parser(
        "folds", help="train the folds side by side", description=DESCRIPTION
    )
    add_cluster_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg folds`."""
    from sgseg.config import load_params  # noqa: PLC0415
    from sgseg.retrain.dvc import Dvc  # noqa: PLC0415

    dvc = Dvc(Path.cwd())
    done = dvc.run("--wait-for-lock", "repro", *BEFORE)
    if done.status:
        raise InputError(*(Problem(f"stage {done.stage}", text) for text in done.problems))
    stages = {f"train@{fold}": fold for fold in load_params().split.folds}
    changed = dvc.status(*stages)
    folds = [fold for stage, fold in stages.items() if stage in changed]
    if not folds:
        log.info("All folds are up to date.")
        return 0
    problems: list[Problem] = []
    if arguments.scheduler is None:
        problems += _reproduce(folds, workers=arguments.workers)
    else:
        from sgseg.cluster.folds import train_on  # noqa: PLC0415

        there = train_on(arguments.scheduler, folds, Path.cwd(), CHECKPOINTS)
        for fold, problem in there:
            # Its training is there: the stage only exports, draws and records it.
            problems += _reproduce([fold]) if problem is None else [problem]
    log.info("%d of %d folds trained", len(folds) - len(problems), len(folds))
    if problems:
        raise InputError(*problems, title=f"{len(problems)} of {len(folds)} folds are not trained:")
    return 0


def _reproduce(folds: Sequence[int], *, workers: int = 1) -> list[Problem]:
    """Run the stages of folds, some at a time; what went wrong."""
    from sgseg.retrain.dvc import Dvc  # noqa: PLC0415

    dvc = Dvc(Path.cwd())

    def stage(fold: int) -> list[Problem]:
        # DVC's lock is free while a stage trains; when it begins and ends, others wait. The cores
        # are not shared out: with other numbers of threads the weights would be others.
        name = f"train@{fold}"
        done = dvc.run("--wait-for-lock", "repro", "--single-item", name)
        return [Problem(f"stage {name}", text) for text in done.problems] if done.status else []

    with ThreadPoolExecutor(workers) as pool:
        return [problem for problems in pool.map(stage, folds) for problem in problems]


def checkpoint_of(params: Params, fold: int) -> Path:
    """Where the stage of a fold looks for what is trained already."""
    from sgseg.config import sources_of_space  # noqa: PLC0415
    from sgseg.tracking import DatasetInput, cross_validation, dvc_md5  # noqa: PLC0415
    from sgseg.training.code import WEIGHT_CODE  # noqa: PLC0415

    identity = cross_validation(
        params,
        datasets=[
            DatasetInput(params.data.source, dvc_md5(DATASET), str(DATASET)),
            DatasetInput("split", dvc_md5(SPLIT), str(SPLIT)),
        ],
        code=WEIGHT_CODE,
        sources=sources_of_space(tuned=TUNED),
    )
    return CHECKPOINTS / identity.key / f"fold_{fold}.npz"


def train(fold: int) -> None:
    """Train a fold of the project in the working directory as far as its checkpoint."""
    import pandas as pd  # noqa: PLC0415
    from filelock import FileLock  # noqa: PLC0415

    from sgseg.config import load_params  # noqa: PLC0415
    from sgseg.training.cross_validation import run_fold  # noqa: PLC0415
    from sgseg.training.devices import prepare_devices  # noqa: PLC0415

    params = load_params(tuned=TUNED)
    prepare_devices()
    checkpoint = checkpoint_of(params, fold)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        # Of a worker that was just killed the training may still be about to end.
        FileLock(checkpoint.with_suffix(".lock")),
    ):
        run_fold(
            params,
            fold,
            dataset=DATASET,
            roles=pd.read_csv(SPLIT / "roles.csv", dtype=str, keep_default_na=False),
            folder=Path(scratch),
            checkpoint=checkpoint,
        )


def main() -> None:
    """On a worker of a cluster: `python -m sgseg.commands.folds FOLD`.

    It ends with standard input, whose first line has what to add to the environment.
    """
    from sgseg.cluster.process import line_of_parent  # noqa: PLC0415

    os.environ.update(json.loads(line_of_parent()))
    train(int(sys.argv[1]))


if __name__ == "__main__":
    exit_with_message(main)
