"""What the tests of searches share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
import pytest

from sgseg.tuning import worker
from sgseg.tuning.job import Job
from sgseg.tuning.trial import Result, run

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def fake_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets processes that are started find the objectives of `tuning.fake`."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def run_here(
    job: Job,
    folder: Path,
    *,
    decide: Callable[[int, float], bool],
    tick: Callable[[], None],
    environment: Mapping[str, str],
) -> Result:
    """As `process.run_trial`, without a process of its own."""
    tick()
    folder.mkdir(parents=True, exist_ok=True)
    steps = iter(range(len(job.folds)))
    return run(job, folder, lambda score: decide(next(steps), score.value or 0.0))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials take a millisecond instead of a second."""
    monkeypatch.setattr(worker, "run_trial", run_here)
