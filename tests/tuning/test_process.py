"""A trial in a process of its own, from its worker's side."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from sgseg.config import Params
from sgseg.tuning import process
from sgseg.tuning.job import Job
from sgseg.tuning.process import Stopped, run_trial
from sgseg.tuning.trial import LOG, Result

from .fake import changed, job_of, params_of, value_of

pytestmark = pytest.mark.usefixtures("fake_elsewhere")


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    return params_of(tmp_path_factory.mktemp("params"))


def carry_out(job: Job, folder: Path, **options: Any) -> Result:
    known = {"decide": lambda step, value: True, "tick": lambda: None, "environment": os.environ}
    return run_trial(job, folder, **(known | options))


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@pytest.fixture
def others() -> set[psutil.Process]:
    """Processes that tests before this one keep, such as the reader of Parquet."""
    return children()


def test_a_trial_says_its_scores_and_is_answered(
    tmp_path: Path, params: Params, others: set[psutil.Process]
) -> None:
    said: list[tuple[int, float]] = []

    def decide(step: int, value: float) -> bool:
        said.append((step, value))
        return False

    job, folder = job_of(tmp_path, params=params), tmp_path / "0"
    result = carry_out(job, folder, decide=decide)
    assert said == [(0, value_of(params))]
    assert result.state == "PRUNED"
    assert "learning_rate" in (folder / "params.yaml").read_text()
    assert not children() - others


def test_a_trial_that_is_killed(tmp_path: Path, params: Params) -> None:
    job = job_of(tmp_path, params=changed(params, network__depth=2), objective="fails")
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "result.json").write_text('{"state": "COMPLETE"}')  # of an earlier attempt
    result = carry_out(job, tmp_path / "0")
    assert result.state == "FAIL"
    assert result.error == "its process was ended by SIGKILL, perhaps for want of memory"


def test_a_trial_that_cannot_even_begin(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.exit('no Python here')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    job = job_of(tmp_path, params=params)
    result = carry_out(job, tmp_path / "0", environment=environment)
    # Not the recipe's fault: it was not even read.
    assert result.state == "REFUSED"
    assert "no Python here" in result.error
    assert LOG in result.error


def test_a_trial_that_is_stopped_leaves_no_process(
    tmp_path: Path, params: Params, others: set[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "60")
    folder = tmp_path / "0"

    def tick() -> None:
        if (folder / "checkpoints" / "fold_0").exists():
            raise Stopped

    started = time.monotonic()
    with pytest.raises(Stopped):
        carry_out(job_of(tmp_path, params=params, objective="slow"), folder, tick=tick)
    assert time.monotonic() - started < 30
    assert not children() - others
    assert (folder / "checkpoints" / "fold_0").exists()


def test_what_another_recipe_left_is_removed(tmp_path: Path, params: Params) -> None:
    job, note = job_of(tmp_path, params=params), tmp_path / "0" / "checkpoints" / "note"
    process._prepare(tmp_path / "0", job)
    note.parent.mkdir()
    note.touch()
    process._prepare(tmp_path / "0", job)
    assert note.exists()
    other = changed(params, network__depth=5)
    process._prepare(tmp_path / "0", job_of(tmp_path, params=other))
    assert not note.exists()
