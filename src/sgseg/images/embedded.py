"""Pictures inside a TIFF, such as JPEG: they state a size of their own, which a decoder believes.

A small file can so ask for gigabytes that the TIFF's own header does not promise. Plain compression
(LZW, deflate ...) cannot: its decoders are told how much to expect.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Jpeg2KImagePlugin, JpegImagePlugin
from PIL.ImageFile import ImageFile
from tifffile import COMPRESSION

PLAIN = {
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
    COMPRESSION.LZMA,
    COMPRESSION.ZSTD,
    COMPRESSION.CCITTRLE,
    COMPRESSION.CCITTFAX3,
    COMPRESSION.CCITTFAX4,
}
PICTURES: dict[int, type[ImageFile]] = {
    COMPRESSION.JPEG: JpegImagePlugin.JpegImageFile,
    COMPRESSION.JPEG2000: Jpeg2KImagePlugin.Jpeg2KImageFile,
    COMPRESSION.JPEG_2000_LOSSY: Jpeg2KImagePlugin.Jpeg2KImageFile,
    COMPRESSION.APERIO_JP2000_YCBC: Jpeg2KImagePlugin.Jpeg2KImageFile,
    COMPRESSION.APERIO_JP2000_RGB: Jpeg2KImagePlugin.Jpeg2KImageFile,
}
# Encoders pad to whole blocks, and a last strip may be stored as tall as the others.
_SLACK = 2


def size_of(compression: int, content: bytes) -> tuple[int, int]:
    """Height and width that a picture states; only its header is read."""
    width, height = PICTURES[compression](BytesIO(content)).size
    return height, width


def is_larger(stated: tuple[int, int], expected: tuple[int, int]) -> bool:
    """Whether a picture claims far more pixels than its place in the TIFF has."""
    return stated[0] * stated[1] > _SLACK * max(expected[0], 64) * max(expected[1], 64)
