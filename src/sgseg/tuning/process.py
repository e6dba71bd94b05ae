"""A trial from its worker's side: the process is started, answered, waited for and read."""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import yaml

from sgseg.images.write import replacing
from sgseg.tuning.job import Job, dump
from sgseg.tuning.trial import GO_ON, LOG, RESULT, STOP, Result

PARAMS = "params.yaml"
TICK_SECONDS = 0.5
END_SECONDS = 5.0


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The trial was not carried to its end, because it was asked not to be."""


def run_trial(
    job: Job,
    folder: Path,
    *,
    decide: Callable[[int, float], bool],
    tick: Callable[[], None],
    environment: Mapping[str, str],
) -> Result:
    """Carry out a trial in a process of its own, which also ends with this one.

    Parameters
    ----------
    job
        With the recipe as its parameters.
    folder
        Of the trial. What is left there of the same recipe is gone on with.
    decide
        Called after each fold with its place among the folds and the score so far; whether to go
        on.
    tick
        Called about twice a second; may raise `Stopped`.

    Raises
    ------
    Stopped
        By `tick`; the process has ended.
    """
    _prepare(folder, job)
    command = [sys.executable, "-m", "sgseg.tuning.trial"]
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
        )
    try:
        _converse(process, job, folder, decide, tick)
        process.wait()
    finally:
        _end(process)
    return _result(process.returncode, folder)


def _prepare(folder: Path, job: Job) -> None:
    """See to it that nothing in the folder is of another recipe."""
    params = yaml.safe_dump(dump(job.params), sort_keys=False)
    path = folder / PARAMS
    if folder.exists() and (not path.exists() or path.read_text(encoding="utf-8") != params):
        shutil.rmtree(folder)
    with replacing(path) as partial:
        partial.write_text(params, encoding="utf-8")
    (folder / RESULT).unlink(missing_ok=True)


def _converse(
    process: subprocess.Popen[bytes],
    job: Job,
    folder: Path,
    decide: Callable[[int, float], bool],
    tick: Callable[[], None],
) -> None:
    messages: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, messages), daemon=True).start()
    task = {"job": json.loads(job.to_json()), "folder": str(folder)}
    _send(process, json.dumps(task))
    step = 0
    while True:
        tick()
        try:
            message = messages.get(timeout=TICK_SECONDS)
        except queue.Empty:
            continue
        if not message:
            return
        value = float(json.loads(message)["value"])
        _send(process, GO_ON if decide(step, value) else STOP)
        step += 1


def _read(stream: IO[bytes], messages: queue.Queue[bytes]) -> None:
    for line in stream:
        messages.put(line)
    messages.put(b"")


def _send(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin is not None
    # A process that has died is seen to by who waits for it.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()


def _end(process: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()  # type: ignore[union-attr]
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _result(status: int, folder: Path) -> Result:
    try:
        content = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return Result(**content)
    except FileNotFoundError:
        pass
    if status >= 0:
        # What a recipe raises is in the result: this happened before or after it.
        return Result("REFUSED", error=f"its process ended with status {status}, {_last(folder)}")
    return Result("FAIL", error=f"its process was ended by {_signal(-status)}")


def _last(folder: Path) -> str:
    lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f"{said[-1] if said else 'without a word'} (see {folder / LOG})"


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name}, perhaps for want of memory" if name == "SIGKILL" else name
