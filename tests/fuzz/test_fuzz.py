"""Every reader on damaged files, in short; `python tests/fuzz/long.py` does it in earnest."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .damage import damaged
from .targets import SHARES, TARGETS, outcome

SHORT = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("name", TARGETS)
@SHORT
@given(seed=st.integers(0, 2**32))
def test_a_damaged_file_is_read_or_refused_by_name(tmp_path: Path, name: str, seed: int) -> None:
    target = TARGETS[name]
    assert outcome(target, target.make(random.Random(seed)), tmp_path) in {"read", "refused"}


@pytest.mark.parametrize("name", TARGETS)
def test_some_files_to_begin_with_are_read(tmp_path: Path, name: str) -> None:
    found = [outcome(TARGETS[name], seed, tmp_path) for seed in TARGETS[name].seeds()]
    assert found.count("read") >= len(found) / 4


def test_every_reader_has_its_share() -> None:
    assert SHARES.keys() == TARGETS.keys()
    assert sum(SHARES.values()) == 100


def test_a_crash_is_no_refusal(tmp_path: Path) -> None:
    broken = TARGETS["image"].__class__(lambda: (b"",), lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        outcome(broken, b"", tmp_path)


def test_the_same_chance_gives_the_same_damage() -> None:
    seed = bytes(range(200))
    made = {damaged(seed, random.Random(number)) for number in (1, 1, 2)}
    assert len(made) == 2
