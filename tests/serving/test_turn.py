"""Places that threads wait for, within their time."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from sgseg.serving.turn import BusyError, Deadline, Turn


def test_as_many_as_there_are_places() -> None:
    turn = Turn(2)
    with ExitStack() as stack:
        stack.enter_context(turn.within(None))
        stack.enter_context(turn.within(Deadline.after(0)))
        for seconds in (0, 0.01):
            with pytest.raises(BusyError), turn.within(Deadline.after(seconds)):
                raise AssertionError
    with turn.within(Deadline.after(0)):
        pass


def test_a_place_is_given_back_after_an_error() -> None:
    turn = Turn()
    for _ in range(2):
        with pytest.raises(ValueError, match="why"), turn.within(Deadline.after(0)):
            raise ValueError("why")


def test_time_that_is_left_is_never_below_nothing() -> None:
    assert Deadline(5.0, end=0.0).left() == 0
    assert 50 < Deadline.after(60).left() <= 60
