"""Which mask belongs to which image: same path below the two folders, same stem, any ending."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from sgseg.errors import Problem
from sgseg.images.files import IMAGE_SUFFIXES, MASK_SUFFIXES, image_id, list_files, stem

# Pictures and microscopes' own formats that a user would miss if they were passed over in silence.
_OTHER_IMAGES = frozenset(
    {
        *(".czi", ".lif", ".nd2", ".oib", ".oif", ".oir", ".vsi", ".lsm", ".stk", ".dv", ".r3d"),
        *(".ims", ".zvi", ".svs", ".ndpi", ".sld", ".dm3", ".dm4", ".mrc", ".gif", ".webp"),
        *(".heic", ".heif", ".jp2", ".avif", ".dng", ".h5", ".hdf5", ".npy", ".npz", ".zarr"),
    }
)


@dataclass(frozen=True)
class Pair:
    """An image, its mask, and the names they get.

    Parameters
    ----------
    image, mask : the files
    name, mask_name : path below images/ and masks/, in composed Unicode (NFC)
    """

    image: Path
    mask: Path
    name: PurePosixPath
    mask_name: PurePosixPath

    @property
    def id(self) -> str:
        """The name of the image in the data set."""
        return image_id(self.name)


@dataclass(frozen=True)
class Found:
    """What two folders hold: complete pairs, everything that is wrong, and files of no interest."""

    pairs: list[Pair]
    problems: list[Problem]
    left_out: list[Path]


def find_pairs(images: Path, masks: Path) -> Found:
    """Pair the files of two folders and their subfolders.

    Names differ only if they differ in more than upper and lower case and in how Unicode writes an
    accent, so that a data set means the same on every machine. If one folder lies in the other, its
    files belong to it alone.

    Raises
    ------
    InputError
        One of the folders is missing or no folder.
    """
    images_in = _files(images, without=masks)
    masks_in = _files(masks, without=images)
    problems = [*_links(images), *_links(masks)]
    left_out: list[Path] = []
    image_files = _of_kind(images_in, IMAGE_SUFFIXES, problems, left_out)
    mask_files = _of_kind(masks_in, MASK_SUFFIXES, problems, left_out)
    by_image = _by_id(images, image_files, "images", problems)
    by_mask = _by_id(masks, mask_files, "masks", problems)
    pairs = []
    for key, image in by_image.items():
        mask = by_mask.get(key)
        relative = image.relative_to(images)
        if mask is None:
            wanted = masks / relative.with_name(f"{stem(relative)}.png")
            remedy = "Draw its mask (all black if it has no granule), or take the image away."
            expected = f"a file such as {wanted}"
            problems.append(Problem(str(image), "image without mask", expected, remedy))
        else:
            name = _composed(relative)
            mask_name = name.with_name(f"{stem(relative)}{mask.suffix}")
            pairs.append(Pair(image, mask, name, mask_name))
    for key, mask in by_mask.items():
        if key not in by_image:
            wanted = images / mask.relative_to(masks).with_name(f"{stem(mask)}.*")
            remedy = "Add the image, or take the mask away."
            problems.append(Problem(str(mask), "mask without image", f"an image {wanted}", remedy))
    if not pairs and not problems:
        expected = ", ".join(sorted(IMAGE_SUFFIXES))
        problems.append(Problem(str(images), "no image in this folder", f"files of {expected}"))
    return Found(pairs, problems, left_out)


def _files(folder: Path, *, without: Path) -> list[Path]:
    inner = without.resolve()
    nested = inner.is_relative_to(folder.resolve())
    return [
        path
        for path in list_files(folder)
        if not (nested and path.parent.resolve().is_relative_to(inner))
    ]


def _of_kind(
    files: list[Path], kind: frozenset[str], problems: list[Problem], left_out: list[Path]
) -> list[Path]:
    chosen = []
    for path in files:
        suffix = path.suffix.lower()
        if suffix in _OTHER_IMAGES:
            remedy = "Export it as OME-TIFF or TIFF (Fiji: Bio-Formats), or take it away."
            problems.append(Problem(str(path), f"{suffix} files are not read", remedy=remedy))
        elif suffix not in kind:
            left_out.append(path)
        elif any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in path.name):
            what = "a name with control or unreadable characters"
            problems.append(Problem(repr(str(path)), what, remedy="Rename it."))
        else:
            chosen.append(path)
    return chosen


def _by_id(
    folder: Path, files: Iterable[Path], kind: str, problems: list[Problem]
) -> dict[str, Path]:
    """Files by the id they would get, in lower case; those that share one are problems."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        groups[image_id(path.relative_to(folder)).casefold()].append(path)
    for key, group in groups.items():
        if len(group) > 1:
            others = ", ".join(path.relative_to(folder).as_posix() for path in group)
            what = f"{len(group)} {kind} of one name ({others})"
            remedy = "Rename or remove all but one."
            problems.append(Problem(str(folder), what, f"one file for {key!r}", remedy))
    return {key: group[0] for key, group in groups.items()}


def _links(folder: Path) -> list[Problem]:
    """Symbolic links that lead out of the folder: what they point to was not handed over."""
    root = folder.resolve()
    problems = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in [*folders, *names]:
            path = Path(parent, name)
            if name.startswith(".") or not path.is_symlink():
                continue
            target = path.resolve()
            if not target.is_relative_to(root):
                what = f"a link that leads out of the folder, to {target}"
                remedy = "Copy what it points to into the folder."
                problems.append(Problem(str(path), what, remedy=remedy))
    return problems


def _composed(path: PurePath) -> PurePosixPath:
    return PurePosixPath(unicodedata.normalize("NFC", path.as_posix()))
