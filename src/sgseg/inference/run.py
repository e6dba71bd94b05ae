"""A run over many images that goes on where it was stopped, here or spread over other machines."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from sgseg.errors import InputError, Problem
from sgseg.images.zarr import has_zarr_labels
from sgseg.inference.predict import Job, Predictor, Task, Warned, of_file, segment_file
from sgseg.inference.records import Records, content_md5, digest_of
from sgseg.inference.tables import GRANULES, SEVERAL, ResultTables, Row, field_row, granule_rows

log = logging.getLogger(__name__)

IMAGES = ".images"
PACKAGES = ("sgseg", "numpy", "scipy", "scikit-image", "onnxruntime")

Outcome = tuple[int, Problem | None]
"""The place of a task in its list, and what is wrong with its file."""
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
        Carries the tasks out, see `sgseg.cluster`; None: one after the other, here. The bytes of
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
            for place, problem in (attempts or _one_by_one(predictor))(tasks, job):
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


def _one_by_one(predictor: Predictor) -> Attempts:
    def attempts(tasks: Sequence[Task], job: Job) -> Iterator[Outcome]:
        for place, task in enumerate(tqdm(tasks, unit="image", disable=len(tasks) < 2)):
            yield place, attempt(predictor, task, job)

    return attempts


def attempt(predictor: Predictor, task: Task, job: Job) -> Problem | None:
    """Segment a file, write its results and their record, unless that is done; what is wrong."""
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
        image, found = segment_file(predictor, task, job)
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
