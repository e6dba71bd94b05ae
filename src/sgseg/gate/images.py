"""The test images that a gate may use: unchanged, and seen in training by neither model."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.dataset.copies import pixel_hash
from sgseg.dataset.manifest import read_canonical_image, read_canonical_labels, read_manifest
from sgseg.dataset.registry import TEST
from sgseg.errors import InputError, Problem
from sgseg.gate.decision import LeftOut
from sgseg.images.planes import decoding
from sgseg.inference.segmenter import Segmenter

RESTORE = "Take data/dataset back: `dvc checkout data/dataset`, or `dvc repro`."


def find_test_images(dataset: Path, split: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The whole manifest, and its rows that are test images, in the order of roles.csv.

    Parameters
    ----------
    dataset, split
        data/dataset and data/split.

    Raises
    ------
    InputError
        A file is missing, or a test image is not in the manifest.
    """
    roles_file = split / "roles.csv"
    for path in (dataset / "manifest.csv", roles_file):
        if not path.is_file():
            raise InputError(Problem(str(path), "no such file", remedy="Run `dvc repro`."))
    manifest = read_manifest(dataset)
    roles = pd.read_csv(roles_file, dtype=str, keep_default_na=False)
    wanted = roles.loc[roles["set"] == TEST, "image_id"].tolist()
    known = set(manifest["image_id"])
    strangers = [
        Problem(f"{roles_file}: {name}", f"not in {dataset / 'manifest.csv'}", remedy=RESTORE)
        for name in wanted
        if name not in known
    ]
    if strangers:
        raise InputError(*strangers)
    return manifest, manifest.set_index("image_id", drop=False).loc[wanted]


def leave_out_seen(
    manifest: pd.DataFrame, images: pd.DataFrame, trained_on: Mapping[str, Collection[str]]
) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Test images of whose group no image was trained on, and the others with the reason.

    Parameters
    ----------
    manifest
        All images: what was trained on need not be a test image to share its group.
    images
        Rows of the manifest.
    trained_on
        By the name of each model the pixel hashes of its development images. These are the same for
        a mirrored or turned copy; other copies share a group.
    """
    left_out: dict[str, LeftOut] = {}
    for model, hashes in trained_on.items():
        seen = manifest[manifest["pixel_hash"].isin(set(hashes) - {""})]
        first_of_group = dict(zip(seen["group"][::-1], seen["image_id"][::-1], strict=True))
        itself = set(seen["image_id"])
        for name, group in zip(images["image_id"], images["group"], strict=True):
            if name in left_out or group not in first_of_group:
                continue
            why = f"the {model} was trained on it"
            if name not in itself:
                why = f"the {model} was trained on {first_of_group[group]}, of the same group"
            left_out[name] = LeftOut(name, group, why)
    kept = images[~images["image_id"].isin(list(left_out))]
    return kept, [left_out[name] for name in images["image_id"] if name in left_out]


def check_unchanged(
    dataset: Path, images: pd.DataFrame, *, handed_over: Path | None = None
) -> None:
    """Compare the files of test images with what the manifest recorded when they were taken in.

    Pixels by their hash, which does not tell mirrored and turned ones; masks by size, number of
    granules and area, and, where the file that the lab handed over is there, that by its MD5.

    Parameters
    ----------
    handed_over
        The folder data/raw, or None to leave it alone.

    Raises
    ------
    InputError
        Files are missing, damaged or changed; all of them are named.
    """
    problems = [
        problem
        for row in images.to_dict("records")
        for problem in (
            *_image_problems(dataset, row),
            *_mask_problems(dataset, row),
            *(_handed_over_problems(handed_over, row) if handed_over is not None else ()),
        )
    ]
    if problems:
        raise InputError(*problems, title="Test images are not what they were:")


def segment_canonical(
    segmenter: Segmenter, dataset: Path, image_id: str, pixel_size_um: float | None
) -> NDArray[np.int32]:
    """Granules (H, W) of an image of the canonical data set, shown as the model wants it.

    Raises
    ------
    InputError
        The model is shown a second channel, which the data set has not.
    """
    pixels = read_canonical_image(dataset, image_id, channels=segmenter.channels)
    return segmenter.predict(pixels, pixel_size_um=pixel_size_um).labels


def file_md5(path: Path) -> str:
    """MD5 of a file's bytes, hex."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()


def _image_problems(dataset: Path, row: Mapping[Any, Any]) -> Iterator[Problem]:
    path = dataset / "images" / f"{row['image_id']}.tif"
    try:
        found = pixel_hash(_read(path, read_canonical_image))
    except InputError as error:
        yield from error.problems
        return
    if found != row["pixel_hash"]:
        yield _changed(path, f"pixel hash {found}", row["pixel_hash"])


def _mask_problems(dataset: Path, row: Mapping[Any, Any]) -> Iterator[Problem]:
    path = dataset / "masks" / f"{row['image_id']}.tif"
    try:
        labels = _read(path, read_canonical_labels)
    except InputError as error:
        yield from error.problems
        return
    # The manifest has nine digits of the area.
    found = (
        labels.shape,
        len(np.unique(labels[labels != 0])),
        float(f"{(labels != 0).mean():.9g}"),
    )
    recorded = (
        (int(row["height"]), int(row["width"])),
        int(row["n_objects"]),
        float(f"{row['foreground_fraction']:.9g}"),
    )
    if found != recorded:
        yield _changed(path, _mask_in_words(*found), _mask_in_words(*recorded))


def _mask_in_words(shape: tuple[int, ...], granules: int, fraction: float) -> str:
    size = " x ".join(map(str, shape))
    return f"{size} px with {granules} granules on a share of {fraction:g}"


def _handed_over_problems(raw: Path, row: Mapping[Any, Any]) -> Iterator[Problem]:
    # A mask of several files has no MD5 in the manifest.
    path, recorded = raw / row["source"] / row["mask_file"], row["mask_md5"]
    if recorded and path.is_file():
        found = file_md5(path)
        if found != recorded:
            remedy = "Take the file back, or run `dvc repro` for the data set to follow it."
            yield Problem(str(path), f"changed: MD5 {found}", f"MD5 {recorded}", remedy)


def _changed(path: Path, found: str, recorded: str) -> Problem:
    return Problem(str(path), f"changed: {found}", f"{recorded}, as in manifest.csv", RESTORE)


def _read(path: Path, read: Any) -> Any:
    if not path.is_file():
        raise InputError(Problem(str(path), "no such file", remedy=RESTORE))
    with decoding(path, "TIFF"):
        return read(path.parent.parent, path.stem)
