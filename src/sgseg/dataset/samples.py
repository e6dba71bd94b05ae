"""Group, condition, replicate and pixel size of each image: from a table or from its name."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from sgseg.errors import InputError, Problem
from sgseg.images.calibration import LARGEST_UM, SMALLEST_UM
from sgseg.images.files import stem

FACTORS = ("group", "condition", "replicate")
PIXEL_SIZE = "pixel_size_um"
COLUMNS = ("image", *FACTORS, PIXEL_SIZE)
Sample = Mapping[str, str]


def read_samples(
    path: str | Path, names: Sequence[PurePosixPath]
) -> dict[PurePosixPath, dict[str, str]]:
    """Read a sample table: one row for each image.

    Parameters
    ----------
    path : CSV, separated by comma, semicolon or tab, UTF-8 or UTF-16, with a header
        Column `image` holds a file name, a stem or a path below images/; columns `group`,
        `condition`, `replicate` and `pixel_size_um` (decimal point or comma) are read, others kept.
    names : path of each image below images/

    Returns
    -------
    dict
        For each name its row without `image`; '' where a cell is empty.

    Raises
    ------
    InputError
        The table is unreadable, a row fits no image, several or one twice, an image has no row, or
        a pixel size is no number; all are named.
    """
    path = Path(path)
    header, rows = read_rows(path)
    by_spelling = spellings(names)
    problems: list[Problem] = []
    found: dict[PurePosixPath, dict[str, str]] = {}
    for number, row in rows:
        where = f"{path}, line {number}"
        cells = dict(zip(header, row, strict=False))
        image = cells.pop("image", "")
        matches = by_spelling.get(spelling(image), [])
        if len(matches) != 1:
            several = ", ".join(str(name) for name in matches)
            what = (
                f"{image!r} fits several images ({several})" if matches else f"no image {image!r}"
            )
            expected = "the name of one image, or its path below the images' folder"
            problems.append(Problem(where, what, expected))
            continue
        if matches[0] in found:
            remedy = "Keep one of the rows."
            problems.append(Problem(where, f"a second row for {matches[0]}", "one row", remedy))
            continue
        cells = {name: cells.get(name, "") for name in header if name != "image"}
        if cells.get(PIXEL_SIZE):
            size = read_number(cells[PIXEL_SIZE])
            if size is None or not SMALLEST_UM <= size <= LARGEST_UM:
                expected = f"micrometres, {SMALLEST_UM} to {LARGEST_UM:g}"
                problems.append(Problem(where, f"{PIXEL_SIZE} {cells[PIXEL_SIZE]!r}", expected))
            else:
                cells[PIXEL_SIZE] = repr(size)
        found[matches[0]] = cells
    rowless = set(names) - set(found) if not problems else set()
    for name in sorted(rowless):
        remedy = "Add a row; cells may stay empty."
        problems.append(Problem(str(path), f"no row for image {name}", "a row each", remedy))
    if problems:
        raise InputError(*problems)
    return {name: found[name] for name in names}


def write_samples(path: str | Path, samples: Mapping[PurePosixPath, Sample]) -> None:
    """Write a sample table as UTF-8 CSV whose column `image` is the path below images/."""
    columns = list(dict.fromkeys(name for row in samples.values() for name in row))
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", *columns])
        for name, row in samples.items():
            writer.writerow([str(name), *(row.get(column, "") for column in columns)])


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A regular expression that names a group, a condition or a replicate.

    Raises
    ------
    InputError
        It is no regular expression, names nothing, or names something else.
    """
    example = "(?P<condition>[a-z]+)_(?P<replicate>[0-9]+)"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(
            Problem(f"pattern {pattern!r}", f"{error}", f"such as {example}")
        ) from None
    named = set(compiled.groupindex)
    if not named or named - set(FACTORS):
        what = f"names {', '.join(sorted(named)) or 'nothing'}"
        expected = f"named groups among {', '.join(FACTORS)}, such as {example}"
        raise InputError(Problem(f"pattern {pattern!r}", what, expected))
    return compiled


def match_pattern(
    pattern: str, names: Iterable[PurePosixPath]
) -> dict[PurePosixPath, dict[str, str]]:
    """For each image what the pattern finds anywhere in its path below images/.

    Raises
    ------
    InputError
        The pattern is wrong (`compile_pattern`) or does not fit some names; all are named.
    """
    compiled = compile_pattern(pattern)
    found, problems = {}, []
    for name in names:
        match = compiled.search(str(name))
        if match is None:
            problems.append(Problem(str(name), "the pattern does not fit its name", repr(pattern)))
        else:
            found[name] = {key: text or "" for key, text in match.groupdict().items()}
    if problems:
        raise InputError(*problems)
    return found


def read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header in lower case, and rows that are not empty with their line numbers."""
    remedy = "Save it as CSV (Excel: 'CSV UTF-8')."
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
        raise InputError(Problem(str(path), what, "UTF-8 text", remedy)) from None
    lines = [(number, row) for number, row in lines if any(row)]
    if not lines:
        raise InputError(Problem(str(path), "empty table", f"columns {', '.join(COLUMNS)}", remedy))
    header = [cell.lower() for cell in lines[0][1]]
    named = [cell for cell in header if cell]
    if "image" not in header or len(named) != len(set(named)) or not set(named) & set(COLUMNS[1:]):
        what = f"columns {', '.join(header)[:200]!r}"
        expected = f"`image` and at least one of {', '.join(COLUMNS[1:])}, each once"
        raise InputError(Problem(str(path), what, expected, remedy))
    return header, lines[1:]


def spellings(names: Iterable[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
    """What a table may call each image (see `spelling`), and the images it may mean by that."""
    found: dict[str, list[PurePosixPath]] = defaultdict(list)
    for name in names:
        texts = {str(name), name.name, stem(name), str(name.with_name(stem(name)))}
        for text in {spelling(text) for text in texts}:
            found[text].append(name)
    return found


def spelling(text: str) -> str:
    """A name as it is compared: composed Unicode, '/' between folders, upper case as lower case."""
    return unicodedata.normalize("NFC", text.replace("\\", "/")).casefold()


def read_number(text: str) -> float | None:
    """A number with decimal point or comma, None where it is none."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None
