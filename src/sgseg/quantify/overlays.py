"""Pictures of a field with the outlines of its granules, cells and nuclei."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from sgseg.images.write import overlay, replacing

# Okabe & Ito's palette beside the magenta of granules: told apart with any colour vision.
CELLS, NUCLEI = (240, 228, 66), (86, 180, 233)
SHOWN_PX = (360, 900)
"""How large a picture in a report is, on its longer side."""


def field_overlay(
    image: NDArray[Any],
    granules: NDArray[np.integer],
    *,
    cells: NDArray[np.integer] | None = None,
    nuclei: NDArray[np.integer] | None = None,
) -> NDArray[np.uint8]:
    """The image in gray with the outermost pixels of each object, all (H, W) -> (H, W, 3).

    Granules lie above nuclei, nuclei above cells.
    """
    rgb = overlay(image, granules)
    free = ~outermost(granules)
    for labels, colour in ((cells, CELLS), (nuclei, NUCLEI)):
        if labels is not None:
            rgb[outermost(labels) & free] = colour
    return rgb


def write_overlay(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write a picture (H, W, 3) as PNG, little compressed: the noise in it leaves little to gain.

    Of a large field, more than all that is measured in it would take.
    """
    with replacing(path) as temporary:
        PillowImage.fromarray(rgb).save(temporary, format="PNG", compress_level=1)


def outermost(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels of objects that touch (4-neighbours) background or another object."""
    edges = np.zeros(labels.shape, dtype=bool)
    for axis in (0, 1):
        first, second = np.swapaxes(edges, 0, axis)[:-1], np.swapaxes(edges, 0, axis)[1:]
        turned = np.swapaxes(labels, 0, axis)
        other = turned[:-1] != turned[1:]
        first |= other
        second |= other
    return edges & (labels > 0)


def write_shown(path: Path, picture: Path) -> None:
    """A copy of a picture as JPEG, in a size for a page that holds several; see `SHOWN_PX`."""
    with PillowImage.open(picture) as opened:
        copy = opened.convert("RGB")
    least, most = SHOWN_PX
    longest = max(copy.size)
    if longest < least:
        times = -(-least // longest)
        size = (copy.width * times, copy.height * times)
        copy = copy.resize(size, PillowImage.Resampling.NEAREST)
    elif longest > most:
        copy.thumbnail((most, most), PillowImage.Resampling.BOX)
    with replacing(path) as temporary:
        copy.save(temporary, format="JPEG", quality=90, subsampling=0)


def legend(*, cells: bool, nuclei: bool) -> str:
    """What the colours are, of what is drawn."""
    drawn = ["granules magenta", *["cells yellow"] * cells, *["nuclei blue"] * nuclei]
    return ", ".join(drawn)
