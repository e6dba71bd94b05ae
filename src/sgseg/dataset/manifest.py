"""The canonical data set: what `ingest` writes and every later stage reads.

A folder with `manifest.csv` (one row per image), `images/<image_id>.tif` (one channel, the depth
the file had), `masks/<image_id>.tif` (label image, 0 is background) and `copies.json`; where the
network is shown a second channel, also `second/<image_id>.tif`. Of an image with a problem there is
only the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem

SEVERAL = " | "  # between the problems of one image
SECOND = "second"  # folder of the second channel

COLUMNS: dict[str, str] = {
    "image_id": "unique name: the path below images/ without its ending, '/' written as '__'",
    "source": "name of the data set under data/raw",
    "image_file": "the image as it was handed over, relative to data/raw/<source>",
    "mask_file": "its mask, relative to data/raw/<source>; empty where there is none",
    "image_md5": "MD5 of the image file",
    "mask_md5": "MD5 of the mask file or files",
    "pixel_hash": "SHA-256 of the canonical pixels, their type and shape, first 16 hex digits; the "
    "same for a mirrored or turned copy",
    "height": "px",
    "width": "px",
    "mask_height": "px, as in the mask file",
    "mask_width": "px, as in the mask file",
    "dtype": "of the canonical image",
    "bit_depth": "bits that the camera or file used; 32 for float",
    "declared_bit_depth": "bits that dataset.yaml says the camera used; empty where it does not",
    "channel": "how the one channel was made",
    "second_channel": "how that was made which the network is shown beside it; empty where none is",
    "mask_rule": "how the mask file became labels",
    "pixel_size_um": "side of a pixel in micrometres; empty where unknown",
    "declared_group": "group from the sample table or the pattern; empty where none was declared",
    "group": "images that must stay on one side of every split",
    "condition": "from the sample table or the pattern; empty where unknown",
    "replicate": "from the sample table or the pattern; empty where unknown",
    "minimum": "of the canonical pixels",
    "maximum": "of the canonical pixels",
    "mean": "of the canonical pixels",
    "p1": "1st percentile",
    "p50": "median",
    "p99": "99th percentile",
    "saturated_fraction": "share of pixels at the top of the range of `bit_depth`",
    "foreground_fraction": "share of pixels inside granules",
    "n_objects": "number of granules in the mask",
    "problem": "why the image cannot be used; empty where it can",
}


TEXT = tuple(
    name
    for name in COLUMNS
    if name.endswith(("_id", "_file", "_md5", "_hash", "group", "_rule"))
    or name in {"source", "dtype", "channel", "second_channel", "condition", "replicate", "problem"}
)
_WHOLE_NUMBERS = ("height", "width", "mask_height", "mask_width", "bit_depth", "n_objects")


def read_manifest(folder: str | Path) -> pd.DataFrame:
    """The manifest of a canonical data set; text columns are `str` with '' for unknown."""
    # A condition may well be called NA or None: only an empty cell means unknown.
    return pd.read_csv(
        Path(folder) / "manifest.csv",
        dtype=dict.fromkeys(TEXT, str),
        keep_default_na=False,
        na_values={name: [""] for name in COLUMNS if name not in TEXT},
    )


def read_accepted(folder: str | Path, validated: str | Path) -> pd.DataFrame:
    """The rows of the manifest that `validate` accepted, in the manifest's order.

    Parameters
    ----------
    folder : of the canonical data set
    validated : folder that `validate` wrote
    """
    accepted = pd.read_csv(
        Path(validated) / "accepted.csv", dtype={"image_id": str}, keep_default_na=False
    )
    manifest = read_manifest(folder)
    chosen = manifest[manifest["image_id"].isin(accepted["image_id"])].reset_index(drop=True)
    return chosen.astype(dict.fromkeys(_WHOLE_NUMBERS, "int64"))


def write_manifest(folder: str | Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write manifest.csv; what a row lacks is empty. The same rows give the same bytes."""
    frame = pd.DataFrame([dict(row) for row in rows], columns=list(COLUMNS))
    frame = frame.astype(dict.fromkeys((*_WHOLE_NUMBERS, "declared_bit_depth"), "Int64"))
    frame.to_csv(
        Path(folder) / "manifest.csv", index=False, lineterminator="\n", float_format="%.9g"
    )


def read_canonical_image(
    folder: str | Path, image_id: str, *, channels: int = 1
) -> NDArray[np.generic]:
    """Pixels as `ingest` wrote them, in the depth of the original file.

    Parameters
    ----------
    channels
        1: that of the granules (H, W); 2: with the second channel (H, W, 2), see `shown_channels`.

    Raises
    ------
    InputError
        The data set has no second channel.
    """
    marker = np.asarray(tifffile.imread(Path(folder) / "images" / f"{image_id}.tif"))
    if channels == 1:
        return marker
    path = Path(folder) / SECOND / f"{image_id}.tif"
    if not path.is_file():
        raise InputError(
            Problem(
                str(path),
                "no such file",
                "the second channel, which the network is shown",
                "Set ingest.second_channel in params.yaml, and run `dvc repro`.",
            )
        )
    return np.moveaxis(np.stack([marker, np.asarray(tifffile.imread(path))]), 0, -1)


def shown_channels(folder: str | Path) -> int:
    """How many channels of its images a network trained on the data set is shown: 1 or 2."""
    return 2 if (Path(folder) / SECOND).is_dir() else 1


def read_canonical_labels(folder: str | Path, image_id: str) -> NDArray[np.int32]:
    """Label image (H, W) of the granules, 0 is background."""
    return np.asarray(tifffile.imread(Path(folder) / "masks" / f"{image_id}.tif"), dtype=np.int32)
