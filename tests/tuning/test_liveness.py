"""Whether the worker of a trial still lives, seen from here."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import optuna
import psutil
import pytest

from sgseg.tracking.process import name_of, running_process
from sgseg.tuning.liveness import (
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    NAMELESS_SECONDS,
    PROCESS,
    SILENCE_SECONDS,
    Watch,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def trial(**attributes: Any) -> optuna.trial.FrozenTrial:
    study = optuna.create_study()
    asked = study.ask()
    for name, value in attributes.items():
        asked.set_user_attr(name, value)
    return study.trials[0]


def test_a_worker_on_this_machine(clock: Clock) -> None:
    watch = Watch(clock)
    running = trial(**{PROCESS: running_process()})
    assert not watch.is_abandoned(running)
    clock.now += 1e6  # however long it says nothing
    assert not watch.is_abandoned(running)


def test_a_worker_on_this_machine_that_has_ended(clock: Clock) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = name_of(psutil.Process(process.pid))
    assert not Watch(clock).is_abandoned(trial(**{PROCESS: name}))
    process.kill()
    process.communicate()
    # At once, without waiting for silence.
    assert Watch(clock).is_abandoned(trial(**{PROCESS: name}))


def test_a_worker_on_another_machine_is_dead_when_silent(clock: Clock) -> None:
    watch, name = Watch(clock), "elsewhere/1/1"
    beating = trial(**{PROCESS: name, HEARTBEAT: 1})
    assert not watch.is_abandoned(beating)
    clock.now += SILENCE_SECONDS - 1
    assert not watch.is_abandoned(beating)
    # Another beat: its silence begins anew. Whatever time it says is of its own clock.
    beaten = trial(**{PROCESS: name, HEARTBEAT: 2})
    assert not watch.is_abandoned(beaten)
    clock.now += SILENCE_SECONDS - 1
    assert not watch.is_abandoned(beaten)
    clock.now += 2
    assert watch.is_abandoned(beaten)
    assert 4 * HEARTBEAT_SECONDS < SILENCE_SECONDS


def test_a_worker_that_died_before_it_gave_its_name(clock: Clock) -> None:
    watch, nameless = Watch(clock), trial()
    assert not watch.is_abandoned(nameless)
    clock.now += NAMELESS_SECONDS + 1
    assert watch.is_abandoned(nameless)
