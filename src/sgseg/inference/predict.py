"""Segmenting files: one label image per file and a table of all of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sgseg.errors import InputError, Problem
from sgseg.images.files import stem
from sgseg.images.read import find_images, read_image
from sgseg.images.write import overlay, replacing, write_labels, write_png
from sgseg.inference.bundle import Segmenter


@dataclass(frozen=True)
class Reading:
    """How image files are read where they do not say so themselves; see `read_image`."""

    channel: int | str | None = None
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
        if path.is_dir():
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
            for path in (task.mask_path(out), task.overlay_path(out))
            if path.resolve() in tasks
        ]
    return problems


def predict_files(
    segmenter: Segmenter,
    tasks: Sequence[Task],
    out: Path,
    *,
    reading: Reading,
    with_overlay: bool = False,
) -> list[Problem]:
    """Write `<name>_mask.tif` (label image) per file, and `fields.csv` with one row per file.

    Files that cannot be read are left out, and returned as one problem each; all others are
    finished.

    The table has `image`, `n_granules`, `area_px`, `area_um2` and `pixel_size_um` (empty where the
    pixel size is unknown) and `area_fraction` (of the image, in [0, 1]). A run that is interrupted
    leaves the table of what it has done.
    """
    problems: list[Problem] = []
    rows: list[dict[str, object]] = []
    try:
        for task in tqdm(tasks, unit="image", disable=len(tasks) < 2):
            try:
                rows.append(_predict_file(segmenter, task, out, reading, with_overlay))
            except InputError as error:
                problems.append(_of_file(task.path, error))
    finally:
        if rows:
            _write_table(out / "fields.csv", rows)
    return problems


def _of_file(path: Path, error: InputError) -> Problem:
    """All that is wrong with a file as one problem that names it."""
    if len(error.problems) > 1:
        return Problem(str(path), "; ".join(str(problem) for problem in error.problems))
    (problem,) = error.problems
    if problem.where.startswith(str(path)):
        return problem
    return replace(problem, where=f"{path}: {problem.where}")


def _predict_file(
    segmenter: Segmenter, task: Task, out: Path, reading: Reading, with_overlay: bool
) -> dict[str, object]:
    image = read_image(
        task.path,
        channel=reading.channel,
        projection=reading.projection,
        pixel_size_um=reading.pixel_size_um,
    )
    pixel_size_um = image.pixel_size_um
    labels = segmenter.segment(image.pixels, pixel_size_um=pixel_size_um)
    write_labels(task.mask_path(out), labels, pixel_size_um=pixel_size_um)
    if with_overlay:
        write_png(task.overlay_path(out), overlay(image.pixels, labels))
    area = int(np.count_nonzero(labels))
    return {
        "image": str(task.path),
        "n_granules": int(labels.max()),
        "area_px": area,
        "area_um2": "" if pixel_size_um is None else round(area * pixel_size_um**2, 6),
        "pixel_size_um": "" if pixel_size_um is None else pixel_size_um,
        "area_fraction": round(area / labels.size, 8),
    }


def _write_table(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
