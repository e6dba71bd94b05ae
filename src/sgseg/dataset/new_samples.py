"""Group, condition, replicate and pixel size of images that are added to a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from sgseg.dataset import raw
from sgseg.dataset.entries import Entry
from sgseg.dataset.importer import Samples
from sgseg.dataset.pairs import Pair
from sgseg.dataset.raw import RawSettings
from sgseg.dataset.samples import (
    FACTORS,
    PIXEL_SIZE,
    match_pattern,
    read_rows,
    read_samples,
    spelling,
    spellings,
)
from sgseg.errors import InputError, Problem


def describe(
    target: Path,
    settings: RawSettings,
    pairs: Sequence[Pair],
    entries: Mapping[str, Entry],
    *,
    samples: Path | None,
    pattern: str | None,
) -> Samples | None:
    """The sample table of a data set with rows for new images; None if it needs no change.

    Old rows stay as they are; columns are united. A data set that takes group, condition and
    replicate from the names goes on doing so.

    Parameters
    ----------
    pairs : all images of the folder that is to be added
    entries : images of the data set, by their name in lower case
    samples : a table of the new images; rows of old ones are compared, not taken
    pattern : finds in the new names what their rows hold

    Raises
    ------
    InputError
        The data set has a table and the new images have none, a table where the names say it, an
        old image that is described otherwise, or what `read_samples` and `match_pattern` refuse.
    """
    if settings.pattern is not None:
        _check_names(settings.pattern, target, pairs, samples=samples, pattern=pattern)
        return None
    old = [entry.name for entry in entries.values() if entry.image is not None]
    path = target / raw.SAMPLES
    before = read_samples(path, old) if path.exists() else {}
    new = {pair.name: pair for pair in pairs if pair.id.casefold() not in entries}
    if samples is not None:
        rows = _read_rows(samples, pairs, old)
    elif pattern is not None:
        rows = match_pattern(pattern, new)
    elif before and new:
        what = f"{len(new)} new images are not in a sample table ({_some(list(new))})"
        columns = ", ".join(dict.fromkeys(key for row in before.values() for key in row))
        expected = f"a table with columns image, {columns}, as the data set has"
        remedy = "Give --samples TABLE, or --pattern REGEX if their names say it."
        raise InputError(Problem(str(path), what, expected, remedy))
    else:
        return None
    known = {entry.name: before.get(entry.name, {}) for entry in entries.values()}
    names = {pair.name: _old_name(pair, entries) for pair in pairs}
    _refuse_other_rows(rows, known, names, where=str(samples))
    fresh = {name: row for name, row in rows.items() if name in new}
    if not fresh:
        return None
    return {name: before.get(name, {}) for name in old} | fresh


def _check_names(
    own: str, target: Path, pairs: Sequence[Pair], *, samples: Path | None, pattern: str | None
) -> None:
    where = f"{target / raw.SETTINGS}: pattern"
    if samples is not None or pattern not in {None, own}:
        what = f"the data set finds groups and conditions in the names, by {own!r}"
        remedy = "Give the new images names that it fits; leave out --samples and --pattern."
        raise InputError(Problem(where, what, remedy=remedy))
    match_pattern(own, [pair.name for pair in pairs])


def _read_rows(path: Path, pairs: Sequence[Pair], old: Sequence[PurePosixPath]) -> Samples:
    """Rows of a table that may hold those of old images too."""
    names = [pair.name for pair in pairs]
    header, rows = read_rows(path)
    asked = {spelling(dict(zip(header, row, strict=False)).get("image", "")) for _, row in rows}
    asked -= set(spellings(names))
    mentioned = [name for name in old if asked.intersection(spellings([name]))]
    return read_samples(path, [*names, *(name for name in mentioned if name not in names)])


def _old_name(pair: Pair, entries: Mapping[str, Entry]) -> PurePosixPath:
    entry = entries.get(pair.id.casefold())
    return pair.name if entry is None else entry.name


def _refuse_other_rows(
    rows: Samples,
    known: Samples,
    names: Mapping[PurePosixPath, PurePosixPath],
    *,
    where: str,
) -> None:
    """An image that is there keeps its description: its group decides on which side it stands."""
    problems = []
    for name, row in rows.items():
        before = known.get(names.get(name, name))
        for key in (*FACTORS, PIXEL_SIZE) if before is not None else ():
            text, now = (before or {}).get(key, ""), row.get(key, "")
            if now and now != text:
                what = f"{key} {now!r} for {name}, which is in the data set with {text!r}"
                remedy = "Correct the row; or import the whole data set again with --replace."
                problems.append(Problem(where, what, repr(text), remedy))
    if problems:
        raise InputError(*problems)


def _some(names: Sequence[object], most: int = 3) -> str:
    shown = ", ".join(map(str, names[:most]))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
