"""Image files in folders: which they are, in what order, and what they are called.

Names only; what is inside a file is read in `read` and `masks`.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PurePath

from sgseg.errors import InputError, Problem

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
ROI_SUFFIXES = frozenset({".roi", ".zip"})
MASK_SUFFIXES = IMAGE_SUFFIXES | ROI_SUFFIXES


def find_images(folder: str | Path, *, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Path]:
    """All image files in a folder and its subfolders, in natural order (2 before 10).

    Hidden files and folders are left out, and so is what lies behind a link to a folder.

    Raises
    ------
    InputError
        `folder` is missing, no folder, or may not be read.
    """
    return [path for path in list_files(folder) if path.suffix.lower() in suffixes]


def list_files(folder: str | Path) -> list[Path]:
    """All files below a folder that are not hidden, in natural order; see `find_images`."""
    folder = Path(folder)
    if not folder.exists():
        raise InputError(Problem(str(folder), "no such folder"))
    if not folder.is_dir():
        raise InputError(Problem(str(folder), "not a folder", "a folder of images"))
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=False, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder)))


def natural_key(path: PurePath) -> list[list[tuple[int, int, str]]]:
    """Sorts "cell 2" before "cell 10", folder by folder, the same on every machine."""
    return [
        [
            (0, int(part), "") if part.isdecimal() else (1, 0, part)
            for part in re.split(r"(\d+)", unicodedata.normalize("NFC", name).casefold())
            if part
        ]
        for name in path.parts
    ]


def stem(path: PurePath) -> str:
    """File name without its ending; `.ome.tif` is one ending. Unicode as composed letters (NFC).

    macOS writes "é" as two characters, other systems as one: they are the same name here.
    """
    name = unicodedata.normalize("NFC", path.stem)
    if path.suffix.lower() in {".tif", ".tiff"} and name.lower().endswith(".ome"):
        name = name[: -len(".ome")]
    return name


def image_id(relative: PurePath) -> str:
    """The name of an image in the data set: its path below images/, '/' written as '__'."""
    folders = [unicodedata.normalize("NFC", part) for part in relative.parts[:-1]]
    return "__".join([*folders, stem(relative)])


def _refuse_folder(error: OSError) -> None:
    raise InputError(Problem(str(error.filename), error.strerror or "cannot be listed")) from None
