"""What becomes of a file on a worker, told as if it had been done here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sgseg.cluster.site import marked
from sgseg.cluster.spread import Died, Item, Unseen, spread
from sgseg.errors import InputError, Problem
from sgseg.inference.predict import Task, of_file
from sgseg.inference.records import content_md5
from sgseg.inference.run import Outcome

if TYPE_CHECKING:
    from distributed import Client

Attempt = Callable[[Task, Path], Problem | None]
"""Attempts a task, given the folder of results; on a worker, so all that it holds must travel."""


def attempts_on(
    client: Client,
    tasks: Sequence[Task],
    out: Path,
    attempt_of: Callable[[Task], Attempt],
    *,
    unit: str,
    desc: str | None = None,
) -> Iterator[Outcome]:
    """The place of each task and what is wrong with its file, as they come.

    Workers get absolute paths, as they run in folders of their own; problems name files as they
    were given.
    """
    with marked(out) as site:
        items = [
            Item(
                task.path.absolute(),
                partial(attempt_of(task), replace(task, path=task.path.absolute()), out.absolute()),
            )
            for task in tasks
        ]
        for place, found in spread(client, items, site, unit=unit, desc=desc):
            yield place, _problem(tasks[place], found)


def _problem(task: Task, found: Problem | Unseen | Died | None) -> Problem | None:
    if isinstance(found, Died):
        what = f"each worker that began it was killed, {found.times} times when it was alone"
        if found.bytes_used is not None:
            what += f", for its memory of {found.bytes_used / 1e9:.1f} GB"
        remedy = "It may need more memory than a worker has: try it with fewer --workers."
        return Problem(str(task.path), what, remedy=remedy)
    if isinstance(found, Unseen):
        try:
            content_md5(task.path)
        except InputError as error:
            return of_file(task.path, error)
        expected = "a folder that all machines share, under the same path"
        return Problem(str(task.path), f"the worker {found.worker} cannot read it", expected)
    if found is None or task.path.is_absolute():
        return found
    here = f"{Path.cwd()}/"
    return Problem(
        *(text.replace(here, "") for text in (found.where, found.what)),
        *(text.replace(here, "") for text in (found.expected, found.remedy)),
    )
