"""Segmenting files: one label image per file, and tables of all images and all granules."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sgseg.errors import InputError, Problem
from sgseg.images.files import stem
from sgseg.images.maps import write_map
from sgseg.images.read import Image, find_images, read_image
from sgseg.images.write import overlay, write_labels, write_png
from sgseg.images.zarr import find_zarr, is_zarr, write_zarr_labels
from sgseg.inference.segmenter import Prediction
from sgseg.inference.tables import ResultTables
from sgseg.inference.watch import kind_of

log = logging.getLogger(__name__)


class Predictor(Protocol):
    """What segments images: a `Segmenter` here, or one behind an address."""

    def predict(
        self,
        pixels: NDArray[np.generic],
        *,
        pixel_size_um: float | None = None,
        with_deviation: bool = False,
        threshold: float | None = None,
        min_area_px: int | None = None,
    ) -> Prediction:
        """See `Segmenter.predict`."""


@dataclass(frozen=True)
class Reading:
    """How image files are read where they do not say so themselves; see `read_image`."""

    channel: int | str | None = None
    second_channel: int | str | None = None
    projection: str | None = None
    pixel_size_um: float | None = None


@dataclass(frozen=True)
class Task:
    """A file and where its results go; `name` is its path below `--out`, without ending."""

    path: Path
    name: str

    def mask_path(self, out: Path) -> Path:
        """Where the label image goes."""
        return out / f"{self.name}_mask.tif"

    def overlay_path(self, out: Path) -> Path:
        """Where the picture with outlines goes."""
        return out / f"{self.name}_overlay.png"

    def uncertainty_path(self, out: Path) -> Path:
        """Where the map of the members' disagreement goes."""
        return out / f"{self.name}_uncertainty.tif"

    def result_paths(self, out: Path) -> tuple[Path, ...]:
        """All files that may be written for this one."""
        return self.mask_path(out), self.overlay_path(out), self.uncertainty_path(out)


def find_tasks(paths: Iterable[Path], out: Path) -> list[Task]:
    """The image files among and below `paths`; folders keep their structure.

    A file that is named twice is one task, and results of an earlier run below `out` are none.

    Raises
    ------
    InputError
        A path does not exist, a folder holds no image or is `out` itself, two files would write the
        same result, or a result would overwrite an image. All are named.
    """
    problems: list[Problem] = []
    tasks: dict[Path, Task] = {}
    for path in paths:
        if is_zarr(path):
            for name, image in _images_of_zarr(path, out, problems):
                tasks.setdefault(image.resolve(), Task(image, name))
        elif path.is_dir():
            found = _images_below(path, out)
            if isinstance(found, Problem):
                problems.append(found)
                continue
            for file in found:
                name = (file.relative_to(path).parent / stem(file)).as_posix()
                tasks.setdefault(file.resolve(), Task(file, name))
        elif path.exists():
            tasks.setdefault(path.resolve(), Task(path, stem(path)))
        else:
            problems.append(Problem(str(path), "no such file or folder"))
    problems += _collisions(tasks, out)
    if problems:
        raise InputError(*problems)
    return list(tasks.values())


def _images_of_zarr(path: Path, out: Path, problems: list[Problem]) -> list[tuple[str, Path]]:
    """The images of a plate of OME-Zarr, or the one that it is."""
    if out.resolve().is_relative_to(path.resolve()):
        remedy = "Give another folder to --out."
        problems.append(Problem(str(path), "results would lie inside the images", remedy=remedy))
        return []
    try:
        return find_zarr(path)
    except InputError as error:
        problems += error.problems
        return []


def _images_below(folder: Path, out: Path) -> list[Path] | Problem:
    """The images of a folder, without the results that lie in it."""
    inside, results = folder.resolve(), out.resolve()
    if inside == results:
        return Problem(
            str(folder),
            "results would lie among the images, and be taken for images next time",
            remedy="Give another folder to --out.",
        )
    found = find_images(folder)
    if results.is_relative_to(inside):
        found = [file for file in found if not file.resolve().is_relative_to(results)]
    return found or Problem(str(folder), "no image in this folder")


def _collisions(tasks: Mapping[Path, Task], out: Path) -> list[Problem]:
    problems = []
    first: dict[str, Task] = {}
    for task in tasks.values():
        other = first.setdefault(task.name, task)
        if other is not task:
            problems.append(
                Problem(
                    str(task.path),
                    f"its results would overwrite those of {other.path}",
                    remedy="Rename one of them, or give them to two calls with different --out.",
                )
            )
        problems += [
            Problem(
                str(task.path),
                f"its result would overwrite the image {path}",
                remedy="Give another folder to --out.",
            )
            for path in task.result_paths(out)
            if path.resolve() in tasks
        ]
    return problems


