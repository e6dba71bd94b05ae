"""A search whose workers are tasks of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from distributed import Client
from tuning.fake import job_of

from sgseg.cluster import connection
from sgseg.cluster.trials import start_on
from sgseg.tuning.search import run_study
from sgseg.tuning.study import all_slots


def test_the_workers_of_a_cluster_do_the_trials(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = client.scheduler.address
    monkeypatch.setattr(connection, "_client", lambda _: Client(there, security=client.security))
    tests = str(Path(__file__).parents[1])
    client.run(_see, tests)
    study = run_study(job_of(tmp_path, trials=3), workers=2, start=start_on(there))
    slots = all_slots(study)[:3]
    assert [slot.state for slot in slots] == ["done"] * 3
    # No trial was done here: their processes are children of the cluster's workers.
    assert len({trial.number for trial in study.trials if trial.values}) == 3
    assert not list((tmp_path / "study").glob(".seen-*"))


def _see(folder: str) -> None:
    import os  # noqa: PLC0415

    os.environ["PYTHONPATH"] = folder
