"""Who may retrain in a clone."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
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


def test_waiting_for_one_that_lives(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with only_retrain(tmp_path, since="later", wait=True):
            order.append("second")

    waiting = threading.Thread(target=second)
    with only_retrain(tmp_path, since=SINCE, wait=False):
        waiting.start()
        time.sleep(0.1)
        order.append("first")
    waiting.join(timeout=30)
    assert order == ["first", "second"]


def test_one_that_is_dying_is_waited_for(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    process = f"{running_process().partition('/')[0]}/{gone.pid}/0"
    order = []

    def second() -> None:
        with only_retrain(tmp_path, since="later", wait=False):
            order.append("second")

    waiting = threading.Thread(target=second)
    with only_retrain(tmp_path, since=SINCE, wait=False):
        (tmp_path / lock.HOLDER).write_text(json.dumps({"process": process, "since": SINCE}))
        waiting.start()
        time.sleep(0.1)
        order.append("first")
    waiting.join(timeout=30)
    assert order == ["first", "second"]


def test_a_broken_note_names_nobody(tmp_path: Path) -> None:
    with only_retrain(tmp_path, since=SINCE, wait=False):
        (tmp_path / lock.HOLDER).write_text("{")
        with (
            pytest.raises(BusyError, match="another process"),
            only_retrain(tmp_path, since="later", wait=False),
        ):
            pass
