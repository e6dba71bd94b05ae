"""From the files that a lab handed over to one canonical data set; see `manifest` for what it is.

A file that cannot be used stops nothing here: it becomes a row of the manifest that says why.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tqdm import tqdm

from sgseg.dataset.ceiling import Agreement, agreement, label_ceiling
from sgseg.dataset.copies import Copy, find_copies, pixel_hash
from sgseg.dataset.entries import Entry, find_entries
from sgseg.dataset.folders import replacing_folder
from sgseg.dataset.groups import name_groups
from sgseg.dataset.manifest import (
    SECOND,
    SEVERAL,
    read_canonical_image,
    read_canonical_labels,
    write_manifest,
)
from sgseg.dataset.raw import RawSettings, read_settings
from sgseg.dataset.samples import PIXEL_SIZE
from sgseg.dataset.structure import descriptor
from sgseg.errors import InputError, Problem
from sgseg.images.masks import Mask, read_mask
from sgseg.images.read import Image, read_image
from sgseg.images.write import write_labels

logger = logging.getLogger(__name__)

Row = dict[str, Any]
_DIGITS = 6


@dataclass(frozen=True)
class Usable:
    """An image that was read and is in the canonical data set, with what copies are found by."""

    row: Row
    shape: tuple[int, int]
    descriptor: NDArray[np.float32]


def ingest(
    raw: str | Path,
    out: str | Path,
    *,
    copy_correlation: float,
    near_correlation: float,
    object_iou: float,
    second_channel: int | str | None = None,
) -> None:
    """Write the canonical data set of data/raw/NAME.

    Parameters
    ----------
    raw : folder data/raw/NAME
    out : folder to write; replaced when the new one is complete. Same input, same bytes
    copy_correlation : (0, 1]
        Images that show the same picture: their masks are compared (the label ceiling).
    near_correlation : (0, 1]
        Images so alike that they must stay on one side of every split, such as one cell in two
        focal planes.
    object_iou : (0, 1]
        Two granules of two masks are the same one from this IoU on.
    second_channel : int or str, optional
        Number or name in the files of a channel that the network is shown beside the granules'.

    Raises
    ------
    InputError
        dataset.yaml or the sample table cannot be read, or there is no image at all.
    """
    raw, out = Path(raw), Path(out)
    settings = read_settings(raw)
    entries = find_entries(raw, settings)
    with replacing_folder(out) as folder:
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
        if second_channel is not None:
            (folder / SECOND).mkdir()
        rows: list[Row] = []
        usable: list[Usable] = []
        for entry in tqdm(entries, desc="ingest", unit="image", disable=None):
            row, item = _take_in(raw, entry, settings, folder, second_channel)
            rows.append(row)
            usable += [item] if item else []
        copies = _find_copies(usable, folder, correlation=min(copy_correlation, near_correlation))
        names = [item.row["image_id"] for item in usable]
        declared = [item.row["declared_group"] for item in usable]
        groups = name_groups(names, declared, [(copy.a, copy.b) for copy in copies])
        of_declared = dict(zip(declared, groups, strict=True))
        for item, group in zip(usable, groups, strict=True):
            item.row["group"] = group
        for row in rows:
            # Also an image that cannot be used binds those of its declared group.
            row["group"] = of_declared.get(row["declared_group"] or None, row["group"])
        write_manifest(folder, rows)
        report = _describe(folder, usable, copies, copy_correlation, object_iou)
        _write_json(folder / "copies.json", report)
    logger.info("%d images, %d of them copies of another", len(usable), _n_copies(report))


def _take_in(
    raw: Path, entry: Entry, settings: RawSettings, folder: Path, second_channel: int | str | None
) -> tuple[Row, Usable | None]:
    """Read one entry, write it into the data set if nothing is wrong, and describe it."""
    image, mask, problems = _read(raw, entry, settings, second_channel)
    problems = [_relative(raw, problem) for problem in [*entry.problems, *problems]]
    row: Row = {
        "image_id": entry.image_id,
        "source": raw.name,
        "image_file": entry.image.as_posix() if entry.image else "",
        "mask_file": entry.mask.as_posix() if entry.mask else "",
        "image_md5": _md5(raw, entry.image),
        "mask_md5": _md5(raw, entry.mask),
        "declared_group": entry.sample.get("group", ""),
        "group": entry.sample.get("group", "") or entry.image_id,
        "condition": entry.sample.get("condition", ""),
        "replicate": entry.sample.get("replicate", ""),
        "declared_bit_depth": settings.bit_depth,
        "problem": SEVERAL.join(str(problem) for problem in problems),
    }
    if image is not None:
        row |= describe_image(image)
    if mask is not None:
        row |= describe_mask(mask)
    if problems or image is None or mask is None:
        return row, None
    _write_channel(folder / "images" / f"{entry.image_id}.tif", image.first)
    if second_channel is not None:
        _write_channel(folder / SECOND / f"{entry.image_id}.tif", image.pixels[..., 1])
    if mask.labels.shape == image.first.shape:
        path = folder / "masks" / f"{entry.image_id}.tif"
        write_labels(path, mask.labels, pixel_size_um=image.pixel_size_um)
    height, width = image.first.shape
    return row, Usable(row, (height, width), descriptor(image.first))


def _write_channel(path: Path, pixels: NDArray[Any]) -> None:
    tifffile.imwrite(path, pixels, photometric="minisblack", compression="zlib", metadata=None)


def _read(
    raw: Path, entry: Entry, settings: RawSettings, second_channel: int | str | None
) -> tuple[Image | None, Mask | None, list[Problem]]:
    image: Image | None = None
    mask: Mask | None = None
    problems: list[Problem] = []
    size = entry.sample.get(PIXEL_SIZE)
    if entry.image is not None:
        try:
            image = read_image(
                raw / entry.image,
                channel=settings.channel,
                second_channel=second_channel,
                projection=settings.projection,
                bit_depth=settings.bit_depth,
                pixel_size_um=float(size) if size else settings.pixel_size_um,
            )
        except InputError as error:
            problems += error.problems
    if entry.mask is not None and entry.image is not None:
        shape = (image.pixels.shape[0], image.pixels.shape[1]) if image else None
        try:
            mask = read_mask(raw / entry.mask, rule=settings.masks, shape=shape)
        except InputError as error:
            problems += error.problems
    return image, mask, problems


def describe_image(image: Image) -> Row:
    """What the manifest says of an image's pixels."""
    pixels = image.first
    top = float(pixels.max()) if image.bit_depth == 32 else 2**image.bit_depth - 1
    p1, p50, p99 = (float(value) for value in np.percentile(pixels, (1, 50, 99)))
    return {
        "pixel_hash": pixel_hash(pixels),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "dtype": str(pixels.dtype),
        "bit_depth": image.bit_depth,
        "channel": image.channel,
        "second_channel": image.second_channel,
        "pixel_size_um": image.pixel_size_um,
        "minimum": float(pixels.min()),
        "maximum": float(pixels.max()),
        "mean": float(pixels.mean(dtype=np.float64)),
        "p1": p1,
        "p50": p50,
        "p99": p99,
        "saturated_fraction": float((pixels >= top).mean()),
    }


