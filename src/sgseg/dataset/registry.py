"""splits/<source>.csv: which images are the test set, once and for ever.

A file under version control that grows and never changes: an image and its declared group keep
their side though they are renamed, processed anew, taken away and brought back.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing

COLUMNS = ("image_id", "pixel_hash", "group", "set")
TEST, DEVELOPMENT = "test", "development"


def read_registry(path: str | Path) -> pd.DataFrame:
    """What was assigned so far; empty where the file does not exist yet.

    Raises
    ------
    InputError
        A column is missing, or a row is damaged; all are named.
    """
    path = Path(path)
    remedy = "Take the file back from version control: `git checkout` it, never edit or delete it."
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except UnicodeDecodeError:
        raise InputError(Problem(str(path), "no UTF-8 text", remedy=remedy)) from None
    header, *rows = csv.reader(text.splitlines() or [",".join(COLUMNS)])
    if header != list(COLUMNS):
        what, expected = f"columns {', '.join(header)}", ", ".join(COLUMNS)
        raise InputError(Problem(str(path), what, expected, remedy))
    wrong = [
        Problem(f"{path}, line {line}", f"{', '.join(row)!r}", f"{', '.join(COLUMNS)}", remedy)
        for line, row in enumerate(rows, start=2)
        if len(row) != len(COLUMNS) or row[-1] not in {TEST, DEVELOPMENT}
    ]
    if wrong:
        raise InputError(*wrong)
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=str)


def known_sides(manifest: pd.DataFrame, registry: pd.DataFrame) -> list[set[str]]:
    """For each image the sets that it or its declared group was assigned to: none for a new one.

    The same pixels count more than the same name; a name counts where the pixels are unknown, for
    instance because another channel is read now.
    """
    by_hash, by_name, by_group = (
        registry[registry[column] != ""].groupby(column)["set"].agg(set).to_dict()
        for column in ("pixel_hash", "image_id", "group")
    )
    columns = (manifest[name] for name in ("pixel_hash", "image_id", "declared_group"))
    return [
        (by_hash.get(pixels) or by_name.get(name) or set()) | by_group.get(group, set())
        for pixels, name, group in zip(*columns, strict=True)
    ]


def sides_of_groups(
    manifest: pd.DataFrame, registry: pd.DataFrame, *, path: str | Path
) -> dict[str, str]:
    """The set of each group that has images with one.

    Raises
    ------
    InputError
        A group holds test images and development images, for instance because a new image shows the
        same as both; all such groups are named.
    """
    known = known_sides(manifest, registry)
    sides: dict[str, set[str]] = {}
    members: dict[str, list[tuple[str, set[str]]]] = {}
    for group, name, found in zip(manifest["group"], manifest["image_id"], known, strict=True):
        sides.setdefault(group, set()).update(found)
        members.setdefault(group, []).append((name, found))
    torn = [group for group, found in sides.items() if len(found) > 1]
    if torn:
        raise InputError(*(_torn(group, members[group], path) for group in torn))
    return {group: next(iter(found)) for group, found in sides.items() if found}


def _torn(group: str, members: Iterable[tuple[str, set[str]]], path: str | Path) -> Problem:
    listed: dict[str, list[str]] = {TEST: [], DEVELOPMENT: [], "new": []}
    for name, found in members:
        for side in found or {"new"}:
            listed[side].append(name)
    what = "links test images with development images: " + "; ".join(
        f"{side}: {', '.join(names)}" for side, names in listed.items() if names
    )
    remedy = (
        "Take away the images that link them (new ones, or those that the sample table puts into "
        "one group); or, if they show the same specimen indeed, set all of them to `test` in "
        f"{path} and know that earlier test scores cannot be compared."
    )
    return Problem(f"group {group!r}", what, "a group on one side, for ever", remedy)


def extend(registry: pd.DataFrame, manifest: pd.DataFrame, sets: Iterable[str]) -> pd.DataFrame:
    """The registry with the images that it did not hold, sorted; old rows stay as they are."""
    new = manifest[["image_id", "pixel_hash"]].assign(
        group=manifest["declared_group"], set=list(sets)
    )
    both = pd.concat([registry, new], ignore_index=True).drop_duplicates(["image_id", "pixel_hash"])
    return both.sort_values(list(COLUMNS), ignore_index=True)


def start_registry(path: str | Path) -> None:
    """Begin an empty registry unless there is one: DVC wants the file to exist."""
    if not Path(path).exists():
        write_registry(path, pd.DataFrame(columns=list(COLUMNS)))


def write_registry(path: str | Path, registry: pd.DataFrame) -> None:
    """Write it, whole or not at all."""
    with replacing(path) as temporary:
        registry.to_csv(temporary, index=False, lineterminator="\n")
