"""Child processes: how many at once, what they say, and that none is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sgseg.experiments.children import run_children


def command(folder: Path, name: str, code: str) -> tuple[list[str], Path]:
    return ["-c", code], folder / f"{name}.txt"


def ended(pid: int, seconds: float = 5.0) -> bool:
    """Whether a process ends within the time given."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def written(path: Path, seconds: float = 10.0) -> str:
    """What a file holds, once it holds something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.05)
    pytest.fail(f"nothing in {path}")


def test_each_command_runs_with_its_own_log_and_status(tmp_path: Path) -> None:
    commands = {
        "fine": command(tmp_path, "fine", "print('all is well')"),
        "broken": command(tmp_path, "broken", "import sys; print('oh', file=sys.stderr); exit(3)"),
    }
    assert dict(run_children(commands, workers=2)) == {"fine": 0, "broken": 3}
    assert (tmp_path / "fine.txt").read_text() == "all is well\n"
    assert (tmp_path / "broken.txt").read_text() == "oh\n"


def test_no_more_than_the_workers_run_at_once_and_in_order(tmp_path: Path) -> None:
    # Each says when it began and when it ended; of two at once the third waits for one of them.
    code = "import time; print(time.time()); time.sleep(0.3); print(time.time())"
    commands = {str(n): command(tmp_path, str(n), code) for n in range(3)}
    done = [name for name, _ in run_children(commands, workers=2)]
    times = [tuple(map(float, (tmp_path / f"{n}.txt").read_text().split())) for n in range(3)]
    assert sorted(done[:2]) == ["0", "1"]
    assert times[2][0] > min(times[0][1], times[1][1])


def test_cores_are_shared_out_unless_one_runs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr("sgseg.processes.n_cores", lambda: 6)
    code = "import os; print(os.environ.get('TF_NUM_INTRAOP_THREADS'))"
    for workers, share in ((1, "None"), (3, "2"), (8, "1")):
        list(run_children({"x": command(tmp_path, "x", code)}, workers=workers))
        assert (tmp_path / "x.txt").read_text().split() == [share], workers


def test_who_stops_listening_stops_the_children(tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    commands = {
        "first": command(tmp_path, "first", "pass"),
        "second": command(tmp_path, "second", code),
    }
    children = run_children(commands, workers=2)
    assert next(children) == ("first", 0)
    pid = int(written(tmp_path / "second.txt"))
    children.close()  # type: ignore[attr-defined]
    assert ended(pid)


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    child = (
        "from sgseg.experiments.children import end_with_parent\n"
        "import os, time; end_with_parent(); print(os.getpid(), flush=True); time.sleep(60)"
    )
    parent = (
        "import sys, pathlib\n"
        "from sgseg.experiments.children import run_children\n"
        f"list(run_children({{'x': (['-c', {child!r}], pathlib.Path({str(tmp_path / 'x')!r}))}},"
        " workers=1))"
    )
    with subprocess.Popen([sys.executable, "-c", parent], env=os.environ) as process:
        pid = int(written(tmp_path / "x"))
        process.kill()
    assert ended(pid)
