"""What the C++ side of TensorFlow says goes nowhere, what comes after is heard."""

from __future__ import annotations

import os

import pytest

from sgseg.quiet import without_startup_messages


def test_stderr_is_silent_within_and_back_after(capfd: pytest.CaptureFixture[str]) -> None:
    with without_startup_messages():
        os.write(2, b"chatter")
    os.write(2, b"news")
    assert capfd.readouterr().err == "news"


def test_an_error_within_is_raised_and_stderr_is_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), without_startup_messages():
        raise ImportError
    os.write(2, b"news")
    assert capfd.readouterr().err == "news"
