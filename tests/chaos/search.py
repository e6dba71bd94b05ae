"""A search without a network: its objective computes a score from the recipe (tests/tuning)."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from tuning.fake import job_of

from sgseg.images.write import replacing
from sgseg.tuning.record import read_trials
from sgseg.tuning.search import run_study

TESTS = Path(__file__).parents[1]
TRIALS = 3


def search(storage: str | None = None) -> None:
    """Search below the working folder; write the values of the trials to `found/trials.yaml`."""
    # Trials are processes of their own, which have to find the objective.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    os.environ["FAKE_SECONDS"] = "0.1"
    job = job_of(Path("tuning"), trials=TRIALS, objective="slow")
    study = run_study(job, storage=storage)
    found = [{"values": trial.values, "state": trial.state} for trial in read_trials(job, study)]
    with replacing("found/trials.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(found))
    # Nothing that was trained is trained again, and nothing is counted twice.
    done = (job.folder / "trained.txt").read_text().splitlines()
    assert len(done) == len(set(done)) == 2 * TRIALS, done
