"""samples.csv: condition, replicate, group and pixel size of each field, as the user gives them."""

from __future__ import annotations

import csv
import io
import logging
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgseg.errors import InputError, Problem
from sgseg.images.calibration import LARGEST_UM, SMALLEST_UM
from sgseg.inference.predict import Task

log = logging.getLogger(__name__)

NAMES = ("image", "field", "well")
FACTORS = ("condition", "replicate", "group")
PIXEL_SIZE = "pixel_size_um"
_SAVE = "Save it as CSV (Excel: 'CSV UTF-8')."


@dataclass(frozen=True)
class Sample:
    """What is known of a field; None where a cell of the table is empty."""

    condition: str | None = None
    replicate: str | None = None
    group: str | None = None
    pixel_size_um: float | None = None


def read_samples(path: str | Path, tasks: Sequence[Task]) -> dict[str, Sample]:
    """Read a sample table: the row of each field, by the field's name.

    Parameters
    ----------
    path
        CSV, separated by comma, semicolon or tab, UTF-8 or UTF-16, with a header. Column `image`
        (or `field`) holds a file name or a path, with or without ending; `condition`, `replicate`,
        `group` and `pixel_size_um` are read, others are ignored. Rows of images that are not among
        the fields are left out. A row of a well of a plate of OME-Zarr (`A1` or `A/1`; the column
        may be called `well`) is that of all its fields.

    Raises
    ------
    InputError
        The table cannot be read; a field has no row or two; a row fits several fields; a pixel size
        is no number. All are named.
    """
    path = Path(path)
    column, rows = _rows(path)
    spelled, wells = _spellings(tasks), _wells(tasks)
    found: dict[str, Sample] = {}
    problems: list[Problem] = []
    others = 0
    for line, row in rows:
        where = f"{path}, line {line}"
        called = _spelling(row.get(column, ""))
        of_well = wells.get(called, [])
        tasks_named = of_well or spelled.get(called, [])
        if not tasks_named:
            others += 1
            continue
        if len(tasks_named) > 1 and not of_well:
            several = ", ".join(name for name in tasks_named)
            what = f"{row[column]!r} fits several fields ({several})"
            problems.append(Problem(where, what, "the path of one"))
            continue
        again = [name for name in tasks_named if name in found]
        problems += [Problem(where, f"a second row for {name}", "one row") for name in again]
        sample = _sample(where, row)
        if isinstance(sample, Problem):
            problems.append(sample)
            sample = Sample()
        found |= dict.fromkeys(tasks_named, sample)
    rowless = [task for task in tasks if task.name not in found]
    # A row that fits several fields leaves them without one: said once.
    if not problems:
        remedy = "Add a row; cells may stay empty."
        problems += [
            Problem(str(path), f"no row for {task.path}", "a row for each image", remedy)
            for task in rowless
        ]
    if problems:
        raise InputError(*problems)
    if others:
        log.info("%s: %d rows of images that are not in this run", path, others)
    return found


def _sample(where: str, row: Mapping[str, str]) -> Sample | Problem:
    condition, replicate, group = (row.get(name) or None for name in FACTORS)
    text = row.get(PIXEL_SIZE, "")
    if not text:
        return Sample(condition, replicate, group)
    try:
        size = float(text.replace(",", "."))
    except ValueError:
        size = 0.0
    if not SMALLEST_UM <= size <= LARGEST_UM:
        expected = f"micrometres, {SMALLEST_UM} to {LARGEST_UM:g}"
        return Problem(where, f"{PIXEL_SIZE} {text!r}", expected)
    return Sample(condition, replicate, group, size)


def _rows(path: Path) -> tuple[str, list[tuple[int, dict[str, str]]]]:
    """The column that names images, and rows that are not empty with their line numbers."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(Problem(str(path), error.strerror or "cannot be read")) from None
    try:
        encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
        text = content.decode(encoding)
        separator = max(",;\t", key=text.split("\n", 1)[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        what = f"no text table ({' '.join(str(error).split())[:100]})"
        raise InputError(Problem(str(path), what, "UTF-8 text", _SAVE)) from None
    lines = [(number, row) for number, row in lines if any(row)]
    header = [cell.casefold() for cell in lines[0][1]] if lines else []
    named = [cell for cell in header if cell]
    column = next((name for name in NAMES if name in header), None)
    if column is None or len(named) != len(set(named)) or not {*named} & {*FACTORS, PIXEL_SIZE}:
        what = f"columns {', '.join(header)[:200]!r}"
        expected = f"`image` and at least one of {', '.join(FACTORS)}, each once"
        raise InputError(Problem(str(path), what, expected, _SAVE))
    rows = [(number, dict(zip(header, row, strict=False))) for number, row in lines[1:]]
    return column, rows


def _spellings(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """What a table may call each field, and the fields it may mean by that."""
    found: dict[str, list[str]] = defaultdict(list)
    for task in tasks:
        ending = task.path.name[len(task.path.stem) :]
        last = task.name.rpartition("/")[2]
        texts = {task.name, last, task.path.name, task.name + ending, str(task.path)}
        for text in {_spelling(text) for text in texts}:
            found[text].append(task.name)
    return found


def _wells(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """The fields of each well of a plate, by what a table may call the well."""
    found: dict[str, list[str]] = defaultdict(list)
    for task in tasks:
        parts = task.name.split("/")
        # A field of a plate is a folder, named by row, column and number.
        if len(parts) == 3 and task.path.is_dir():
            for text in {"/".join(parts[:2]), "".join(parts[:2])}:
                found[_spelling(text)].append(task.name)
    return found


def _spelling(text: str) -> str:
    """A name as it is compared: composed Unicode, '/' between folders, upper case as lower case."""
    return unicodedata.normalize("NFC", text.replace("\\", "/")).casefold()
