"""A process on a worker has its line, and ends with whoever asked for it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sgseg.cluster.process import Ended, Process

MODULE = """
import sys, time
from sgseg.cluster.process import line_of_parent
line = line_of_parent()
print(*sys.argv[1:], line, file=sys.stderr)
open("began", "w").close()
time.sleep(float(line))
sys.exit(3)
"""


@pytest.fixture
def process(tmp_path: Path) -> Process:
    (tmp_path / "work.py").write_text(MODULE)
    (tmp_path / "mark").touch()
    return Process(("work", "7"), "0.01", tmp_path, tmp_path / "mark")


def test_its_end_and_what_it_said(process: Process) -> None:
    assert process() == Ended(3, "7 0.01\n")


def test_nobody_waits_for_it(process: Process, tmp_path: Path) -> None:
    long = Process(process.module, "60", tmp_path, tmp_path / "mark")
    ended: list[Ended] = []
    thread = threading.Thread(target=lambda: ended.append(long()))
    thread.start()
    until(tmp_path / "began")
    (tmp_path / "mark").unlink()
    thread.join(30)
    assert [one.status for one in ended] == [1]


def test_its_parent_is_killed(process: Process, tmp_path: Path) -> None:
    code = "from sgseg.cluster.process import Process; from pathlib import Path; import os\n"
    code += f"Process({process.module!r}, '60', Path('.'), Path('mark'))()"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
    until(tmp_path / "began")
    parent.kill()
    # The pipe is the process's as well, as long as it lives.
    parent.communicate(timeout=30)


def until(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
