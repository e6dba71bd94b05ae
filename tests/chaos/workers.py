"""Workers of a Dask cluster, killed while they segment or measure a folder of images."""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from pathlib import Path

from distributed import Client
from examples import draw_field
from quantify import runs

from sgseg.cluster.connection import connect
from sgseg.cluster.fields import field_attempts
from sgseg.cluster.images import image_attempts
from sgseg.errors import Problem
from sgseg.images.write import write_labels
from sgseg.inference.predict import Job, Reading, find_tasks
from sgseg.inference.run import continue_files
from sgseg.inference.segmenter import Segmenter
from sgseg.quantify.run import quantify_files

from .cases import make_bundle
from .files import content
from .trial import Loss

PREDICT = "a Dask worker killed, predict"
QUANTIFY = "a Dask worker killed, quantify"
N_IMAGES = 6


class Workers:
    """Two workers on this machine, and what one process makes of the same images."""

    def __init__(self, folder: Path, client: Client) -> None:
        self._folder, self._client = folder, client
        self._bundle = folder / "bundle"
        make_bundle(self._bundle)
        for number in range(N_IMAGES):
            pixels, _ = draw_field(
                [(20 + 9 * number, 40), (300, 500 + 8 * number)], shape=(600, 800), seed=number
            )
            write_labels(folder / "images" / f"f{number}.tif", pixels)
        names = [f"{'ch'[number % 2]}{number}" for number in range(N_IMAGES)]
        self._fields = runs.write_fields(folder / "fields", names)
        self._plan = runs.plan(folder / "fields", self._fields)
        self._expected, self._seconds = {}, {}
        for kind in (PREDICT, QUANTIFY):
            assert self._run(kind, alone=True) == []
            self._expected[kind] = content(self._out(kind))
            for _ in range(2):  # the first is slow: workers import what they need
                shutil.rmtree(self._out(kind))
                began = time.monotonic()
                assert self._run(kind) == []
                self._seconds[kind] = time.monotonic() - began
                assert content(self._out(kind)) == self._expected[kind]

    def inject(self, kind: str, rng: random.Random) -> list[Loss]:
        """Kill one worker or both at a moment by chance; the run goes on."""
        after_s, n = rng.uniform(0, self._seconds[kind]), rng.choice((1, 1, 1, 2))
        while True:
            shutil.rmtree(self._out(kind), ignore_errors=True)
            self._client.wait_for_workers(2, timeout=120)
            there = self._processes()
            victims = rng.sample(there, min(n, len(there)))
            timer = threading.Timer(after_s, _kill, [victims])
            timer.start()
            try:
                problems = self._run(kind)
            finally:
                late = not timer.finished.is_set()
                timer.cancel()
                timer.join()
            if not late:
                break
            after_s *= 0.7  # it was done before
        told = f"{n} killed after {after_s:.2f} s"
        losses = [Loss(told, str(problem)) for problem in problems]
        found = content(self._out(kind))
        for path in sorted(self._expected[kind].keys() | found.keys()):
            if self._expected[kind].get(path) != found.get(path):
                losses.append(Loss(told, f"{path} differs, is missing or left over"))
        return losses

    def _processes(self) -> list[int]:
        found = self._client.run(os.getpid, on_error="return").values()
        return sorted(number for number in found if isinstance(number, int))

    def _out(self, kind: str) -> Path:
        return self._folder / f"out of {kind.rpartition(' ')[2]}"

    def _run(self, kind: str, *, alone: bool = False) -> list[Problem]:
        with redirect_stderr(io.StringIO()):  # bars, and what Dask says of workers that are gone
            return self._done(kind, alone=alone)

    def _done(self, kind: str, *, alone: bool) -> list[Problem]:
        out = self._out(kind)
        if kind == QUANTIFY:
            if alone:
                return quantify_files(self._fields, out, self._plan)
            with field_attempts(self._client, None) as attempts:
                return quantify_files(self._fields, out, self._plan, attempts=attempts)
        segmenter = Segmenter.load(self._bundle)
        tasks = find_tasks([self._folder / "images"], out)
        job = Job(out, Reading(), identity={"networks": "the same"})
        if alone:
            return continue_files(segmenter, tasks, job)
        with image_attempts(self._client, self._bundle) as attempts:
            return continue_files(segmenter, tasks, job, attempts=attempts)


def _kill(processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@contextmanager
def workers(folder: Path) -> Iterator[Workers]:
    """A cluster for as long as the block lasts."""
    with ExitStack() as stack:
        client = stack.enter_context(connect(workers=2))
        yield Workers(folder, client)
