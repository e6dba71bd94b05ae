"""TIFF files that promise what they do not hold, and the fields that they point to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from sgseg.errors import InputError
from sgseg.images.read import read_image

from .examples import picture


def test_missing_strips_are_not_filled_with_black(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(), compression="zlib", rowsperstrip=5, metadata=None)
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages.first.tags["StripByteCounts"]
        counts = list(tag.value)
        place, size = tag.valueoffset, tifffile.TIFF.DATA_FORMATS[tag.dtype]
    # A count of 0 is legal (GDAL writes sparse files so) and tifffile then makes up black pixels.
    content = bytearray(path.read_bytes())
    width = np.dtype(f"<{size[-1]}").itemsize
    content[place + width : place + 2 * width] = bytes(width)
    path.write_bytes(content)
    assert tifffile.imread(path)[5:10].max() == 0
    assert len(counts) == 4
    with pytest.raises(InputError, match="truncated"):
        read_image(path)


def test_a_file_that_ome_xml_names_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = tmp_path / "mine.ome.tif", tmp_path / "other.ome.tif"
    for path in (mine, other):
        tifffile.imwrite(path, picture(), metadata={"axes": "YX"})
    xml = tifffile.tiffcomment(mine)
    foreign = '<TiffData IFD="0"><UUID FileName="other.ome.tif">urn:x</UUID></TiffData>'
    start, end = xml.index("<TiffData"), xml.index("</Pixels>")
    tifffile.tiffcomment(mine, (xml[:start] + foreign + xml[end:]).encode())
    opened: list[str] = []

    def recorded(file: object, *arguments: object, **options: object) -> object:
        opened.append(Path(str(file)).name)
        return open(file, *arguments, **options)  # type: ignore[call-overload]  # noqa: PTH123

    monkeypatch.setattr(tifffile.tifffile, "open", recorded, raising=False)
    assert np.array_equal(read_image(mine).pixels, picture())
    assert opened == []  # `read_image` opens the one itself
    tifffile.imread(mine)
    assert "other.ome.tif" in opened


def test_only_the_chosen_channel_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    pixels = np.stack([picture() // n for n in (1, 2, 3)])
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "CYX"}, compression="zlib")
    decoded = []
    asarray = tifffile.TiffPage.asarray

    def counted(page: tifffile.TiffPage, **options: object) -> np.ndarray:
        decoded.append(page.index)
        return asarray(page, **options)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", counted)
    monkeypatch.setattr(tifffile.TiffFrame, "asarray", counted)
    assert np.array_equal(read_image(path, channel=2).pixels, pixels[2])
    assert decoded == [2]


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "jpeg"},
        {"compression": "jpeg", "tile": (64, 64)},
        {"compression": "jpeg", "rowsperstrip": 16},
        {"compression": "jpeg2000"},
        {"compression": "jpeg2000", "tile": (64, 64)},
    ],
)
def test_pictures_inside_a_tiff(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(100, 131), **options)
    assert np.array_equal(read_image(path).pixels, tifffile.imread(path))


@pytest.mark.parametrize(
    ("compression", "start", "places"),
    [
        # Start of frame: length, bits, height, width. SIZ: height and width in 4 bytes each, of the
        # image and of its one tile.
        ("jpeg", b"\xff\xc0", [(5, 2), (7, 2)]),
        ("jpeg2000", b"\xff\x51", [(6, 4), (10, 4), (22, 4), (26, 4)]),
    ],
)
def test_a_picture_that_claims_more_than_its_place_in_the_tiff(
    tmp_path: Path, compression: str, start: bytes, places: list[tuple[int, int]]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(64, 64), compression=compression)
    content = bytearray(path.read_bytes())
    frame = content.index(start)
    for place, width in places:
        content[frame + place : frame + place + width] = (60_000).to_bytes(width, "big")
    with pytest.raises(InputError, match="60000 x 60000 pixels are stored where 64 x 64 belong"):
        read_image(bytes(content))


def test_a_compression_whose_decoder_has_no_bounds(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(64, 64), compression="png")
    with pytest.raises(InputError, match="pixels compressed as PNG; expected none, LZW"):
        read_image(path)
