"""Labels and pictures to files, each under a temporary name first, so that none is half-written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy import ndimage

OUTLINE = (255, 0, 255)
# What counts as black and as white in an overlay; bright granules may be clipped, darkness not.
DISPLAY_PERCENTILES = (0.5, 99.9)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it at the end, removed if something goes wrong."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _new_file(path)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        # A full disk is noticed by a write, which does not know the file's name.
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _new_file(path: Path) -> Path:
    """An empty file under a name of its own beside `path`, with the rights of any new file."""
    # A name has 255 bytes, of which a letter takes up to four.
    begin = os.fsencode(path.name)[:200].decode("utf-8", errors="ignore")
    while True:
        temporary = path.with_name(f".{begin}.{secrets.token_hex(4)}.part")
        try:
            # The system takes off the umask: to ask for it here would mean to set it, for all
            # threads. An existing file is another's.
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            continue
        return temporary


def write_labels(
    path: str | Path, labels: NDArray[np.integer], *, pixel_size_um: float | None = None
) -> None:
    """Write a label image (H, W) as TIFF that Fiji opens with its scale.

    16 bits as ImageJ TIFF; 32 bits, which ImageJ's format does not know, as plain TIFF where a
    label is beyond 65535. The same labels give the same bytes.

    Raises
    ------
    ValueError
        A label is negative or the image is not 2-D.
    """
    if labels.ndim != 2:
        raise ValueError(f"labels of shape {labels.shape}; expected (H, W)")
    highest = int(labels.max(initial=0))
    if int(labels.min(initial=0)) < 0:
        raise ValueError("negative labels")
    options: dict[str, Any] = {"compression": "zlib"}
    if highest <= np.iinfo(np.uint16).max:
        pixels = labels.astype(np.uint16)
        options["imagej"] = True
        if pixel_size_um is not None:
            options["resolution"] = (1 / pixel_size_um, 1 / pixel_size_um)
            options["metadata"] = {"unit": "um"}
    else:
        pixels = labels.astype(np.uint32)
        options["metadata"] = None
        if pixel_size_um is not None:
            options["resolution"] = (1e4 / pixel_size_um, 1e4 / pixel_size_um)
            options["resolutionunit"] = "CENTIMETER"
    with replacing(path) as temporary:
        tifffile.imwrite(temporary, pixels, photometric="minisblack", **options)


def overlay(image: NDArray[np.generic], labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """The image in gray with the outline of each object: its own outermost pixels, in magenta.

    Parameters
    ----------
    image : (H, W), any range
    labels : (H, W), 0 is background

    Returns
    -------
    (H, W, 3) uint8
    """
    if image.shape != labels.shape or image.ndim != 2:
        raise ValueError(f"image {image.shape} and labels {labels.shape}; expected the same (H, W)")
    pixels = image.astype(np.float32)
    low, high = np.percentile(pixels, DISPLAY_PERCENTILES) if pixels.size else (0.0, 1.0)
    # An empty field stays dark: its noise is not stretched over the whole range.
    scaled = (pixels - low) / max(high - low, 1e-12)
    gray = (np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    rgb = np.repeat(gray[..., None], 3, axis=2)
    rgb[_edges(labels)] = OUTLINE
    return rgb


def write_png(path: str | Path, rgb: NDArray[np.uint8]) -> None:
    """Write a picture (H, W) or (H, W, 3) uint8 as PNG."""
    with replacing(path) as temporary:
        PillowImage.fromarray(rgb).save(temporary, format="PNG")


def _edges(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels of objects that touch (4-neighbours) background or another object."""
    cross = ndimage.generate_binary_structure(2, 1)
    lowest = ndimage.minimum_filter(labels, footprint=cross, mode="nearest")
    highest = ndimage.maximum_filter(labels, footprint=cross, mode="nearest")
    edges: NDArray[np.bool_] = (labels > 0) & ((lowest != labels) | (highest != labels))
    return edges
