"""The files that a run shows: curves, system metrics, pictures, tables. None of it knows MLflow."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sgseg.errors import InputError, Problem
from sgseg.tracking.identity import RUN_FILE, FoldRecord
from sgseg.tracking.provenance import digest, file_md5

HISTORY_FILE = "history.csv"
SYSTEM_FILE = "system_metrics.csv"
TIMESTAMP = "timestamp_ms"
SHOWN = {".png", ".svg", ".csv", ".json", ".md", ".html", ".yaml"}
"""Kinds of files that are copied into a run."""


class Point(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    timestamp_ms: int
    step: int


class Artifact(NamedTuple):
    """A file, and the folder of the run in which it is shown."""

    path: Path
    folder: str

    @property
    def shown_as(self) -> str:
        """Its path within the run."""
        return f"{self.folder}/{self.path.name}" if self.folder else self.path.name


def read_history(record: FoldRecord, folder: str | Path) -> list[Point]:
    """Points of history.csv: step = epoch, one metric per column.

    Times are those of a column `timestamp_ms`, else those of the record; where neither knows an
    epoch, the epochs are taken to be spread evenly over the time that the fold took. Cells that are
    empty or not finite are left out, as they are in a live run.
    """
    path = Path(folder) / HISTORY_FILE
    if not path.is_file():
        return []
    rows = read_table(path, key="epoch")
    ended = record.ended_ms or record.started_ms
    points: list[Point] = []
    for index, row in enumerate(rows, start=1):
        epoch = int(row["epoch"])
        even = record.started_ms + (ended - record.started_ms) * index // len(rows)
        points += points_of(row, step=epoch, default_ms=record.epoch_ms.get(str(epoch), even))
    return points


def read_system_metrics(folder: str | Path) -> list[Point]:
    """Points of system_metrics.csv: one row per sample, named as MLflow names them."""
    path = Path(folder) / SYSTEM_FILE
    if not path.is_file():
        return []
    points: list[Point] = []
    for row in read_table(path, key="step"):
        points += points_of(row, step=int(row["step"]), default_ms=0)
    return points


def points_of(row: Mapping[str, float], *, step: int, default_ms: int) -> list[Point]:
    """The finite values of a row, at one step and time."""
    moment = int(row.get(TIMESTAMP, default_ms))
    return [
        Point(name, float(value), moment, step)
        for name, value in row.items()
        if name not in {"epoch", "step", TIMESTAMP} and math.isfinite(value)
    ]


def read_table(path: Path, *, key: str) -> list[dict[str, float]]:
    """Rows of a CSV file of numbers, without their empty cells.

    Raises
    ------
    InputError
        The column `key` is missing or has an empty cell, or a cell holds no number.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows: list[dict[str, float]] = []
        for line, cells in enumerate(csv.DictReader(stream), start=2):
            try:
                row = {name: float(cell) for name, cell in cells.items() if cell}
            except (TypeError, ValueError) as error:
                raise InputError(Problem(f"{path}, line {line}", str(error), "numbers")) from None
            if not math.isfinite(row.get(key, math.nan)):
                raise InputError(Problem(f"{path}, line {line}", f"no number in column `{key}`"))
            rows.append(row)
    return rows


def write_table(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write a CSV file of numbers, all of it or nothing; a column for every name in any row."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)


def artifacts(folder: str | Path, *, plain: str = "") -> list[Artifact]:
    """The files of a folder that a run shows.

    Pictures whose name begins with `gallery` go to galleries/, other pictures and tables whose name
    begins with `curve` to curves/, the rest to `plain`; what already lies in a folder keeps it.
    """
    folder = Path(folder)
    found: list[Artifact] = []
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if hidden or path.suffix not in SHOWN or below == Path(RUN_FILE) or not path.is_file():
            continue
        found.append(Artifact(path, _shown_in(below, plain)))
    return found


def _shown_in(below: Path, plain: str) -> str:
    if len(below.parts) > 1:
        return below.parent.as_posix()
    if below.suffix in {".png", ".svg"}:
        return "galleries" if below.name.startswith("gallery") else "curves"
    return "curves" if below.suffix == ".csv" and below.name.startswith("curve") else plain


def content_digest(files: Iterable[Artifact]) -> str:
    """MD5 over what a run shows, names and bytes."""
    return digest(sorted([item.shown_as, file_md5(item.path)] for item in files))
