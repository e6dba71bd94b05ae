"""A lab's folder to data/raw/NAME: all of it is read and checked, then copied at one stroke."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from sgseg.dataset import raw
from sgseg.dataset.pairs import Pair, find_pairs
from sgseg.dataset.placing import placing, recover
from sgseg.dataset.raw import RawSettings, make_settings, write_settings
from sgseg.dataset.samples import PIXEL_SIZE, match_pattern, read_samples, write_samples
from sgseg.errors import InputError, Problem
from sgseg.images.masks import read_mask
from sgseg.images.planes import MAX_PIXELS
from sgseg.images.read import Image, read_image

logger = logging.getLogger(__name__)

RESERVED = frozenset({"simulated"})
Samples = dict[PurePosixPath, dict[str, str]]


def import_folder(
    src: str | Path,
    *,
    images: str | Path,
    masks: str | Path,
    name: str,
    samples: str | Path | None = None,
    pattern: str | None = None,
    channel: int | str | None = None,
    projection: str | None = None,
    pixel_size_um: float | None = None,
    bit_depth: int | None = None,
    mask_rule: str = "auto",
    root: str | Path = Path(),
    replace: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Path:
    """Copy images and masks into data/raw/NAME after reading every one of them.

    Parameters
    ----------
    src : the folder handed over
    images, masks : folders below `src` (or anywhere); a mask has its image's path and stem
    name : of the data set; letters, digits, '.', '_' and '-'
    samples : table with group, condition, replicate and pixel size of each image (see `samples`),
        here or below `src`
    pattern : instead of a table, a regular expression with the named groups `group`, `condition`,
        `replicate`, searched in each image's path below `images`
    channel, projection, bit_depth, pixel_size_um : how to read the images, see `read_image`
    mask_rule : how to read the masks, see `read_mask`
    root : of the project
    replace : put it in the place of a data set of this name

    Returns
    -------
    Path
        The new folder, root/data/raw/NAME.

    Raises
    ------
    InputError
        Something is wrong with an argument or with any of the files: all are named, nothing is
        copied.
    OSError
        Copying failed, for instance because the disk is full: nothing is left behind, and a data
        set of this name is as it was.
    """
    settings = make_settings(
        name=name,
        channel=channel,
        projection=projection,
        pixel_size_um=None if pixel_size_um is None else float(pixel_size_um),
        bit_depth=bit_depth,
        masks=mask_rule,
        pattern=pattern,
    )
    target = Path(root) / "data" / "raw" / name
    recover(target)
    _refuse_taken(target, replace=replace)
    if samples is not None and pattern is not None:
        raise InputError(Problem("samples and pattern", "both are given", "one of them"))
    found = find_pairs(*folders(Path(src), images, masks))
    problems = list(found.problems)
    names = [pair.name for pair in found.pairs]
    table: Samples = {}
    try:
        if samples is not None:
            table = read_samples(here_or_below(Path(samples), Path(src)), names)
        elif pattern is not None:
            match_pattern(pattern, names)
    except InputError as error:
        problems += error.problems
    problems += check_files(found.pairs, settings, table, max_pixels)
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise InputError(*problems, title=f"{count} in {src}; nothing was imported:")
    if found.left_out:
        logger.info("%d files of other kinds were left out", len(found.left_out))
    with placing(target) as folder:
        _copy(found.pairs, folder)
        if table:
            write_samples(folder / raw.SAMPLES, table)
        write_settings(folder, settings)
    logger.info("%d images and their masks are in %s", len(found.pairs), target)
    return target


def here_or_below(path: Path, src: Path) -> Path:
    """A table named like the folders: below `src`, if it is not where the user stands."""
    return src / path if not path.exists() and (src / path).exists() else path


def folders(src: Path, images: str | Path, masks: str | Path) -> tuple[Path, Path]:
    """The folder of images and the folder of masks, below `src` or anywhere.

    Raises
    ------
    InputError
        One is missing, or both are the same.
    """
    if not src.is_dir():
        raise InputError(Problem(str(src), "no such folder", "a folder of images and masks"))
    pair = src / images, src / masks
    missing = [folder for folder in pair if not folder.is_dir()]
    if missing:
        inside = sorted(path.name for path in src.iterdir() if path.is_dir())[:20]
        expected = f"a folder in {src} (there: {', '.join(inside) or 'none'})"
        raise InputError(*(Problem(str(folder), "no such folder", expected) for folder in missing))
    if pair[0].resolve() == pair[1].resolve():
        remedy = "Put the masks into a folder of their own, under the images' names."
        raise InputError(Problem(str(pair[0]), "the folder of images and of masks", remedy=remedy))
    return pair


def _refuse_taken(target: Path, *, replace: bool) -> None:
    if target.name in RESERVED:
        what = "is the name of the built-in data"
        raise InputError(Problem(f"name {target.name!r}", what, "another name"))
    pointer = target.with_name(f"{target.name}.dvc")
    if replace or not (target.exists() or pointer.exists()):
        return
    if target.exists():
        what, remedy = "exists already", "Choose another --name, or give --replace."
    else:
        what = f"is the name of a data set that is not here, but under DVC ({pointer.name})"
        remedy = "Fetch it with `dvc pull`, choose another --name, or give --replace."
    raise InputError(Problem(str(target), what, "a new name", remedy))


def check_files(
    pairs: list[Pair], settings: RawSettings, table: Samples, max_pixels: int
) -> list[Problem]:
    """Read every image and every mask; what is wrong with any of them."""
    problems: list[Problem] = []
    channels: Counter[str] = Counter()
    sized = 0
    for pair in tqdm(pairs, desc="reading", unit="image", disable=None):
        size = table.get(pair.name, {}).get(PIXEL_SIZE)
        image: Image | None = None
        try:
            image = read_image(
                pair.image,
                channel=settings.channel,
                projection=settings.projection,
                bit_depth=settings.bit_depth,
                pixel_size_um=float(size) if size else settings.pixel_size_um,
                max_pixels=max_pixels,
            )
            channels[image.channel] += 1
            sized += image.pixel_size_um is not None
        except InputError as error:
            problems += error.problems
        problems += _check_mask(pair, settings, image, max_pixels)
    if not problems:
        for made, count in channels.most_common():
            logger.info("%d images: %s", count, made)
        if sized < len(pairs):
            unknown = len(pairs) - sized
            logger.info("%d images of unknown pixel size (--pixel-size-um states it)", unknown)
    return problems


def _check_mask(
    pair: Pair, settings: RawSettings, image: Image | None, max_pixels: int
) -> list[Problem]:
    shape = None
    if image is not None:
        height, width = image.pixels.shape
        shape = (height, width)
    elif pair.mask.suffix.lower() in {".roi", ".zip"}:
        # Outlines cannot be drawn without the image's size; the image's own problem comes first.
        return []
    try:
        mask = read_mask(pair.mask, rule=settings.masks, shape=shape, max_pixels=max_pixels)
    except InputError as error:
        return list(error.problems)
    if shape is not None and mask.labels.shape != shape:
        height, width = mask.labels.shape
        what = f"mask of {width} x {height} pixels"
        expected = f"{shape[1]} x {shape[0]} as in {pair.image}"
        remedy = "Is it the mask of another image, or was one of them resized?"
        return [Problem(str(pair.mask), what, expected, remedy)]
    return []


def _copy(pairs: list[Pair], folder: Path) -> None:
    for pair in tqdm(pairs, desc="copying", unit="image", disable=None):
        for source, part, name in (
            (pair.image, raw.IMAGES, pair.name),
            (pair.mask, raw.MASKS, pair.mask_name),
        ):
            destination = folder / part / name
            destination.parent.mkdir(parents=True, exist_ok=True)
            # The content alone: a read-only or executable original makes no such copy.
            shutil.copyfile(source, destination)
