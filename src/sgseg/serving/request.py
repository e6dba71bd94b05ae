"""The body of a request to images and options. Knows JSON; Parquet is read in `parquet`."""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NoReturn

from sgseg.errors import InputError, Problem
from sgseg.serving.options import NAMES, Options, shown

IMAGE = "image"
MAX_IMAGES = 256
FORMS = ("dataframe_split", "dataframe_records")
EXAMPLE = '{"dataframe_split": {"columns": ["image"], "data": [["<base64 of an image file>"]]}}'


@dataclass(frozen=True)
class Asked:
    """One image of a request: the bytes of an image file."""

    content: bytes
    options: Options


@dataclass(frozen=True)
class Request:
    """What one request asks for; an image that cannot be used is the sentence that says why."""

    images: tuple[Asked | str, ...]


def of_json(body: bytes) -> Request:
    """Read `dataframe_split` or `dataframe_records`, with `params` for all images.

    Raises
    ------
    InputError
        The body as a whole cannot be used.
    """
    content = _parsed(body)
    if not isinstance(content, dict):
        raise InputError(Problem("request", f"got {shown(content)}", EXAMPLE))
    form = [name for name in content if name in FORMS]
    unknown = sorted(content.keys() - {*FORMS, "params"})
    if len(form) != 1 or unknown:
        got = ", ".join(shown(name) for name in [*form, *unknown][:10]) or "neither"
        raise InputError(
            Problem("request", f"got {got}", f"dataframe_split, and params if any: {EXAMPLE}")
        )
    columns, rows = (_split if form[0] == FORMS[0] else _records)(content[form[0]])
    return of_rows(columns, rows, content.get("params"))


def of_rows(
    columns: Sequence[Any], rows: Sequence[Sequence[Any]], params: object = None
) -> Request:
    """A request from a table: a column `image`, and columns of options.

    Raises
    ------
    InputError
        No image column, columns or params that are unknown, too many rows.
    """
    problems = []
    if columns.count(IMAGE) != 1:
        problems.append(Problem("columns", _listed(columns), f"one named {IMAGE}"))
    problems += _unknown(columns)
    if len({name for name in columns if isinstance(name, str)}) < len(columns):
        problems.append(Problem("columns", _listed(columns), "each once"))
    problems += _wrong_number(len(rows))
    options = Options()
    if params is not None and not isinstance(params, dict):
        problems.append(Problem("params", f"got {shown(params)}", "a mapping"))
    elif params:
        try:
            options = options.with_values(params, "params")
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    return Request(tuple(_asked(dict(zip(columns, row, strict=True)), options) for row in rows))


def _asked(row: Mapping[str, Any], options: Options) -> Asked | str:
    try:
        content = _content(row[IMAGE])
        own = {name: value for name, value in row.items() if name != IMAGE}
        return Asked(content, options.with_values(own, "row"))
    except InputError as error:
        return str(error)


def _content(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise InputError(Problem(IMAGE, f"got {shown(value)}", "an image file as base64 text"))
    try:
        text = value.encode("ascii")
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            # `base64` breaks lines unless told not to.
            return binascii.a2b_base64(b"".join(text.split()), strict_mode=True)
    except ValueError as error:
        what = "not ASCII" if isinstance(error, UnicodeError) else str(error)
        raise InputError(
            Problem(IMAGE, f"no base64 ({what})", "an image file as base64 text")
        ) from None


def _split(table: Any) -> tuple[list[Any], list[list[Any]]]:
    if not isinstance(table, dict) or table.keys() - {"columns", "data", "index"}:
        raise InputError(Problem("dataframe_split", f"got {shown(table)}", EXAMPLE))
    columns, rows = table.get("columns"), table.get("data")
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise InputError(Problem("dataframe_split", "no list of columns, or of data", EXAMPLE))
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            where = f"dataframe_split: data: row {number}"
            raise InputError(Problem(where, f"got {shown(row)}", f"a list of {len(columns)}"))
    return columns, rows


def _records(table: Any) -> tuple[list[Any], list[list[Any]]]:
    if not isinstance(table, list) or not all(isinstance(row, dict) for row in table):
        raise InputError(Problem("dataframe_records", f"got {shown(table)}", "a list of mappings"))
    # A table of many rows and as many columns as there are names would be far more than was sent.
    _refuse(_wrong_number(len(table)), _unknown({name: None for row in table for name in row}))
    columns = [name for name in (IMAGE, *NAMES) if any(name in row for row in table)]
    return columns, [[row.get(name) for name in columns] for row in table]


def _wrong_number(n_rows: int) -> list[Problem]:
    if 1 <= n_rows <= MAX_IMAGES:
        return []
    return [Problem("request", f"{n_rows} images", f"1 to {MAX_IMAGES}")]


def _unknown(columns: Iterable[Any]) -> list[Problem]:
    known = {IMAGE, *NAMES}
    unknown = (name for name in columns if not isinstance(name, str) or name not in known)
    return [
        Problem(f"column {shown(name)}", "unknown", ", ".join([IMAGE, *NAMES]))
        for name in islice(unknown, 10)
    ]


def _refuse(*problems: Sequence[Problem]) -> None:
    if any(problems):
        raise InputError(*chain.from_iterable(problems))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_number)
    except RecursionError:
        reason = "nested too deeply"
    except UnicodeDecodeError:
        reason = "not UTF-8"
    except ValueError as error:
        reason = str(error)[:200]
    raise InputError(Problem("request", f"no JSON ({reason})", EXAMPLE))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _listed(columns: Sequence[Any]) -> str:
    return ", ".join(shown(name) for name in columns[:10]) or "none"