@dataclass(frozen=True)
class Job:
    """What is done to every image of a run.

    Attributes
    ----------
    out
        The folder of results.
    threshold, min_area_px
        In place of those of the model.
    with_overlay
        Also write `<name>_overlay.png`.
    with_uncertainty
        Also write `<name>_uncertainty.tif`, float32: the standard deviation of the members'
        probabilities. No such file for a model of one member.
    into_plate
        Also write the label image into the OME-Zarr that the image is of, see `write_zarr_labels`.
    identity
        What the model is known by, the same for the same masks: images that were finished with it
        before, with the same options, are not done again. None: all are.
    """

    out: Path
    reading: Reading = field(default_factory=Reading)
    threshold: float | None = None
    min_area_px: int | None = None
    with_overlay: bool = False
    with_uncertainty: bool = False
    into_plate: bool = False
    identity: Mapping[str, Any] | None = None


def predict_files(
    predictor: Predictor,
    tasks: Sequence[Task],
    out: Path,
    *,
    reading: Reading,
    threshold: float | None = None,
    min_area_px: int | None = None,
    with_overlay: bool = False,
    with_uncertainty: bool = False,
) -> list[Problem]:
    """Write `<name>_mask.tif` (label image) per file, `fields.csv` and `granules.csv`.

    Files that cannot be read are left out, and returned as one problem each; all others are
    finished. The tables are those of `ResultTables`; a run that is interrupted leaves them with
    what it has done. See `Job` for the options.

    Warnings about images that are unlike the training images are in `fields.csv`; here each kind
    is logged once, at the end.
    """
    job = Job(out, reading, threshold, min_area_px, with_overlay, with_uncertainty)
    problems: list[Problem] = []
    warned = Warned(len(tasks))
    with ResultTables(out) as tables:
        for task in tqdm(tasks, unit="image", disable=len(tasks) < 2):
            try:
                image, found = segment_file(predictor, task, job)
            except InputError as error:
                problems.append(of_file(task.path, error))
                continue
            tables.add(str(task.path), found, image.pixel_size_um)
            warned.add(task, found.warnings)
    warned.log()
    return problems


class Warned:
    """The warnings of a run, by kind."""

    def __init__(self, n_images: int) -> None:
        self._n = n_images
        self._of_kind: dict[str, list[str]] = {}

    def add(self, task: Task, warnings: Iterable[str]) -> None:
        """Those of an image."""
        for warning in warnings:
            self._of_kind.setdefault(kind_of(warning), []).append(f"{task.path}: {warning}")

    def log(self) -> None:
        """Each kind once."""
        for found in self._of_kind.values():
            log.warning("%d of %d images, such as %s", len(found), self._n, found[0])


def segment_file(predictor: Predictor, task: Task, job: Job) -> tuple[Image, Prediction]:
    """Read an image, segment it and write its files."""
    image = read_task(task, job)
    found = predict_image(predictor, image, job)
    write_files(task, job, image, found)
    return image, found


def predict_image(predictor: Predictor, image: Image, job: Job) -> Prediction:
    """Segment an image that was read."""
    return predictor.predict(
        image.pixels,
        pixel_size_um=image.pixel_size_um,
        with_deviation=job.with_uncertainty,
        threshold=job.threshold,
        min_area_px=job.min_area_px,
    )


def of_file(path: Path, error: InputError) -> Problem:
    """All that is wrong with a file as one problem that names it."""
    if len(error.problems) > 1:
        return Problem(str(path), "; ".join(str(problem) for problem in error.problems))
    (problem,) = error.problems
    if problem.where.startswith(str(path)):
        return problem
    return replace(problem, where=f"{path}: {problem.where}")


def read_task(task: Task, job: Job) -> Image:
    """Read an image as the job says."""
    return read_image(
        task.path,
        channel=job.reading.channel,
        second_channel=job.reading.second_channel,
        projection=job.reading.projection,
        pixel_size_um=job.reading.pixel_size_um,
    )


def write_files(task: Task, job: Job, image: Image, found: Prediction) -> None:
    """Write the files of an image that was segmented."""
    out, size = job.out, image.pixel_size_um
    write_labels(task.mask_path(out), found.labels, pixel_size_um=size)
    if job.with_overlay:
        write_png(task.overlay_path(out), overlay(image.first, found.labels))
    if found.deviation is not None:
        write_map(task.uncertainty_path(out), found.deviation, pixel_size_um=size)
    if job.into_plate:
        write_zarr_labels(task.path, found.labels)
