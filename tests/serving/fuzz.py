"""Bodies that nobody should send: damaged, hostile, or of another kind altogether."""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from examples import draw_field
from numpy.typing import NDArray

JSON, PARQUET = "application/json", "application/vnd.apache.parquet"
FIELD = draw_field([(10, 10)])[0]


Case = tuple[bytes, dict[str, Any]]
"""An image file, and params that fit it."""


def bodies(n: int, seed: int = 0, *, large_every: int = 80) -> Iterator[tuple[str | None, bytes]]:
    """`n` pairs of content type and body, a few of which can be answered."""
    rng = random.Random(seed)
    images: list[Case] = [*((image, {}) for image in image_files()), *several_planes()]
    large = list(islice(large_images(), -(-n // large_every)))
    for number in range(n):
        if number % large_every == 0:
            # As they are, or they would hardly ever be decoded.
            yield JSON, good_body(*large[number // large_every % len(large)])
            continue
        if rng.random() < 0.02:
            yield JSON, many_keys(rng)
            continue
        image, params = rng.choice(images)
        if params and rng.random() < 0.5:
            yield JSON, good_body(damaged(image, rng) if rng.random() < 0.5 else image, params)
            continue
        if rng.random() < 0.7:
            image = damaged(image, rng)
        kind = rng.choices([JSON, PARQUET, "other"], [6, 3, 1])[0]
        if kind == JSON:
            body = json_body(image, rng)
        elif kind == PARQUET:
            body = parquet_body(image, rng)
        else:
            body = image
            kind = rng.choice(["", "text/csv", "image/png", "application/json; charset=x", ";;"])
        if rng.random() < 0.3:
            body = damaged(body, rng)
        yield kind or None, body


def image_files() -> Iterator[bytes]:
    """Small images of each kind, and some that promise far more than they hold."""
    eight = (FIELD >> 2).astype(np.uint8)
    yield bytes(imagecodecs.png_encode(FIELD))
    yield bytes(imagecodecs.png_encode(np.stack([eight] * 3, axis=-1)))
    yield bytes(imagecodecs.jpeg_encode(eight))
    for options in ({}, {"compression": "zlib"}, {"compression": "lzw"}, {"imagej": True}):
        yield tiff(FIELD, **options)
    for pixels in (FIELD.astype(np.float32), np.stack([FIELD] * 3), FIELD.astype(np.int64)):
        yield tiff(pixels)
    yield tiff(np.full((8, 8), np.nan, np.float32))
    yield tiff(np.full((8, 8), np.inf, np.float32))
    yield png_bomb(30_000)
    yield png_bomb(2_000_000_000)
    yield tiff(np.zeros((1, 1), np.uint16))
    yield b""


def several_planes() -> Iterator[Case]:
    """Small images of several planes, and how to read them."""
    stack = np.stack([FIELD] * 5)
    samples = np.ascontiguousarray(stack.transpose(1, 2, 0))
    eight = (FIELD >> 2).astype(np.uint8)
    for options in ({}, {"compression": "zlib"}):
        gray = {"photometric": "minisblack", **options}
        yield tiff(stack, metadata=None, **gray), {"channel": 3}
        yield tiff(stack, metadata=None, **gray), {"projection": "max"}
        yield tiff(samples, planarconfig="contig", **gray), {"channel": 4}
    yield bytes(imagecodecs.png_encode(np.dstack([eight, eight, eight // 2]))), {"channel": "green"}
    yield tiff(stack, imagej=True, metadata={"axes": "ZYX"}), {"projection": "median"}


def large_images() -> Iterator[Case]:
    """Images of few bytes that take what they may, and more, and those with many granules."""
    gray: dict[str, Any] = {"compression": "zlib", "photometric": "minisblack"}
    green = np.zeros((5_700, 5_700, 3), np.uint8)  # 97 million values
    green[1_000:2_000, 1_000:2_000, 1] = 200
    yield bytes(imagecodecs.png_encode(green)), {}
    pages = np.zeros((40, 1_500, 1_500), np.uint8)
    yield tiff(pages, metadata=None, **gray), {"channel": 7}
    samples = np.zeros((1_500, 1_500, 60), np.uint8)  # 135 million values
    yield tiff(samples, planarconfig="contig", **gray), {"channel": 7}
    too_much = np.zeros((6_000, 6_000, 3), np.uint8)  # 108 million values
    yield bytes(imagecodecs.png_encode(too_much)), {"channel": "green"}
    yield bytes(imagecodecs.png_encode(dots(250))), {"returns": "granules"}
    # A mask can number 65,535; these are 90,000.
    yield bytes(imagecodecs.png_encode(dots(300))), {"returns": "granules"}
    yield bytes(imagecodecs.png_encode(dots(150))), {"returns": "granules,rois,maps"}
    yield tiff(np.zeros((9_000, 9_000), np.uint8), **gray), {}
    veiled = np.full((5_000, 5_000, 4), 255, np.uint8)
    yield bytes(imagecodecs.png_encode(veiled)), {"returns": "maps"}
    yield tiff(samples[:, :, :40], planarconfig="contig", **gray), {"channel": 7}
    yield tiff(pages, metadata=None, **gray), {"projection": "median"}


def dots(n: int) -> NDArray[np.uint16]:
    """`n` x `n` granules of 2 x 2 px in a cell."""
    field = np.full((4 * n, 4 * n), 300, np.uint16)
    for row, column in ((1, 1), (1, 2), (2, 1), (2, 2)):
        field[row::4, column::4] = 700
    return np.pad(field, ((0, 0), (0, 4 * n)), constant_values=100)


def good_body(image: bytes, params: dict[str, Any]) -> bytes:
    """A table with one image, and params."""
    text = base64.b64encode(image).decode()
    table = {"columns": ["image"], "data": [[text]]}
    return json.dumps({"dataframe_split": table, "params": params}).encode()


def many_keys(rng: random.Random) -> bytes:
    """Records that would be a table of many million cells."""
    keys = [f"x{number}" for number in range(rng.choice([1, 3_000]))]
    rows = [dict.fromkeys(keys, 1), *[{}] * rng.choice([200, 200_000])]
    return json.dumps({"dataframe_records": rows}).encode()


def tiff(pixels: Any, **options: Any) -> bytes:
    """A TIFF file."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def png_bomb(side: int) -> bytes:
    """A PNG of a few kB whose header promises `side` x `side` pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        total = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", total)

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(3_000_000), 9)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, the end cut off, or something put in."""
    changed = bytearray(content)
    way = rng.randrange(4)
    if way == 0:
        return bytes(changed[: rng.randrange(len(changed) + 1)])
    if way == 1:
        place = rng.randrange(len(changed) + 1)
        return bytes(changed[:place]) + rng.randbytes(rng.randrange(50)) + bytes(changed[place:])
    for _ in range(rng.randint(1, 8) if changed else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


_ODD: list[Any] = [None, True, -1, 0, 1e308, 10**30, "", "x", "\ud800", "0", [], [[]], {}, {"a": 1}]
_NAMES = ["threshold", "min_area_px", "channel", "projection", "pixel_size_um", "returns", "x"]


def json_body(image: bytes, rng: random.Random) -> bytes:
    """A table with the image, options of any value, and something wrong with the form."""
    text = base64.b64encode(image).decode()
    rows: Any = [[rng.choice([text, text, text, *_ODD])] for _ in range(rng.choice([1, 1, 2, 0]))]
    columns: Any = ["image"]
    if rng.random() < 0.3:
        columns = [*columns, rng.choice(_NAMES)]
        rows = [[*row, rng.choice([*_ODD, 0.5, "1", "max", "rois,granules"])] for row in rows]
    form = rng.choices(
        ["dataframe_split", "dataframe_records", "inputs", "instances"], [8, 2, 1, 1]
    )[0]
    table: Any = {"columns": columns, "data": rows}
    if form == "dataframe_records":
        table = [dict(zip(columns, row, strict=True)) for row in rows]
    if rng.random() < 0.1:
        table = rng.choice(_ODD)
    content = {form: table}
    if rng.random() < 0.5:
        content["params"] = {rng.choice(_NAMES): rng.choice([*_ODD, 0.5, 1, "granules,maps"])}
    if rng.random() < 0.05:
        content["params"] = rng.choice(_ODD)
    return json.dumps(content).encode()


def parquet_body(image: bytes, rng: random.Random) -> bytes:
    """A table with the image in a Parquet file."""
    columns: dict[str, Any] = {"image": [rng.choice([image, image, None, b""])]}
    if rng.random() < 0.2:
        columns["image"] = [rng.choice([1, "text", [b"x"], 0.5])]
    if rng.random() < 0.3:
        columns[rng.choice(_NAMES)] = [rng.choice([0.5, 1, "max", None, True, b"x", [1]])]
    buffer = io.BytesIO()
    compression = rng.choice(["none", "snappy", "gzip", "zstd", "brotli"])
    pq.write_table(pa.table(columns), buffer, compression=compression)
    return buffer.getvalue()
