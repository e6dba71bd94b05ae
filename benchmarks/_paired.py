"""Paired measuring: contestants take turns, so that whatever else runs hits all of them alike.

Contestants may live in processes of their own (`Worker`), with other packages or another
interpreter; a worker waits without working while another one runs. This module needs nothing but
the standard library.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Any, TypeVar

T = TypeVar("T")
PACKAGES = ("keras", "tensorflow", "onnxruntime", "numpy", "scipy", "mlflow", "dvc")
"""Whose versions are noted with each measurement."""


@dataclass(frozen=True)
class Time:
    """Milliseconds of one repetition, mean of a block of them.

    `cpu_ms` adds up the threads of the process. Other work makes it grow far less than `wall_ms`.
    """

    wall_ms: float
    cpu_ms: float


def measure(work: Callable[[], Any], repeats: int) -> Time:
    """Time of a block of repetitions."""
    wall, cpu = perf_counter(), process_time()
    for _ in range(repeats):
        work()
    wall, cpu = perf_counter() - wall, process_time() - cpu
    return Time(wall / repeats * 1000, cpu / repeats * 1000)


def take_turns(contestants: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each contestant returns in each round; every other round goes through them backwards."""
    results: dict[str, list[T]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            results[name].append(contestants[name]())
    return results


def ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """Median over the rounds of other / ours: above 1 where ours takes less."""
    return median(b / a for a, b in zip(ours, other, strict=True))


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The values between which half of them lie."""
    if len(values) < 2:
        return values[0], values[0]
    low, _middle, high = quantiles(values, n=4, method="inclusive")
    return low, high


# --- processes


class Worker:
    """A process that measures on demand; it says about itself `info` when it is ready."""

    def __init__(self, command: Sequence[str], threads: int) -> None:
        self.name, count = " ".join(command), str(threads)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count},
        )
        self.info: dict[str, Any] = self._answer()

    def measure(self, name: str, repeats: int) -> Time:
        """Let the worker run a block, and wait until it is done."""
        assert self.process.stdin is not None
        print(json.dumps({"name": name, "repeats": repeats}), file=self.process.stdin, flush=True)
        return Time(**self._answer())

    def close(self) -> None:
        """Let the worker end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {self.name} ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def serve(prepare: Callable[[], tuple[Mapping[str, Any], Mapping[str, Callable[[], Any]]]]) -> None:
    """Be a `Worker`: prepare info and contestants, then measure until the other side closes.

    Before each block its work is done once, which brings back what the others drove out of the
    caches.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    info, contestants = prepare()
    _say(answers, {**info, "contestants": list(contestants)})
    for line in sys.stdin:
        request = json.loads(line)
        work = contestants[request["name"]]
        work()
        _say(answers, vars(measure(work, request["repeats"])))


def _say(stream: Any, content: Mapping[str, Any]) -> None:
    print(json.dumps(content), file=stream, flush=True)


# --- what was found


def publish(
    found: Mapping[str, Any],
    file: Path | None,
    *,
    said: Callable[[Mapping[str, Any]], Iterable[str]],
    table: Callable[[Mapping[str, Any]], Iterable[str]],
) -> None:
    """Print the words and the table of a benchmark, and keep all as JSON if a file is given."""
    print("\n".join([*said(found), "", *table(found)]))  # noqa: T201 - what was found
    if file is not None:
        kept = json.dumps(without_places(found), indent=1)
        file.write_text(kept + "\n", encoding="utf-8")


def without_places(found: Any) -> Any:
    """The same values, of each absolute path the name alone: where it lay is this machine's own."""
    if isinstance(found, Mapping):
        return {key: without_places(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [without_places(value) for value in found]
    if isinstance(found, str | Path) and Path(found).is_absolute():
        return Path(found).name
    return found


# --- the machine


def machine(threads: int) -> dict[str, Any]:
    """Processor, cores that this process may use, threads, load before, versions."""
    try:
        lines: Iterable[str] = open("/proc/cpuinfo", encoding="utf-8")  # noqa: PTH123, SIM115
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else "unknown",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": threads,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"),
        "platform": sys.platform,
        "python": sys.version.split()[0],
        "packages": dict(_versions()),
    }


def _versions() -> Iterable[tuple[str, str]]:
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)


def described(on: Mapping[str, Any], *packages: str) -> str:
    """A machine and the versions of Python and of some packages, in words."""
    known = on.get("packages", {})
    names = [
        f"Python {on['python']}",
        *(f"{name} {known[name]}" for name in packages if name in known),
    ]
    return (
        f"{on['processor']}, {on['cores']} cores, {on['threads']} threads, load {on['load']:.1f} "
        f"before; {', '.join(names)}."
    )


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Between which values half of them lie, for a table; of a single one nothing."""
    if len(values) < 2:
        return ""
    low, high = quartiles(values)
    return f"{low:,.{digits}f} to {high:,.{digits}f}"
