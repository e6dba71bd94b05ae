"""The images of data/raw/NAME, each with its mask and with what the sample table says of it.

Names only: no image is opened here. What does not fit together is kept with the image it concerns
and stops nobody; `validate` does that, for all files in one go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from sgseg.dataset.raw import IMAGES, MASKS, SAMPLES, RawSettings
from sgseg.dataset.samples import (
    FACTORS,
    PIXEL_SIZE,
    compile_pattern,
    read_number,
    read_rows,
    spelling,
    spellings,
)
from sgseg.errors import InputError, Problem
from sgseg.images.files import MASK_SUFFIXES, find_images, image_id, natural_key

_PAIR = "A mask has the name of its image: images/a/cell 1.tif and masks/a/cell 1.png."


@dataclass
class Entry:
    """One image of the raw data with its mask, or one of them alone, or a row without either.

    Paths, also those in `problems`, are relative to data/raw/NAME. `sample` has group, condition,
    replicate and pixel_size_um as text, '' where nothing is said.
    """

    image_id: str
    image: Path | None = None
    mask: Path | None = None
    sample: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def name(self) -> PurePosixPath:
        """Path below images/ or masks/."""
        return PurePosixPath(*(self.image or self.mask or Path()).parts[1:])


def find_entries(raw: Path, settings: RawSettings) -> list[Entry]:
    """All images and masks of a raw data set, paired, with what the sample table says of them.

    Returns
    -------
    list of Entry, in natural order of their ids

    Raises
    ------
    InputError
        There is no image at all, the sample table is none, or the pattern is wrong.
    """
    images = _relative(raw, find_images(raw / IMAGES))
    if not images:
        what, expected = "no image in this folder", "PNG, JPEG, TIFF or BMP files"
        raise InputError(Problem(str(raw / IMAGES), what, expected))
    folder = raw / MASKS
    masks = _relative(raw, find_images(folder, suffixes=MASK_SUFFIXES)) if folder.is_dir() else []
    entries = _pair(images, masks)
    if settings.pattern:
        _apply_pattern(entries, settings.pattern)
    if (raw / SAMPLES).exists():
        entries += _apply_samples(entries, *read_rows(raw / SAMPLES))
    return sorted(entries, key=lambda entry: (natural_key(PurePath(entry.image_id)), entry.name))


def _relative(raw: Path, paths: Iterable[Path]) -> list[Path]:
    return [path.relative_to(raw) for path in paths]


def _pair(images: list[Path], masks: list[Path]) -> list[Entry]:
    """One entry per image, and one per mask that has no image."""
    images_of, masks_of = _by_id(images), _by_id(masks)
    entries = []
    for key, same in images_of.items():
        own = masks_of.get(key, [])
        for image in same:
            entry = Entry(_id(image), image, own[0] if len(own) == 1 else None)
            if len(same) > 1:
                what = f"{len(same)} images of one name: {', '.join(map(str, same))}"
                entry.problems.append(_problem(image, what, "one", "Rename or remove all but one."))
            elif not own:
                entry.problems.append(_problem(image, "image without mask", "one mask", _PAIR))
            elif len(own) > 1:
                what = f"{len(own)} masks: {', '.join(map(str, own))}"
                entry.problems.append(_problem(image, what, "one mask", "Remove all but one."))
            entries.append(entry)
    for key, same in masks_of.items():
        if key not in images_of:
            for mask in same:
                problem = _problem(mask, "mask without image", "an image", _PAIR)
                entries.append(Entry(_id(mask), None, mask, problems=[problem]))
    return entries


def _problem(path: Path, what: str, expected: str, remedy: str) -> Problem:
    return Problem(path.as_posix(), what, expected, remedy)


def _id(path: Path) -> str:
    return image_id(PurePath(*path.parts[1:]))


def _by_id(paths: list[Path]) -> dict[str, list[Path]]:
    """Upper and lower case are one name, so that a data set means the same on every machine."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        found[_id(path).casefold()].append(path)
    return found


def _apply_pattern(entries: list[Entry], pattern: str) -> None:
    expression = compile_pattern(pattern)
    for entry in entries:
        if entry.image is None:
            continue
        match = expression.search(str(entry.name))
        if match is None:
            what = f"the pattern {pattern!r} does not fit its name"
            remedy = "Rename it, or import again with another --pattern."
            entry.problems.append(_problem(entry.image, what, "", remedy))
        else:
            entry.sample = {key: (text or "").strip() for key, text in match.groupdict().items()}


def _apply_samples(
    entries: list[Entry], header: list[str], rows: list[tuple[int, list[str]]]
) -> list[Entry]:
    """Hand each row to its image; returns an entry for each row without image."""
    by_name: dict[PurePosixPath, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_name[entry.name].append(entry)
    known = spellings(by_name)
    lines: dict[PurePosixPath, list[int]] = defaultdict(list)
    strangers = []
    for line, row in rows:
        where = f"{SAMPLES}, line {line}"
        cells = dict(zip(header, row, strict=False))
        wanted = cells.get("image", "")
        names = known.get(spelling(wanted), [])
        if not names:
            remedy = "Correct the name, or remove the row."
            problem = Problem(where, f"no image {wanted!r}", "the name of an image", remedy)
            strangers.append(Entry(wanted.replace("/", "__") or where, problems=[problem]))
        for name in names:
            lines[name].append(line)
            for entry in by_name[name]:
                entry.problems += _several(where, wanted, names)
                entry.sample |= {key: text for key in FACTORS if (text := cells.get(key, ""))}
                entry.problems += _take_pixel_size(where, entry, cells.get(PIXEL_SIZE, ""))
    for entry in entries:
        entry.problems += _rows_of(entry, lines[entry.name])
    return strangers


def _several(where: str, wanted: str, names: list[PurePosixPath]) -> list[Problem]:
    if len({image_id(name).casefold() for name in names}) == 1:
        return []
    what = f"{wanted!r} fits several images ({', '.join(map(str, names))})"
    return [Problem(where, what, "one image", "Give its path below images/.")]


def _rows_of(entry: Entry, lines: list[int]) -> list[Problem]:
    if len(lines) > 1:
        where = f"{SAMPLES}, lines {', '.join(map(str, lines))}"
        return [Problem(where, f"{len(lines)} rows for {entry.name}", "one", "Keep one of them.")]
    if not lines and entry.image is not None:
        remedy = "Add a row; its cells may stay empty."
        return [_problem(entry.image, f"no row in {SAMPLES}", "a row for each image", remedy)]
    return []


def _take_pixel_size(where: str, entry: Entry, text: str) -> list[Problem]:
    if not text:
        return []
    size = read_number(text)
    if size is None or not 0 < size < float("inf"):
        return [Problem(where, f"{PIXEL_SIZE} {text!r}", "a number of micrometres above 0")]
    entry.sample[PIXEL_SIZE] = repr(size)
    return []
