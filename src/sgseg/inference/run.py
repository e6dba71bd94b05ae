"""A run over many images that goes on where it was stopped, here or spread over other machines."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from sgseg.errors import InputError, Problem
from sgseg.images.zarr import has_zarr_labels
from sgseg.inference.predict import (
    Job,
    Predictor,
    Task,
    Warned,
    of_file,
    predict_image,
    read_task,
    write_files,
)
from sgseg.inference.records import Records, content_md5, digest_of
from sgseg.inference.tables import GRANULES, SEVERAL, ResultTables, Row, field_row, granule_rows

log = logging.getLogger(__name__)

IMAGES = ".images"
PACKAGES = ("sgseg", "numpy", "scipy", "scikit-image", "onnxruntime")

ALONE_PX = 2**23
"""A larger image, twice that of a camera, is alone in memory, but for what is written before it."""

Outcome = tuple[int, Problem | None]
"""The place of a task in its list, and what is wrong with its file."""
Steps = Generator[int, None, Problem | None]
"""A task in three steps: its image is read, shown to the networks, and its files are written.

The number of the image's pixels comes first, what is wrong with its file last. A task that needs no
further step ends early.
"""
Attempts = Callable[[Sequence[Task], Job], Iterator[Outcome]]
"""Attempts all tasks, see `attempt`, in any order; perhaps on other machines."""


def continue_files(
    predictor: Predictor, tasks: Sequence[Task], job: Job, *, attempts: Attempts | None = None
) -> list[Problem]:
    """As `predict_files`, but an image that is done is not done again; see `Job.identity`.

    What is known of each lies in `.images` in the folder of results.

    Parameters
    ----------
    attempts
        Carries the tasks out, see `sgseg.cluster`; None: here, see `overlapped`. The bytes of
        all files are the same.

    Raises
    ------
    InputError
        Another run is writing into the folder.
    """
    records = Records(job.out, IMAGES)
    known: dict[int, Problem | None] = {}
    warned = Warned(len(tasks))
    with records.locked():
        try:
            for place, problem in (attempts or _here(predictor))(tasks, job):
                known[place] = problem
        finally:
            # However it ends: what is done stands in the tables, in the order of the tasks.
            with ResultTables(job.out) as tables:
                for place in sorted(place for place in known if known[place] is None):
                    task = tasks[place]
                    row, granules = _rows(str(task.path), records.load(task.name))
                    tables.add_rows(row, granules)
                    warned.add(task, [text for text in str(row["warnings"]).split(SEVERAL) if text])
    warned.log()
    return [problem for place in sorted(known) if (problem := known[place]) is not None]


def _here(predictor: Predictor) -> Attempts:
    def attempts(tasks: Sequence[Task], job: Job) -> Iterator[Outcome]:
        steps = (_steps(predictor, task, job) for task in tasks)
        # Wherever it is interrupted, nothing is written any more once it has ended.
        with contextlib.closing(overlapped(steps)) as found:
            yield from tqdm(found, total=len(tasks), unit="image", disable=len(tasks) < 2)

    return attempts


def attempt(predictor: Predictor, task: Task, job: Job) -> Problem | None:
    """Segment a file, write its results and their record, unless that is done; what is wrong."""
    return through(_steps(predictor, task, job))


def _steps(predictor: Predictor, task: Task, job: Job) -> Steps:
    records = Records(job.out, IMAGES)
    try:
        digest = digest_of(
            {
                "image": content_md5(task.path),
                "model": job.identity,
                "reading": asdict(job.reading),
                "point": [job.threshold, job.min_area_px],
                "outputs": [job.with_overlay, job.with_uncertainty, job.into_plate],
                "versions": versions(),
            }
        )
        there = not job.into_plate or has_zarr_labels(task.path)
        if there and records.is_done(task.name, digest):
            return None
        image = read_task(task, job)
        yield image.first.size
        found = predict_image(predictor, image, job)
        yield image.first.size
        write_files(task, job, image, found)
    except InputError as error:
        return of_file(task.path, error)
    # Which files are there is known from what was found, not from what lies there.
    written = [task.mask_path(job.out)]
    written += [task.overlay_path(job.out)] if job.with_overlay else []
    written += [] if found.deviation is None else [task.uncertainty_path(job.out)]
    # The name of the image is that of the run: the same image may be given by another path.
    row = field_row("", found, image.pixel_size_um)
    granules = granule_rows("", found, image.pixel_size_um)
    content = {"field": row, "granules": [[item[name] for name in GRANULES] for item in granules]}
    records.keep(task.name, digest, content, written)
    return None


class _Attempt:
    """A task on its way through its steps."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.pixels, self.ended = 0, False
        self.problem: Problem | None = None

    def go_on(self) -> None:
        """Take the next step, if there is one."""
        if not self.ended:
            try:
                self.pixels = next(self._steps)
            except StopIteration as end:
                self.ended, self.problem = True, end.value


def through(steps: Steps) -> Problem | None:
    """What is wrong after all steps of a task, one after the other."""
    one = _Attempt(steps)
    while not one.ended:
        one.go_on()
    return one.problem


def overlapped(tasks: Iterable[Steps]) -> Generator[Outcome, None, None]:
    """Carry out tasks in their order, their files read and written while the networks run.

    The networks run in the thread of the caller, an image at a time. Meanwhile the next image is
    read, and the one before measured and written: three images are in memory, or one where it is
    larger than `ALONE_PX`. However it ends, what is being written is finished; and told, unless it
    is closed.
    """
    ones = [_Attempt(steps) for steps in tasks]
    reading: Future[None] | None = None
    writing: tuple[int, Future[None]] | None = None

    def told() -> Iterator[Outcome]:
        nonlocal writing
        if writing is not None:
            place, future = writing
            # An interruption may come while one waits here: only then is it done with.
            future.result()
            writing = None
            yield place, ones[place].problem

    with ThreadPoolExecutor(2, thread_name_prefix="files") as pool:
        try:
            for place, one in enumerate(ones):
                (reading or pool.submit(one.go_on)).result()
                alone = one.pixels > ALONE_PX
                ahead = ones[place + 1 : place + 2] if not alone else []
                reading = pool.submit(ahead[0].go_on) if ahead else None
                one.go_on()
                yield from told()
                writing = place, pool.submit(one.go_on)
                if alone:
                    yield from told()
            yield from told()
        except (Exception, KeyboardInterrupt):
            yield from told()
            raise


def _rows(image: str, record: Mapping[str, Any]) -> tuple[Row, Iterator[Row]]:
    """The rows of an image from its record."""
    granules = (
        dict(zip(GRANULES, [image, *values[1:]], strict=True)) for values in record["granules"]
    )
    return {**record["field"], "image": image}, granules


def versions() -> dict[str, str]:
    """Of the packages that shape a mask."""
    found = {}
    for name in PACKAGES:
        # ONNX Runtime comes under several names.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
