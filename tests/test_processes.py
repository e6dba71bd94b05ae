"""The pipe to the process that started this one."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import threading
from sgseg.processes import Lifeline
ended = threading.Event()
parent = Lifeline(on_end=ended.set)
print(parent.next_line(), parent.next_line(), flush=True)
print(ended.wait(60), flush=True)
"""


def test_lines_and_the_end() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for piece in ("on", "e\ntw", "o\n"):  # lines may come in pieces
        process.stdin.write(piece)
        process.stdin.flush()
    assert process.stdout.readline() == "one two\n"
    process.stdin.close()
    assert process.stdout.readline() == "True\n"
    # It ends without a word about the thread that was waiting.
    assert process.wait(60) == 0
    process.stdout.close()