def describe_mask(mask: Mask) -> Row:
    """What the manifest says of a mask."""
    return {
        "mask_height": mask.labels.shape[0],
        "mask_width": mask.labels.shape[1],
        "mask_rule": mask.rule,
        "foreground_fraction": float((mask.labels != 0).mean()),
        "n_objects": len(np.unique(mask.labels[mask.labels != 0])),
    }


def _relative(raw: Path, problem: Problem) -> Problem:
    return replace(problem, where=problem.where.removeprefix(f"{raw}/"))


def _md5(raw: Path, file: Path | None) -> str:
    if file is None:
        return ""
    try:
        with (raw / file).open("rb") as opened:
            return hashlib.file_digest(opened, "md5").hexdigest()
    except OSError:
        return ""


def _find_copies(usable: Sequence[Usable], folder: Path, *, correlation: float) -> list[Copy]:
    if not usable:
        return []
    return find_copies(
        np.stack([item.descriptor for item in usable]),
        [item.shape for item in usable],
        [item.row["pixel_hash"] for item in usable],
        lambda position: read_canonical_image(folder, usable[position].row["image_id"]),
        correlation=correlation,
    )


def _describe(
    folder: Path,
    usable: Sequence[Usable],
    copies: Sequence[Copy],
    copy_correlation: float,
    object_iou: float,
) -> dict[str, Any]:
    """Content of copies.json."""
    names = [item.row["image_id"] for item in usable]
    pairs, same_picture = [], []
    for copy in copies:
        is_copy = copy.correlation >= copy_correlation
        agreed = _compare_masks(folder, names[copy.a], names[copy.b], copy, object_iou)
        if is_copy and agreed is not None:
            same_picture.append(agreed)
        scores = asdict(agreed) if agreed else {}
        pairs.append(
            {
                "a": names[copy.a],
                "b": names[copy.b],
                "kind": "copy" if is_copy else "near",
                "transform": copy.transform,
                "shift": list(copy.shift),
                "correlation": round(copy.correlation, _DIGITS),
                "identical_pixels": copy.identical_pixels,
                "identical_masks": scores.get("identical"),
                **{key: _rounded(scores.get(key)) for key in ("iou", "dice", "object_f1")},
            }
        )
    members: dict[str, list[str]] = {}
    for item in usable:
        members.setdefault(item.row["group"], []).append(item.row["image_id"])
    linked = {names[position] for copy in copies for position in (copy.a, copy.b)}
    groups = [group for group in members.values() if linked.intersection(group)]
    ceiling = label_ceiling(same_picture, object_iou=object_iou)
    return {"groups": groups, "pairs": pairs, "ceiling": ceiling}


def _compare_masks(
    folder: Path, first: str, second: str, copy: Copy, object_iou: float
) -> Agreement | None:
    if not all((folder / "masks" / f"{name}.tif").exists() for name in (first, second)):
        return None
    mine, other = read_canonical_labels(folder, first), read_canonical_labels(folder, second)
    return agreement(mine, other, copy, object_iou=object_iou)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _n_copies(report: dict[str, Any]) -> int:
    return len({pair["b"] for pair in report["pairs"]})


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
