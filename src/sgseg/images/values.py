"""Pixel values: which types and numbers an image may hold, and how many bits they use."""

from __future__ import annotations

import numpy as np

from sgseg.images.planes import Opened, Pixels


def refuse_unusable_type(opened: Opened, pixels: Pixels) -> None:
    """Refuse one-bit and complex pixels, and those that are not finite."""
    kind = pixels.dtype.kind
    if kind == "b" or opened.layout.dtype.kind == "b":
        raise opened.refuse(
            "1 bit per pixel, which is a mask and no image",
            "an image of at least 8 bits",
            "Are the folders of images and masks exchanged?",
        )
    if kind not in "iuf":
        raise opened.refuse(f"pixels of type {pixels.dtype}", "integers or real numbers")
    if kind != "f":
        return
    bad = ~np.isfinite(pixels)
    if bad.any():
        *_, row, column = (int(index) for index in np.argwhere(bad)[0])
        raise opened.refuse(
            f"{int(bad.sum())} pixels are NaN or infinite, the first at row {row}, column {column}",
            "numbers",
            "Repeat the step that made them, or replace them by the background.",
        )


def plain_type(opened: Opened, pixels: Pixels) -> Pixels:
    """The same values as uint8, uint16 or float32; refuses what does not fit one of them."""
    if pixels.dtype.kind == "f":
        with np.errstate(over="ignore"):
            single = pixels.astype(np.float32)
        if not np.isfinite(single).all():
            largest = f"values up to {np.abs(pixels).max():.3g}"
            raise opened.refuse(largest, "values that fit 32-bit float", "Divide them.")
        return single
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > np.iinfo(np.uint16).max:
        raise opened.refuse(
            f"{pixels.dtype} values from {low} to {high}",
            "integers from 0 to 65535, or float",
            "Save it as 16-bit unsigned or as 32-bit float.",
        )
    return pixels.astype(np.uint8 if pixels.dtype == np.int8 else np.uint16)


def bit_depth_of(opened: Opened, pixels: Pixels, declared: int | None) -> int:
    """Bits in use: declared, else as the file's metadata says, else those of the pixel's type.

    Never guessed from the brightest pixel: a dim 12-bit image would pass for 10 bits.
    """
    if pixels.dtype.kind == "f":
        return 32
    container = 8 * pixels.dtype.itemsize
    highest = int(pixels.max())
    if declared is None:
        stated = opened.layout.significant_bits
        # A statement that the pixels contradict is ignored.
        return stated if stated and stated <= container and highest < 2**stated else container
    if declared > container:
        what = f"{container} bits per pixel"
        raise opened.refuse(what, f"{declared}, as declared", "Correct --bit-depth.")
    if highest >= 2**declared:
        expected = f"at most {2**declared - 1} for the declared {declared} bits"
        raise opened.refuse(f"a pixel of {highest}", expected, "Correct --bit-depth.")
    return declared
