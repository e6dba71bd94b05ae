"""Cells or nuclei that were segmented elsewhere: found for each field, read, checked.

Cellpose, StarDist, QuPath and Fiji write label images or ImageJ outlines; what a label image is has
its rules in `sgseg.images.masks`. Here is what only cells need: names of files, a size that must
fit, labels that may touch each other and cover the whole image.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from sgseg.errors import InputError, Problem
from sgseg.images.files import MASK_SUFFIXES, ROI_SUFFIXES, list_files, stem
from sgseg.images.masks import Mask, read_mask
from sgseg.images.planes import first_bytes

# What programs add to the name of an image, the longest first.
ENDINGS = tuple(
    sorted(
        (
            *("_cp_masks", "_masks", "_mask", "-labelled", "_labelled", "-labels", "_labels"),
            *("_label", ".labels", "_stardist", "_nuclei", "_cells", "_rois", "_seg", "_cp"),
        ),
        key=len,
        reverse=True,
    )
)
JPEG = b"\xff\xd8\xff"
MAX_LABEL = (
    2**20
)  # higher numbers are identifiers: tables have a place for each number up to theirs
MAX_PIECES = 3  # zones per label, on average, beyond which values are no objects
_EXPORT = "Export it again as TIFF or PNG with one whole number per object."


def read_given(path: str | Path, *, shape: tuple[int, int], what: str = "cells") -> Mask:
    """Read the cells or nuclei of a field from a label image or ImageJ outlines.

    Parameters
    ----------
    path : TIFF, PNG or BMP of one picture in which each number or colour is one object, or `.roi`,
        `.zip` of Fiji. A file with one value beside 0 in several pieces is a mask: each connected
        piece (8-connectivity) is one object.
    shape : (height, width) of the field.
    what : how errors call the objects.

    Returns
    -------
    Mask
        Labels (H, W) int32 with the numbers of the file (from 1 without gaps where they are beyond
        a million), and the rule that made them.

    Raises
    ------
    InputError
        The file is missing, damaged, a JPEG, of another size, holds fractions, negative numbers or
        values that are no objects (soft edges, a photograph).
    """
    path = Path(path)
    if path.suffix.lower() not in ROI_SUFFIXES and first_bytes(path).startswith(JPEG):
        reason = "a JPEG, in which the numbers of objects are blurred"
        raise InputError(Problem(str(path), reason, f"a label image of {what}", _EXPORT))
    if path.suffix.lower() in ROI_SUFFIXES:
        return read_mask(path, shape=shape)
    found = read_mask(path, rule="labels")
    if found.labels.shape != shape:
        raise InputError(
            Problem(
                str(path),
                f"{_size(found.labels.shape)} pixels",
                f"{_size(shape)}, as its image has",
                f"Segment the {what} in the same image, neither cut nor scaled.",
            )
        )
    return _objects(path, found, what)


def find_given(
    folder: str | Path, fields: Iterable[str], *, what: str = "cells"
) -> dict[str, Path]:
    """The file of each field in a folder of label images or outlines.

    A file belongs to a field when it has its name, alone or with what programs add to it
    (`ENDINGS`: Cellpose's `_cp_masks`, StarDist's `_labels`, QuPath's `-labelled`, ...). Folders
    inside count as in the names of the fields.

    Parameters
    ----------
    fields : names, as in the column `field`; '/' between folders.

    Raises
    ------
    InputError
        The folder is missing; a field has no file, or several. All are named.
    """
    folder = Path(folder)
    of_name: dict[str, list[Path]] = {}
    for path in list_files(folder):
        if path.suffix.lower() in MASK_SUFFIXES:
            of_name.setdefault(_name(path.relative_to(folder)), []).append(path)
    chosen: dict[str, Path] = {}
    problems: list[Problem] = []
    for field in fields:
        files = _files_of(field, of_name)
        if len(files) == 1:
            chosen[field] = files[0]
        else:
            problems.append(_unclear(folder, field, files, what))
    if problems:
        raise InputError(*problems)
    return chosen


def match_nuclei(
    cells: NDArray[np.integer], nuclei: NDArray[np.integer], *, owner: NDArray[np.integer]
) -> NDArray[np.int32]:
    """Nuclei (H, W) with the label of their cell, cut off at its edge; without cell: none.

    For cells and nuclei from two sources, in which cell 7 and nucleus 7 have nothing in common.

    Parameters
    ----------
    owner : cell of each nucleus, see `per_cell.owners`.
    """
    mine = owner[nuclei]
    return np.where((mine > 0) & (cells == mine), mine, 0).astype(np.int32)


def _objects(path: Path, found: Mask, what: str) -> Mask:
    labels = found.labels
    zones, n_zones = measure.label(labels, background=0, connectivity=2, return_num=True)
    names = np.unique(labels[labels > 0])
    n_labels = len(names)
    if n_labels == 1 and n_zones > 1:
        return Mask(zones.astype(np.int32), f"mask of {n_zones} connected pieces")
    if n_zones > MAX_PIECES * max(n_labels, 1):
        raise InputError(
            Problem(
                str(path),
                f"{n_labels} values over {n_zones} places",
                f"one compact object per number, as in a label image of {what}",
                f"Is it the image itself, or a mask with soft edges? {_EXPORT}",
            )
        )
    if n_labels and names[-1] > MAX_LABEL:
        numbered = np.where(labels > 0, np.searchsorted(names, labels) + 1, 0)
        return Mask(numbered.astype(np.int32), f"{found.rule}, numbered anew")
    return found


def _files_of(field: str, of_name: dict[str, list[Path]]) -> list[Path]:
    if field in of_name:
        return of_name[field]
    return [path for ending in ENDINGS for path in of_name.get(field + ending, [])]


def _unclear(folder: Path, field: str, files: list[Path], what: str) -> Problem:
    where = f"{field} in {folder}"
    if files:
        several = ", ".join(path.name for path in files)
        return Problem(where, f"several files of {what}: {several}", "one", "Move the others away.")
    return Problem(
        where,
        f"no file of {what}",
        f"{field}.tif, {field}_cp_masks.png, {field}.zip or the like",
        "Name it after its image. Cellpose: save masks as PNG or TIFF, `_seg.npy` is not read.",
    )


def _name(relative: PurePath) -> str:
    return (relative.parent / stem(relative)).as_posix()


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
