"""Servers of tests: started when ready, ended with all that they started, whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .process import Server, answers, free_port

TESTS = Path(__file__).parents[1]
# Writes its number and that of a process of its own.
PARENT = 'sleep 600 & echo $$ $! > "{told}.new"; mv "{told}.new" "{told}"; wait'


def make(folder: Path, script: str, *, ready: Callable[[], bool]) -> Server:
    return Server("it", ["/bin/sh", "-c", script], log=folder / "log.txt", ready=ready)


def numbers(told: Path) -> list[int]:
    return [int(number) for number in told.read_text().split()]


def gone(number: int) -> bool:
    """Within a moment; a zombie, which nobody has waited for yet, is gone as well."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_it_ends_with_all_that_it_started_and_starts_again(tmp_path: Path) -> None:
    told = tmp_path / "told"
    server = make(tmp_path, PARENT.format(told=told), ready=told.exists)
    for end in (server.kill, server.stop):
        told.unlink(missing_ok=True)
        server.start(deadline_s=20)
        parent, child = numbers(told)
        assert os.getpgid(child) == parent
        end()
        assert gone(parent)
        assert gone(child)
    server.stop()  # once more, for nothing


def test_one_that_ends_says_why(tmp_path: Path) -> None:
    server = make(tmp_path, "echo no such port; exit 3", ready=lambda: False)
    with pytest.raises(AssertionError, match="it ended with 3:\nno such port"):
        server.start(deadline_s=20)


def test_one_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    told = tmp_path / "told"
    server = make(tmp_path, f"echo waiting; {PARENT.format(told=told)}", ready=lambda: False)
    with pytest.raises(AssertionError, match="it is not ready after 1 s:\nwaiting"):
        server.start(deadline_s=1)
    assert all(gone(number) for number in numbers(told))


def test_killed_tests_leave_nothing_behind(tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = (
        "import os; from pathlib import Path; from servers.process import Server\n"
        f"told = Path({str(told)!r}); command = ['/bin/sh', '-c', {PARENT.format(told=told)!r}]\n"
        f"Server('it', command, log=told.with_name('log.txt'), ready=told.exists).start()\n"
        "os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60)
    assert all(gone(number) for number in numbers(told))


def test_nobody_answers_at_a_free_port() -> None:
    assert not answers(f"http://127.0.0.1:{free_port()}/")
