"""Choosing a champion by hand, and going back."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgseg.errors import InputError
from sgseg.registry import promote_version, roll_back

from .project import champion, lines_of_log, reopen, submit_each


def test_back_and_back_again(two: Path) -> None:
    submit_each(two, 0.7, 0.9)  # 3 is refused, 4 promoted: champions were 1, 2, 4
    for expected in (2, 1):
        change = roll_back(reopen(two), reason="worse on Monday's plate")
        assert change is not None
        assert change.to_version == expected == champion(two)
    with pytest.raises(InputError, match="no champion before this one"):
        roll_back(reopen(two))
    last = lines_of_log(two)[-1]
    assert (last["how"], last["why"], last["gate"]) == (
        "rollback",
        "worse on Monday's plate",
        "promote",
    )
    # Forward again, and back to where that came from.
    submit_each(two, 0.95)
    assert champion(two) == 5
    roll_back(reopen(two))
    assert champion(two) == 1


def test_back_to_a_certain_one(two: Path) -> None:
    submit_each(two, 0.9)
    roll_back(reopen(two), to=1)
    assert champion(two) == 1
    assert lines_of_log(two)[-1]["why"] == "back to version 1"
    assert roll_back(reopen(two), to=1) is None


def test_not_to_what_never_was_champion_or_is_no_more(two: Path) -> None:
    submit_each(two, 0.7)
    for to, said in ((3, "has never been champion"), (9, "there is none, or no more; .*1, 2, 3")):
        with pytest.raises(InputError, match=said):
            roll_back(reopen(two), to=to)
    assert champion(two) == 2


def test_deleted_versions_are_passed_over(two: Path) -> None:
    submit_each(two, 0.9)
    registry = reopen(two)
    registry.client.delete_model_version("sgseg", "2")
    roll_back(registry)
    assert champion(two) == 1


def test_after_the_champion_itself_was_deleted(two: Path) -> None:
    registry = reopen(two)
    registry.client.delete_model_version("sgseg", "2")
    roll_back(registry)
    assert champion(two) == 1


def test_by_hand_whatever_the_gate_said(two: Path) -> None:
    submit_each(two, 0.7)
    change = promote_version(reopen(two), 3, reason="  faster,\nand good enough ")
    assert change is not None
    assert champion(two) == 3
    assert (change.how, change.why, change.gate) == ("by hand", "faster, and good enough", "keep")
    assert change.decision
    assert promote_version(reopen(two), 3, reason="again") is None


def test_a_version_that_the_gate_never_saw(two: Path) -> None:
    registry = reopen(two)
    registry.client.delete_model_version_tag("sgseg", "1", "sgseg.decision")
    change = promote_version(registry, 1, reason="the old one")
    assert change is not None
    assert (change.gate, change.decision) == ("not asked", "")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1501])
def test_a_reason_is_needed(two: Path, reason: str) -> None:
    with pytest.raises(InputError, match=r"--reason: .*expected a sentence"):
        promote_version(reopen(two), 1, reason=reason)
    assert champion(two) == 2


def test_no_such_version(two: Path) -> None:
    with pytest.raises(InputError, match="version 7: there is none, or no more; expected one of"):
        promote_version(reopen(two), 7, reason="x")
