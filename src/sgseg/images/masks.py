"""A mask file to labels: 0/1, 0/255, a colour on black, instance labels or ImageJ outlines.

A mask says yes or no at every pixel. Whatever leaves that open (soft edges, compressed masks, an
exchanged background) is refused by name; nothing is thresholded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sgseg.errors import InputError, Problem
from sgseg.images.files import ROI_SUFFIXES
from sgseg.images.planes import MAX_PIXELS, Opened, Pixels
from sgseg.images.read import open_file
from sgseg.images.rois import read_rois
from sgseg.images.zones import why_not_labels

RULES = ("auto", "binary", "labels", "colour", "roi")
EIGHT = np.ones((3, 3), dtype=bool)
_HARD = "Threshold it yourself and save it as PNG or TIFF with 0 and 255 only; never as JPEG."
_INSIST = "Invert it, or give --mask-rule binary if it is right as it is."


@dataclass(frozen=True)
class Mask:
    """Labels (H, W) int32, 0 is background, and the rule that made them from the file."""

    labels: NDArray[np.int32]
    rule: str


def read_mask(
    path: str | Path,
    *,
    rule: str = "auto",
    shape: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Mask:
    """Read a mask file as a label image.

    Parameters
    ----------
    path : an image file of one picture, or ImageJ outlines (`.roi`, `.zip`).
    rule : {"auto", "binary", "labels", "colour", "roi"}
        `binary`: 0 and one other value. `colour`: black and one colour. Both become one label per
        connected piece (8-connectivity). `labels`: each integer, or each colour, is one object.
        `roi`: ImageJ outlines. `auto` finds out which, and refuses what is doubtful: a foreground
        that covers more than half of the picture and of its border (exchanged background), integers
        that are no compact objects (soft edges, codes for kinds). A rule given by name is a
        statement of the user's and skips these two doubts, not the definition of the rule.
    shape : (height, width), needed for ImageJ outlines, which do not say how large their image is.

    Returns
    -------
    Mask
        Integer labels keep their numbers.

    Raises
    ------
    InputError
        The file is missing, damaged, or not a mask by the rule.
    """
    path = Path(path)
    if rule not in RULES:
        raise InputError(Problem(f"mask rule {rule!r}", "unknown", f"one of {', '.join(RULES)}"))
    if path.suffix.lower() in ROI_SUFFIXES:
        if rule not in {"auto", "roi"}:
            remedy = "Give --mask-rule auto."
            raise InputError(Problem(str(path), "ImageJ outlines", f"mask rule {rule}", remedy))
        if shape is None:
            what = "ImageJ outlines do not say how large their image is"
            raise InputError(Problem(str(path), what, "the image's height and width"))
        return Mask(read_rois(path, shape), "ImageJ outlines")
    if rule == "roi":
        what, expected = "no ImageJ outlines", "a .roi or .zip file"
        raise InputError(Problem(str(path), what, expected, "Give --mask-rule auto."))
    with open_file(path, max_pixels=max_pixels) as opened:
        layout = opened.layout
        if layout.slices > 1 or (layout.channels > 1 and not layout.colour):
            what = f"{layout.slices} slices and {layout.channels} channels"
            raise opened.refuse(what, "one picture", "Save the one that is the mask.")
        codes, colours = _codes(opened, opened.load(None)[:, 0])
        return _by_rule(opened, codes, colours, rule)


def _by_rule(opened: Opened, codes: NDArray[np.int64], coloured: bool, rule: str) -> Mask:
    foreground = codes != 0
    found = np.unique(codes[foreground])
    if not len(found):
        return Mask(np.zeros(codes.shape, np.int32), "empty")
    if foreground.all():
        few = ", ".join(_name(value, coloured) for value in found[:4])
        raise opened.refuse(
            f"no background: no pixel is 0 (values {few}{', ...' if len(found) > 4 else ''})",
            "0 (black) where there is no granule",
            "Set the background to 0, for instance by subtracting 1 from masks of 1 and 2.",
        )
    if rule == "colour" and not coloured:
        raise opened.refuse("no colour", "one colour on black", "Give --mask-rule auto.")
    if rule == "labels" or (rule == "auto" and len(found) > 1):
        if rule == "auto" and (reason := why_not_labels(codes)):
            raise opened.refuse(
                f"{len(found) + 1} different values that are no mask: {reason}",
                "two values, or one number per granule",
                f"{_HARD} If each number is one granule, give --mask-rule labels.",
            )
        return Mask(_numbered(opened, codes, found, coloured), "labels")
    if len(found) > 1:
        few = ", ".join(_name(value, coloured) for value in found[:4])
        what = f"{len(found) + 1} different values (0, {few}, ...)"
        raise opened.refuse(what, f"two, as the mask rule {rule} says", _HARD)
    if rule == "auto" and _inverted(foreground):
        share = f"{foreground.mean():.0%} of it and most of its border are foreground"
        raise opened.refuse(share, "background (0) around the granules", _INSIST)
    labels, _ = ndimage.label(foreground, structure=EIGHT, output=np.int32)
    name = _name(found[0], coloured)
    return Mask(labels, f"colour {name} on black" if coloured else f"binary, 0 and {name}")


def _codes(opened: Opened, planes: Pixels) -> tuple[NDArray[np.int64], bool]:
    """One integer per pixel, 0 for black, and whether they stand for colours. Planes (C, H, W)."""
    planes = _integers(opened, planes)
    if opened.layout.alpha:
        planes = _on_black(opened, planes)
    if len(planes) == 1 or (planes == planes[0]).all():
        return planes[0], False
    if planes.max() > np.iinfo(np.uint16).max:
        raise opened.refuse("colours beyond 16 bits", "8 or 16 bits per colour")
    base = 2**16
    red, green, blue = planes
    return (red * base + green) * base + blue, True


def _integers(opened: Opened, planes: Pixels) -> NDArray[np.int64]:
    kind = planes.dtype.kind
    if kind == "f":
        with np.errstate(invalid="ignore"):
            fractions = int((~np.isfinite(planes) | (planes != np.floor(planes))).sum())
        if fractions:
            raise opened.refuse(f"{fractions} pixels are no whole numbers", "0 and 1", _HARD)
        if float(np.abs(planes).max()) > np.iinfo(np.int32).max:
            raise opened.refuse("numbers beyond 32 bits", "0 and 1, or labels")
    elif kind not in "biu":
        raise opened.refuse(f"pixels of type {planes.dtype}", "integers")
    whole = planes.astype(np.int64)
    low, high = int(whole.min()), int(whole.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise opened.refuse(f"values from {low} to {high}", "0 and 1, or labels from 0")
    return whole


def _on_black(opened: Opened, planes: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is transparent is background; what is half transparent is refused."""
    *colours, alpha = planes
    stacked = np.stack(colours)
    opaque = np.iinfo(opened.layout.dtype).max if opened.layout.dtype.kind in "iu" else 1
    between = int(((alpha != 0) & (alpha != opaque)).sum())
    if between:
        raise opened.refuse(f"{between} half transparent pixels", "a mask without them", _HARD)
    shown = np.where(alpha == 0, 0, stacked)
    if (alpha == 0).any() and (alpha != 0).any() and not shown.any():
        what = "black granules on a transparent background"
        raise opened.refuse(what, "white or coloured granules", _HARD)
    return shown


def _numbered(
    opened: Opened, codes: NDArray[np.int64], found: NDArray[np.int64], coloured: bool
) -> NDArray[np.int32]:
    if not coloured:
        return codes.astype(np.int32)
    numbers: NDArray[np.int32] = (np.searchsorted(found, codes) + 1).astype(np.int32)
    return np.where(codes == 0, np.int32(0), numbers)


def _inverted(foreground: NDArray[np.bool_]) -> bool:
    inner = tuple(slice(1, -1) for _ in foreground.shape)
    border = np.ones(foreground.shape, dtype=bool)
    border[inner] = False
    return bool(foreground.mean() > 0.5 and foreground[border].mean() > 0.5)


def _name(code: np.int64, coloured: bool) -> str:
    if not coloured:
        return str(int(code))
    value, base = int(code), 2**16
    return str((value // base**2, value // base % base, value % base))
