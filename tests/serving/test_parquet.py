"""Parquet bodies to images, and those that are made to do harm."""

from __future__ import annotations

import contextlib
import io
import random
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sgseg.errors import InputError
from sgseg.serving.options import Options
from sgseg.serving.parquet import ParquetReader
from sgseg.serving.request import MAX_IMAGES, Asked

CONTENT = bytes(range(256))
read = ParquetReader()


def body(table: dict[str, Any] | pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    table = table if isinstance(table, pa.Table) else pa.table(table)
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("use_dictionary", [True, False])
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
def test_images_and_options(compression: str, use_dictionary: bool, kind: pa.DataType) -> None:
    table = {
        "image": pa.array([CONTENT, b"", None], kind),
        "pixel_size_um": [0.1, None, None],
        "min_area_px": [None, 5, 0],
        "channel": ["1", "G3BP1", None],
    }
    content = body(table, compression=compression, use_dictionary=use_dictionary)
    first, second, third = read(content).images
    assert first == Asked(CONTENT, Options(pixel_size_um=0.1, channel=1))
    assert second == Asked(b"", Options(min_area_px=5, channel="G3BP1"))
    assert third == "image: got None; expected an image file as base64 text"


def test_as_pandas_writes_it() -> None:
    frame = pd.DataFrame({"image": [CONTENT, CONTENT], "threshold": [0.5, float("nan")]})
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    first, second = read(buffer.getvalue()).images
    assert first == Asked(CONTENT, Options(threshold=0.5))
    assert second == Asked(CONTENT, Options())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"", "no Parquet"),
        (b"PAR1PAR1", "no Parquet"),
        (b"PAR1" + b"\xff" * 100 + b"PAR1", "no Parquet"),
        (body({"image": pa.array([], pa.binary())}), "0 rows"),
        (body({"image": [b"x"] * (MAX_IMAGES + 1)}), f"{MAX_IMAGES + 1} rows"),
        (body({"image": [b"x" * 1000] * 1_000_000}), "1000000 rows"),
        (body({"image": [[b"x"]]}), "nested"),
        (body({"image": [{"a": b"x"}]}), "nested"),
        (body({"image": ["text"]}), "column image is"),
        (body({"image": [3]}), "column image is int64"),
        (body({"x": [b""]}), "one named image"),
        (body({f"x{i}": [1] for i in range(101)}), "101 columns"),
    ],
)
def test_a_body_that_cannot_be_used(wrong: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read(wrong)


def test_a_repeated_image_is_kept_once() -> None:
    content = body({"image": [b"x" * 1_000_000] * MAX_IMAGES}, compression="none")
    assert len(content) < 1_100_000
    images = read(content).images
    assert len({id(asked.content) for asked in images if isinstance(asked, Asked)}) == 1


def test_a_bomb_is_refused() -> None:
    # 51 times 10 MB of (almost) nothing but zeros in a few kB.
    schema, buffer = pa.schema({"image": pa.binary()}), io.BytesIO()
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": False}
    with pq.ParquetWriter(buffer, schema, write_statistics=False, **options) as writer:
        for number in range(51):
            content = bytes([number]) + bytes(9_999_999)
            writer.write_table(pa.table({"image": pa.array([content], pa.binary())}, schema))
    assert buffer.tell() < 100_000
    with pytest.raises(InputError, match="images of 510,000,000 bytes"):
        read(buffer.getvalue())


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_are_read_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    whole = body({"image": [CONTENT, b"abc"], "threshold": [0.5, None]})
    for _ in range(250):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        cut = rng.randrange(len(damaged)) if rng.random() < 0.2 else len(damaged)
        with contextlib.suppress(InputError):
            assert read(bytes(damaged[:cut])).images
    assert read(whole).images[0] == Asked(CONTENT, Options(threshold=0.5))
