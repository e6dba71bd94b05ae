"""Images from memory: the same pixels and the same refusals as from a file, under a given name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sgseg.errors import InputError
from sgseg.images.read import read_image
from sgseg.images.source import InMemory, LoneFile, byte_count

from .examples import encoded, picture, tiff


@pytest.mark.parametrize("kind", ["PNG", "BMP", "plain TIFF", "compressed TIFF", "tiled TIFF"])
def test_pixels_are_those_of_the_file(kind: str) -> None:
    pixels = picture()
    content = {
        "PNG": lambda: encoded(pixels, "PNG"),
        "BMP": lambda: encoded(pixels, "BMP"),
        "plain TIFF": lambda: tiff(pixels),
        "compressed TIFF": lambda: tiff(pixels, compression="zlib", predictor=True),
        "tiled TIFF": lambda: tiff(pixels, tile=(16, 16)),
    }[kind]()
    image = read_image(content)
    assert np.array_equal(image.pixels, pixels)
    # Or a request's bytes would be kept as long as its image.
    assert not np.shares_memory(image.pixels, np.frombuffer(content, np.uint8))


def test_one_channel_of_a_stack_with_its_pixel_size() -> None:
    stack = np.stack([picture(dtype="uint16"), picture(dtype="uint16") // 2])
    content = tiff(
        stack, imagej=True, metadata={"axes": "CYX", "unit": "um"}, resolution=(10.0, 10.0)
    )
    image = read_image(content, channel=1)
    assert np.array_equal(image.pixels, stack[1])
    assert image.pixel_size_um == pytest.approx(0.1)


def test_refusals_call_bytes_by_the_name_given() -> None:
    for content, said in (
        (b"", "row 3: empty file"),
        (b"no image", "row 3: no image"),
        (tiff(picture())[:300], "row 3: truncated"),
        (encoded(picture(), "PNG")[:-60], "row 3: cannot be read as PNG"),
    ):
        with pytest.raises(InputError, match=said):
            read_image(content, name="row 3")
    with pytest.raises(InputError, match="image: empty file"):
        read_image(b"")


def test_a_source_knows_its_size_and_hides_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    memory = InMemory(b"123", "name")
    assert byte_count(tmp_path / "a") == 5
    assert byte_count(memory) == 3
    assert "123" not in repr(memory)


def test_a_file_is_read_to_its_end_at_most(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"0123456789")
    with LoneFile(path) as file:
        # Nobody has the memory that this asks for.
        assert file.read(2**62) == b"0123456789"
        assert file.read(5) == b""
        file.seek(3)
        assert (file.read(2), file.read(), file.read(-1)) == (b"34", b"56789", b"")
