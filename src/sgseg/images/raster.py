"""PNG, JPEG and BMP: header and pixels exactly as stored, turned by no orientation tag."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin
from PIL.ImageFile import ImageFile

from sgseg.errors import InputError, Problem
from sgseg.images import colour
from sgseg.images.calibration import believable
from sgseg.images.planes import DAMAGED, Layout, Opened, Pixels, check_size, decoding
from sgseg.images.source import Source, byte_count

SIGNATURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP"}

# The classes, not Image.open: that applies Pillow's own limit on pixels, a global variable that can
# only be changed for the whole process. Ours is applied to the header before anything is decoded.
_READERS: dict[str, type[ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
# Pixels that one byte of a file can stand for at the very most (deflate: 1032 bytes of 8 pixels;
# blank JPEG: below 400). A header that promises more was not followed by its pixels.
_PIXELS_PER_BYTE = {"PNG": 10_000, "JPEG": 2_000, "BMP": 2_000}
_PNG_DEPTH, _PNG_COLOUR = 24, 25
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}
_MODE_CHANNELS = {"1": 1, "L": 1, "P": 3, "RGB": 3, "RGBA": 3}


@contextmanager
def open_raster(path: Source, kind: str, max_pixels: int) -> Iterator[Opened]:
    """Open a PNG, JPEG or BMP; only the header is read until `load` is called."""
    with path.open("rb") as file:
        with decoding(path, kind):
            image = _READERS[kind](file, str(path))
        layout = _png_layout(path, file, image) if kind == "PNG" else _layout(path, kind, image)
        check_size(path, layout, planes=1, max_pixels=max_pixels)
        size = byte_count(path)
        if layout.height * layout.width > size * _PIXELS_PER_BYTE[kind]:
            promised = f"promises {layout.width} x {layout.height} pixels in {size} bytes"
            raise InputError(Problem(str(path), promised, remedy=DAMAGED))

        def load(channel: int | None) -> Pixels:
            with decoding(path, kind):
                if kind == "PNG":
                    file.seek(0)
                    pixels = imagecodecs.png_decode(file.read())
                elif image.mode == "P":
                    pixels = np.asarray(image.convert("RGB"))
                else:
                    pixels = np.asarray(image)
                planes = pixels[..., None] if pixels.ndim == 2 else pixels
                planes = np.moveaxis(planes, -1, 0)[:, None]
            return planes if channel is None else planes[channel : channel + 1]

        every = layout.channels + layout.alpha
        yield Opened(path, layout, load, lambda _: every)


def _png_layout(path: Source, file: BinaryIO, image: ImageFile) -> Layout:
    # Pillow reduces 16-bit colour to 8 bits, so pixels come from libpng, and so does their type.
    file.seek(0)
    header = file.read(_PNG_COLOUR + 1)
    depth, kind = header[_PNG_DEPTH], header[_PNG_COLOUR]
    if kind not in _PNG_CHANNELS:
        raise InputError(Problem(str(path), f"PNG colour type {kind}", remedy=DAMAGED))
    channels = _PNG_CHANNELS[kind]
    dtype: Any = np.uint16 if depth == 16 else np.uint8
    if depth == 1 and kind == 0:
        dtype = np.bool_
    return Layout(
        "PNG",
        image.height,
        image.width,
        np.dtype(dtype),
        channels=channels,
        colour=channels == 3,
        alpha=kind in {4, 6} or "transparency" in image.info,
        names=colour.NAMES if channels == 3 else ("",),
        pixel_size=_pixel_size(image),
    )


def _layout(path: Source, kind: str, image: ImageFile) -> Layout:
    if image.mode not in _MODE_CHANNELS:
        what = f"colour model {image.mode}"
        expected = "gray or red-green-blue"
        remedy = "Convert it to RGB, or better export it from the microscope's own file as TIFF."
        raise InputError(Problem(str(path), what, expected, remedy))
    channels = _MODE_CHANNELS[image.mode]
    return Layout(
        kind,
        image.height,
        image.width,
        np.dtype(np.bool_ if image.mode == "1" else np.uint8),
        channels=channels,
        colour=channels == 3,
        alpha=image.mode == "RGBA",
        names=colour.NAMES if channels == 3 else ("",),
        pixel_size=_pixel_size(image),
    )


def _pixel_size(image: ImageFile) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    try:
        x, y = (believable(25_400.0 / float(value)) for value in dpi or ())
    except (ValueError, TypeError, ZeroDivisionError):
        return None
    return (x, y) if x is not None and y is not None else None
