"""`sgseg predict` on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sgseg.cluster.attempts import attempts_on
from sgseg.cluster.model import Model
from sgseg.errors import Problem
from sgseg.inference.predict import Job, Task
from sgseg.inference.run import Attempts, Outcome, attempt

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class _Segment:
    """Segments an image; travels."""

    model: Model
    job: Job

    def __call__(self, task: Task, out: Path) -> Problem | None:
        return attempt(self.model, task, replace(self.job, out=out))


@contextmanager
def image_attempts(
    client: Client,
    folder: Path,
    *,
    members: str | int | None = None,
    orientations: int | None = None,
    threads: int = 1,
) -> Iterator[Attempts]:
    """What `continue_files` spreads its tasks with.

    Parameters
    ----------
    client
        See `connect`.
    folder
        The bundle on this machine; it is put onto the workers.
    members, orientations, threads
        See `Segmenter.load`.
    """
    from sgseg.cluster.delivery import delivered  # noqa: PLC0415

    with delivered(client, folder) as bundle:

        def attempts(tasks: Sequence[Task], job: Job) -> Iterator[Outcome]:
            call = _Segment(Model(bundle, members, orientations, threads), job)
            yield from attempts_on(client, tasks, job.out, lambda _: call, unit="image")

        yield attempts
