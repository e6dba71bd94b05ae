"""A search as it is handed to other processes."""

from __future__ import annotations

from pathlib import Path

from sgseg.tuning.job import Job

from .fake import job_of


def test_a_job_arrives_as_it_was_sent(tmp_path: Path) -> None:
    job = job_of(tmp_path, trials=7, cost="milliseconds")
    text = job.to_json()
    assert "\n" not in text
    assert Job.from_json(text) == job


def test_the_folder_of_a_trial(tmp_path: Path) -> None:
    assert job_of(tmp_path).trial_folder(3) == tmp_path / "study" / "trials" / "3"
