"""Who may retrain in a clone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sgseg.retrain import lock
from sgseg.retrain.lock import BusyError, only_retrain, read_holder
from sgseg.tracking.process import running_process

SINCE = "2026-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PAUSE_SECONDS", 0.02)


def sleeper(handle: int, seconds: float) -> subprocess.Popen[bytes]:
    """What a killed retrain leaves running: a process that has inherited the lock."""
    return subprocess.Popen(["sleep", str(seconds)], pass_fds=(handle,))


def test_the_holder_is_named(tmp_path: Path) -> None:
    with (
        only_retrain(tmp_path, since=SINCE, wait=False),
        pytest.raises(BusyError, match=f"process .* since {SINCE}"),
        only_retrain(tmp_path, since="later", wait=False),
    ):
        pass
    found = read_holder(tmp_path)
    assert found is not None
    assert (found.process, found.since) == (running_process(), SINCE)


def test_it_is_free_again(tmp_path: Path) -> None:
    for _ in range(2):
        with only_retrain(tmp_path, since=SINCE, wait=False):
            pass


def test_what_a_killed_one_left_running_is_waited_for(tmp_path: Path) -> None:
    with only_retrain(tmp_path, since=SINCE, wait=False) as handle:
        child = sleeper(handle, 0.5)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    process = f"{running_process().partition('/')[0]}/{gone.pid}/0"
    (tmp_path / lock.HOLDER).write_text(json.dumps({"process": process, "since": SINCE}))
    with only_retrain(tmp_path, since="later", wait=False):
        assert child.poll() is not None


def test_waiting_for_one_that_lives(tmp_path: Path) -> None:
    with only_retrain(tmp_path, since=SINCE, wait=False) as handle:
        child = sleeper(handle, 0.3)
    with pytest.raises(BusyError), only_retrain(tmp_path, since="later", wait=False):
        pass
    began = time.monotonic()
    with only_retrain(tmp_path, since="later", wait=True):
        assert child.poll() is not None
    assert time.monotonic() - began < 30


def test_a_broken_note_names_nobody(tmp_path: Path) -> None:
    with only_retrain(tmp_path, since=SINCE, wait=False):
        (tmp_path / lock.HOLDER).write_text("{")
        with (
            pytest.raises(BusyError, match="another process"),
            only_retrain(tmp_path, since="later", wait=False),
        ):
            pass
