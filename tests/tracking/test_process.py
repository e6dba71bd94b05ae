"""Who lives, whatever the clock says."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from sgseg.tracking.process import is_gone, name_of, running_process


def test_this_process_lives() -> None:
    assert running_process() == name_of(psutil.Process(os.getpid()))
    assert not is_gone(running_process())


@pytest.mark.skipif(sys.platform != "linux", reason="psutil's own times are all that there is")
@pytest.mark.parametrize("jump", [-86_400, -1, 1, 3_600])
def test_a_clock_that_is_set_makes_nobody_dead(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """The time of day at which a process was started moves with the clock of the machine."""
    name, true = running_process(), psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: true(process) + jump)
    assert not is_gone(name)
    assert running_process() == name


def test_one_that_has_ended_and_one_with_its_number() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = name_of(psutil.Process(process.pid))
    assert not is_gone(name)
    assert is_gone(f"{name}9")
    process.kill()
    process.communicate()
    assert is_gone(name)


@pytest.mark.parametrize("name", ["", "another-host/1/1"])
def test_of_others_nothing_is_known(name: str) -> None:
    assert not is_gone(name)
