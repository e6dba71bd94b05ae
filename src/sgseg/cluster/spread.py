"""Tasks over the workers of a cluster, results as they come; no worker's death loses one."""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import uuid4

from tqdm import tqdm

from sgseg.cluster.connection import revive
from sgseg.cluster.site import Site
from sgseg.errors import InputError, Problem

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

log = logging.getLogger(__name__)

LISTEN_SECONDS = 2.0
AHEAD = 2
"""Tasks per thread of a worker that are on their way: none of them ever waits for the next."""

OUT_OF_MEMORY = "worker-restart-memory"
"""What Dask's nannies call the event that they kill a worker for its memory."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Item(Generic[Result]):
    """A task: what is called on the worker, and the file that it must be able to read."""

    path: Path
    function: Callable[[], Result]


@dataclass(frozen=True)
class Unseen:
    """In place of a result: the worker cannot read the file."""

    worker: str


@dataclass(frozen=True)
class Unfit:
    """In place of a result: the worker cannot do any task of this run."""

    worker: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Died:
    """In place of a result: each worker that began the task was killed.

    Attributes
    ----------
    bytes_used
        The memory of the last one, if Dask killed it for that.
    """

    times: int
    bytes_used: int | None = None


def spread(
    client: Client, items: Sequence[Item[Result]], site: Site, *, unit: str, desc: str | None = None
) -> Iterator[tuple[int, Result | Unseen | Died]]:
    """Carry out tasks on the workers; the place of each and what it gave, as they come.

    A task whose worker dies is done again by another. One whose workers die each time is set aside,
    and done once more when all others are finished, alone: only then is it known to blame.

    Parameters
    ----------
    site
        What a worker must have in common with this machine; others are given no task.

    Raises
    ------
    InputError
        No worker is fit, or the scheduler is gone.
    Exception
        What a task raised; the others are cancelled.
    """
    run = _Run(client, items, site)
    run.check_all()
    with tqdm(total=len(items), unit=unit, desc=desc, disable=len(items) < 2) as bar:
        for found in run.results():
            bar.update()
            yield found


class _Run(Generic[Result]):
    """The tasks of a call, and where they are."""

    def __init__(self, client: Client, items: Sequence[Item[Result]], site: Site) -> None:
        self._client, self._items, self._site = client, items, site
        self._name = f"sgseg-{uuid4().hex[:8]}"
        self._finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._running: dict[str, tuple[int, Future]] = {}
        self._unfit: dict[str, tuple[Problem, ...]] = {}
        self._submitted = 0
        self._alone = len(items) == 1

    def check_all(self) -> None:
        """Refuse where no worker that is there now can do anything.

        Raises
        ------
        InputError
            All are unfit; each is named.
        """
        found = self._client.run(_problems, self._site, on_error="return")
        for worker, problems in list(found.items()):
            if isinstance(problems, OSError):
                # It has died just now. A task tells of what takes its place.
                del found[worker]
                continue
            if isinstance(problems, BaseException):
                raise problems
            if problems:
                self._leave_out(worker, tuple(problems))
        if found and len(self._unfit) == len(found):
            raise InputError(*self._all_unfit())

    def results(self) -> Iterator[tuple[int, Result | Unseen | Died]]:
        """See `spread`."""
        waiting = list(reversed(range(len(self._items))))
        aside: list[int] = []
        try:
            while waiting or self._running or aside:
                if not waiting and not self._running:
                    # Now none but the one that was to blame can be hit by a worker's death.
                    self._alone = True
                    waiting.append(aside.pop(0))
                while waiting and len(self._running) < self._room():
                    self._submit(waiting.pop())
                place, future = self._next()
                found = self._result_of(future)
                if isinstance(found, Unfit):
                    self._leave_out(found.worker, found.problems)
                    waiting.append(place)
                elif isinstance(found, Died) and not self._alone:
                    log.warning("%s: its worker was killed; done again", self._items[place].path)
                    aside.append(place)
                else:
                    yield place, found
        finally:
            futures = [future for _, future in self._running.values()]
            if futures and self._client.status == "running":
                self._client.cancel(futures, force=True)

    def _room(self) -> int:
        if self._alone:
            return 1
        threads: int = sum(self._client.nthreads().values())
        return max(1, AHEAD * threads)

    def _submit(self, place: int) -> None:
        item = self._items[place]
        self._submitted += 1
        fit = None
        if self._unfit:
            fit = [one for one in self._client.nthreads() if one not in self._unfit]
            if not fit:
                raise InputError(*self._all_unfit())
        future = self._client.submit(
            _carry_out,
            item,
            self._site,
            key=f"{self._name}-{self._submitted}",
            workers=fit,
            pure=False,
        )
        self._running[future.key] = (place, future)
        future.add_done_callback(self._finished.put)

    def _next(self) -> tuple[int, Future]:
        """The next task that has ended, however."""
        lonely = False
        while True:
            try:
                future = self._finished.get(timeout=LISTEN_SECONDS)
                return self._running.pop(future.key)
            except queue.Empty:
                if self._client.status != "running":
                    raise self._gone() from None
                revive(self._client)
                alone = not self._client.nthreads()
                if alone and not lonely:
                    log.warning(
                        "No worker is left; waiting for one. Ctrl-C stops, and loses nothing."
                    )
                lonely = alone

    def _result_of(self, future: Future) -> Result | Unseen | Unfit | Died:
        from distributed import KilledWorker  # noqa: PLC0415
        from distributed.client import FutureCancelledError  # noqa: PLC0415

        try:
            found: Result | Unseen | Unfit = future.result()
        except KilledWorker as error:
            return Died(error.allowed_failures + 1, self._memory_of(error.last_worker.address))
        except FutureCancelledError:
            raise self._gone() from None
        return found

    def _memory_of(self, worker: str) -> int | None:
        """What a worker had when its nanny killed it for that; None where that is not why."""
        events = self._client.get_events(OUT_OF_MEMORY)
        found = [int(event["rss"]) for _, event in events if event["worker"] == worker]
        return found[-1] if found else None

    def _gone(self) -> InputError:
        where = self._client.scheduler.address if self._client.scheduler else "the scheduler"
        remedy = "Start it again and give the same command: what was finished is kept."
        return InputError(Problem(str(where), "the scheduler is gone", remedy=remedy))

    def _all_unfit(self) -> list[Problem]:
        return [problem for each in self._unfit.values() for problem in each]

    def _leave_out(self, worker: str, problems: tuple[Problem, ...]) -> None:
        if worker not in self._unfit:
            for problem in problems:
                log.warning("left out: %s", problem)
        self._unfit[worker] = problems


def _problems(site: Site, dask_worker: Worker) -> list[Problem]:
    """On the worker; Dask gives itself to an argument of this name."""
    return site.problems(str(dask_worker.address))


def _carry_out(item: Item[Result], site: Site) -> Result | Unseen | Unfit:
    """On the worker."""
    from distributed import get_worker  # noqa: PLC0415

    worker = str(get_worker().address)
    problems = site.problems(worker)
    if problems:
        return Unfit(worker, tuple(problems))
    if not os.access(item.path, os.R_OK):
        return Unseen(worker)
    return item.function()
