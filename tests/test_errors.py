"""What a user is told: all that is wrong, once, without a stack trace."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sgseg.errors import InputError, Problem, exit_with_message

MISSING = Problem("a.tif", "no such file")
BROKEN = Problem("b.tif", "ends early", "4096 bytes", "Copy it again.")


def test_a_problem_says_where_what_expected_and_what_to_do() -> None:
    assert str(BROKEN) == "b.tif: ends early; expected 4096 bytes. Copy it again."
    assert str(MISSING) == "a.tif: no such file"


def test_one_problem_is_one_line() -> None:
    assert str(InputError(MISSING)) == "a.tif: no such file"


def test_several_problems_are_all_named() -> None:
    error = InputError(MISSING, BROKEN)
    assert str(error).splitlines() == [
        "2 problems:",
        "  - a.tif: no such file",
        "  - b.tif: ends early; expected 4096 bytes. Copy it again.",
    ]
    assert error.problems == (MISSING, BROKEN)


def test_of_thousands_of_problems_the_first_are_named() -> None:
    error = InputError(*(Problem(f"{number}.tif", "no such file") for number in range(2100)))
    lines = str(error).splitlines()
    assert lines[:2] == ["2100 problems:", "  - 0.tif: no such file"]
    assert lines[-2:] == ["  - 99.tif: no such file", "  - and 2,000 more"]
    assert len(error.problems) == 2100


def test_a_title_stands_above_even_one_problem() -> None:
    error = InputError(MISSING, title="1 of 9 images could not be segmented:")
    assert str(error).splitlines() == [
        "1 of 9 images could not be segmented:",
        "  - a.tif: no such file",
    ]


def fail(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return main


MAKE_ROOM = ". Make room and give the same command again; what was finished is kept."


def disk_full(filename: str | None) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), filename)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InputError(MISSING), 2, "error: a.tif: no such file\n"),
        (disk_full("x.onnx"), 2, f"error: x.onnx: No space left on device{MAKE_ROOM}\n"),
        (disk_full(None), 2, f"error: No space left on device{MAKE_ROOM}\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_a_mistake_of_the_user_ends_with_a_message(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        exit_with_message(fail(error))
    assert stop.value.code == status
    assert capsys.readouterr().err == message


def test_a_disk_that_numpy_found_full(capsys: pytest.CaptureFixture[str]) -> None:
    """Chaos found it: NumPy says how much it has written, and not why no more."""

    def main() -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            np.zeros(8192, "uint8").tofile(file)

    with pytest.raises(SystemExit) as stop:
        exit_with_message(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: No space left on device{MAKE_ROOM}\n"


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (3, 3)])
def test_the_status_of_a_command_is_handed_on(result: int | None, status: int) -> None:
    with pytest.raises(SystemExit) as stop:
        exit_with_message(lambda: result)
    assert stop.value.code == status


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError("without a number")])
def test_a_defect_keeps_its_stack_trace(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        exit_with_message(fail(error))
