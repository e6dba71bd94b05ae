"""A data set and what is to be added to it: which images are new, and the folder of both.

Nothing is written here but into the folder that `lay_out` is given.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sgseg.dataset import raw
from sgseg.dataset.entries import Entry
from sgseg.dataset.importer import Samples
from sgseg.dataset.pairs import Pair
from sgseg.dataset.raw import RawSettings
from sgseg.dataset.samples import write_samples
from sgseg.dataset.versions import md5_of
from sgseg.errors import InputError, Problem
from sgseg.images.files import stem
from sgseg.images.read import read_image

Place = Callable[[Path, Path], object]


@dataclass(frozen=True)
class Merge:
    """What a folder of images and masks adds to a data set.

    Parameters
    ----------
    target : data/raw/NAME
    settings : its dataset.yaml
    added : images that it does not have
    relabelled : images that it has, with another mask, and the mask file they have now, relative to
        `target`
    there : names of the images that it has, with the same mask
    samples : rows of the sample table of old and new images; None if it stays as it is
    """

    target: Path
    settings: RawSettings
    added: tuple[Pair, ...]
    relabelled: tuple[tuple[Pair, Path], ...]
    there: tuple[str, ...]
    samples: Samples | None

    def __bool__(self) -> bool:
        return bool(self.added or self.relabelled)

    @property
    def sources(self) -> dict[str, Path]:
        """The user's own file for each file that comes in, by its path relative to `target`."""
        found = {}
        for pair in self.added:
            found[f"{raw.IMAGES}/{pair.name}"] = pair.image
            found[f"{raw.MASKS}/{pair.mask_name}"] = pair.mask
        for pair, mask in self.relabelled:
            name = mask.with_name(f"{stem(mask)}{pair.mask.suffix}")
            found[name.as_posix()] = pair.mask
        return found


def merge(
    target: Path,
    settings: RawSettings,
    entries: Mapping[str, Entry],
    pairs: Sequence[Pair],
    *,
    relabel: bool,
    samples: Samples | None,
) -> Merge:
    """Tell new images from those that a data set has already.

    Parameters
    ----------
    target, settings : data/raw/NAME and its dataset.yaml
    entries : its images, by their name in lower case
    pairs : images and masks to add, that can be read
    relabel : whether another mask of an image takes the place of the one it has
    samples : the table of both, see `new_samples`

    Raises
    ------
    InputError
        An image of a name that is taken has other pixels, or another mask without `relabel`. All
        are named.
    """
    added: list[Pair] = []
    relabelled: list[tuple[Pair, Path]] = []
    there: list[str] = []
    problems: list[Problem] = []
    for pair in pairs:
        entry = entries.get(pair.id.casefold())
        if entry is None:
            added.append(pair)
            continue
        try:
            mask = _own_mask(target, entry, pair, settings)
        except InputError as error:
            problems += error.problems
            continue
        if md5_of(target / mask) == md5_of(pair.mask):
            there.append(entry.image_id)
        elif relabel:
            relabelled.append((pair, mask))
        else:
            what = f"another mask than {target / mask}, of the same image"
            remedy = "Give --relabel if it is the better one, or take it away."
            problems.append(Problem(str(pair.mask), what, "the mask it has", remedy))
    if problems:
        raise InputError(*problems)
    return Merge(target, settings, tuple(added), tuple(relabelled), tuple(there), samples)


def _own_mask(target: Path, entry: Entry, pair: Pair, settings: RawSettings) -> Path:
    """The mask that the data set has for an image of this name, if it is the same image."""
    if entry.image is None or entry.mask is None:
        remedy = f"Take the data set back as it was: `dvc checkout {target}.dvc`."
        raise InputError(Problem(str(target), f"{entry.image_id} is incomplete", remedy=remedy))
    if not _same_pixels(target / entry.image, pair.image, settings):
        what = f"other pixels than {target / entry.image}, which has the same name"
        remedy = (
            "Rename it if it is another image; to replace what is there, import the whole data "
            "set again: `sgseg import ... --replace`."
        )
        raise InputError(Problem(str(pair.image), what, "a new name, or the same image", remedy))
    return entry.mask


def lay_out(merged: Merge, folder: Path, *, keep: Place, bring: Place) -> None:
    """Fill a folder with the data set as it will be.

    Parameters
    ----------
    folder : empty
    keep, bring : how an old and how a new file come in: functions of source and destination
    """
    replaced = {mask.as_posix() for _, mask in merged.relabelled}
    if merged.samples is not None:
        replaced.add(raw.SAMPLES)
    for parent, _, names in os.walk(merged.target):
        for name in names:
            path = Path(parent, name)
            relative = path.relative_to(merged.target)
            if relative.as_posix() not in replaced:
                _put(keep, path, folder / relative)
    for own_name, path in merged.sources.items():
        _put(bring, path, folder / own_name)
    if merged.samples is not None:
        write_samples(folder / raw.SAMPLES, merged.samples)


def _put(how: Place, source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    how(source, destination)


def hard_link(source: Path, destination: Path) -> None:
    """The same file under a second name, or a copy where the disk knows no such thing."""
    if source.is_symlink():
        # DVC's link to its cache: the content stays there.
        destination.symlink_to(source.resolve())
        return
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def soft_link(source: Path, destination: Path) -> None:
    """A pointer to the file, for a folder that is only looked at."""
    destination.symlink_to(source.resolve())


def _same_pixels(old: Path, new: Path, settings: RawSettings) -> bool:
    if md5_of(old) == md5_of(new):
        return True
    one, two = (
        read_image(
            path,
            channel=settings.channel,
            projection=settings.projection,
            bit_depth=settings.bit_depth,
            # It does not touch the pixels, but without one oblong pixels are refused.
            pixel_size_um=1.0,
        ).pixels
        for path in (old, new)
    )
    return one.dtype == two.dtype and np.array_equal(one, two)
