"""Small valid files of every kind, as bytes, for tests that damage them."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import tifffile
from PIL import Image
from roifile import ImagejRoi

RNG_SEED = 7


def picture(height: int = 20, width: int = 30, dtype: str = "uint8") -> np.ndarray:
    """Pixels that no row, column or transposition of repeats."""
    rng = np.random.default_rng(RNG_SEED)
    if dtype.startswith("float"):
        return rng.normal(100, 30, (height, width)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, (height, width), dtype=dtype, endpoint=True)


def two_granules(height: int = 20, width: int = 30) -> np.ndarray:
    """Two squares of 3 x 3 pixels, labels 1 and 2."""
    labels = np.zeros((height, width), dtype=np.uint8)
    labels[2:5, 2:5], labels[10:13, 20:23] = 1, 2
    return labels


def encoded(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def roi(left: int = 2, top: int = 2) -> bytes:
    corners = np.array([(left, top), (left + 3, top), (left + 3, top + 3), (left, top + 3)])
    return ImagejRoi.frompoints(corners, name="a").tobytes()


def roi_zip(*entries: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries or (("a.roi", roi()), ("b.roi", roi(10, 10))):
            archive.writestr(name, content)
    return buffer.getvalue()


def valid_files() -> dict[str, bytes]:
    """One file of each kind under a name with its proper ending."""
    gray, deep = picture(), picture(dtype="uint16")
    rgb = np.zeros((20, 30, 3), dtype=np.uint8)
    rgb[..., 1] = gray
    mask = two_granules() * np.uint8(127)
    stack = np.stack([deep, deep // 2])
    return {
        "gray.png": encoded(gray, "PNG"),
        "deep.png": encoded(deep, "PNG"),
        "rgb.png": encoded(rgb, "PNG"),
        "palette.png": encoded(np.asarray(Image.fromarray(mask).convert("P")), "PNG"),
        "gray.bmp": encoded(gray, "BMP"),
        "rgb.bmp": encoded(rgb, "BMP"),
        "gray.jpg": encoded(gray, "JPEG"),
        "rgb.jpg": encoded(rgb, "JPEG", progressive=True),
        "gray.tif": tiff(gray),
        "float.tif": tiff(picture(dtype="float32")),
        "lzw.tif": tiff(deep, compression="lzw", tile=(16, 16)),
        "zlib.tif": tiff(deep, compression="zlib", predictor=True, rowsperstrip=4),
        "imagej.tif": tiff(stack, imagej=True, metadata={"axes": "CYX", "unit": "um"}),
        "two.ome.tif": tiff(stack, metadata={"axes": "CYX", "Channel": {"Name": ["a", "b"]}}),
        "one.roi": roi(),
        "two.zip": roi_zip(),
    }
