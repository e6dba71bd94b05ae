"""Files made to do harm, and those that once crashed a reader: each is refused by name."""

from __future__ import annotations

import io
import json
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from examples import write_pointwise_network
from images.examples import encoded, picture, roi, roi_zip, tiff
from roifile import ROI_TYPE, ImagejRoi
from tifffile import TiffFile

from sgseg.config import load_params
from sgseg.config.yaml_file import read_mapping
from sgseg.dataset.raw import read_settings
from sgseg.errors import InputError
from sgseg.images import rois
from sgseg.images.masks import read_mask
from sgseg.images.read import read_image
from sgseg.images.rois import read_rois
from sgseg.inference.bundle import read_spec
from sgseg.inference.network import OnnxFile

from . import corpus

SHAPE = (20, 30)
PIXELS = "<Pixels DimensionOrder='XYZCT' SizeX='30' SizeY='20' SizeZ='{}' SizeC='1' SizeT='{}'"
PIXELS += " Type='uint16'><TiffData/></Pixels>"


def refused(tmp_path: Path, content: bytes, said: str, **options: object) -> None:
    """An image is refused, by the file's name, in a few megabytes and no time."""
    path = tmp_path / "hostile.tif"
    path.write_bytes(content)
    begin = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=said) as caught:
            read_image(path, **options)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert most < 50e6
    assert time.process_time() - begin < 5


# --- pictures


def test_a_png_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        total = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", total)

    header = struct.pack(">IIBBBBB", 19_000, 19_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999)))
    refused(tmp_path, bomb + chunk(b"IEND", b""), "promises 19000 x 19000 pixels")


def test_a_png_whose_comment_is_a_bomb(tmp_path: Path) -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + text))
    whole = encoded(picture(), "PNG")
    refused(tmp_path, whole[:33] + chunk + whole[33:], "cannot be read as PNG")


@pytest.mark.parametrize("rows", [2**31, 2**24])
def test_a_tile_larger_than_any(tmp_path: Path, rows: int) -> None:
    """16 x 2**31 values of two bytes are 69 GB, and the decoder asked for them."""
    content = bytearray(
        tiff(picture(64, 64, "uint16"), compression="lzw", tile=(16, 16), metadata=None)
    )
    place = content.index(struct.pack("<HHI", 323, 4, 1))  # TileLength
    struct.pack_into("<HHII", content, place, 323, 4, 1, rows)
    refused(tmp_path, bytes(content), "tiles or strips of")


@pytest.mark.parametrize("lead", [0, 1, 150])
@pytest.mark.parametrize("big", [False, True])
def test_pages_that_follow_each_other_in_a_circle(tmp_path: Path, lead: int, big: bool) -> None:
    """A file of 1 kB that was read for ever."""
    content = bytearray(
        tiff(
            np.zeros((lead + 2, 4, 4), np.uint8),
            metadata=None,
            bigtiff=big,
            photometric="minisblack",
        )
    )
    with TiffFile(io.BytesIO(content)) as file:
        last = file.pages[lead + 1]
        end = last.offset + file.tiff.tagnosize + len(last.tags) * file.tiff.tagsize
        struct.pack_into(file.tiff.offsetformat, content, end, file.pages[lead].offset)
    refused(tmp_path, bytes(content), f"page {lead + 2} is followed by an earlier one")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("n", [3, 1_000, 100_000])
def test_a_page_of_many_smaller_images(tmp_path: Path, order: str, big: bool, n: int) -> None:
    """400 kB that took 6 GB: a page whose SubIFDs are itself, once for each of them."""
    space = "xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'"
    text = f"<?xml version='1.0'?><OME {space}><Image>{PIXELS.format(1, 1)}</Image></OME>"
    content = bytearray(
        tiff(
            picture(dtype="uint16"),
            description=text,
            metadata=None,
            bigtiff=big,
            byteorder=order,
            photometric="minisblack",
            extratags=[(65_000, 13, n, [0] * n, True)],
        )
    )
    with TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        tag = page.tags[65_000]
        # A type of four bytes: its values are addresses of this very page.
        struct.pack_into(f"{order}{n}I", content, tag.valueoffset, *[page.offset] * n)
        struct.pack_into(f"{order}H", content, tag.offset, 330)
    if n > 1_000:
        refused(tmp_path, bytes(content), f"page 1 has {n:,} smaller images")
    else:
        path = tmp_path / "pyramid.tif"
        path.write_bytes(content)
        assert np.array_equal(read_image(path).pixels, picture(dtype="uint16"))


def test_many_pages_of_nothing(tmp_path: Path) -> None:
    """Directories without an entry: 600 kB of 100,000 pages."""
    content = bytearray(tiff(picture(dtype="uint16"), metadata=None))
    content += bytes(len(content) % 2)
    (first,) = struct.unpack_from("<I", content, 4)
    (tags,) = struct.unpack_from("<H", content, first)
    begin, n = len(content), 100_000
    struct.pack_into("<I", content, first + 2 + 12 * tags, begin)
    for number in range(1, n + 1):
        content += struct.pack("<HI", 0, begin + 6 * number if number < n else 0)
    path = tmp_path / "pages.tif"
    path.write_bytes(content)
    begun = time.process_time()
    assert np.array_equal(read_image(path).pixels, picture(dtype="uint16"))
    assert time.process_time() - begun < 10


def test_a_plane_of_many_channels_is_told_in_short(tmp_path: Path) -> None:
    planes = np.zeros((300, 4, 4), np.uint8)
    content = tiff(planes, imagej=True, metadata={"axes": "CYX"})
    refused(tmp_path, content, r"300 channels \(0, 1, .*39, \.\.\.\)")


@pytest.mark.parametrize("arrangement", [0, 2, 7])
def test_planes_that_are_not_stored(tmp_path: Path, arrangement: int) -> None:
    """One strip where three belong: the other pixels were what happened to lie in memory."""
    rgb = np.dstack([picture()] * 3)
    content = bytearray(tiff(rgb, compression="jpeg", metadata=None))
    place = content.index(struct.pack("<HHII", 284, 3, 1, 1))  # PlanarConfiguration
    struct.pack_into("<HHII", content, place, 284, 3, 1, arrangement)
    refused(tmp_path, bytes(content), "1 tiles or strips of 3", channel=0)


# --- metadata


def ome(inner: str, document: str = "") -> bytes:
    space = "xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'"
    text = f"<?xml version='1.0'?>{document}<OME {space}>{inner}</OME>"
    stack = np.stack([picture(dtype="uint16")] * 2)
    return tiff(stack, description=text, photometric="minisblack", metadata=None)


def test_entities_in_ome_xml(tmp_path: Path) -> None:
    document = "<!DOCTYPE OME [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]>"
    refused(tmp_path, ome("<Image Name='&b;'/>", document), "entities of its own")


def test_an_entity_that_is_another_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    document = f"<!DOCTYPE OME [<!ENTITY a SYSTEM 'file://{tmp_path}/secret'>]>"
    refused(tmp_path, ome("<Image Name='&a;'/>", document), "entities of its own")


def test_ome_xml_that_promises_many_planes(tmp_path: Path) -> None:
    image = f"<Image>{PIXELS.format(2_000_000_000, 2)}</Image>"
    refused(tmp_path, ome(image), "promises more than 1,000,000 planes")


@pytest.mark.parametrize("step", ["1e-8", "0", "nan"])
def test_an_axis_in_ome_xml_of_many_steps(tmp_path: Path, step: str) -> None:
    """2 / 1e-8 numbers were listed, 1.6 GB; a thousand times as many are as easy to write."""
    along = f"<ModuloAlongZ Type='angle' Start='0' End='2' Step='{step}'/>"
    modulo = f"<XMLAnnotation ID='A' Namespace='x/modulo'><Value><Modulo>{along}</Modulo></Value>"
    notes = f"<StructuredAnnotations>{modulo}</XMLAnnotation></StructuredAnnotations>"
    image = f"<Image><AnnotationRef ID='A'/>{PIXELS.format(2, 1)}</Image>"
    refused(tmp_path, ome(notes + image), "more steps than there can be planes")


def micromanager(**summary: object) -> bytes:
    """The stack of the corpus with other words in its header, of the same length."""
    content = corpus.micromanager()
    begin = content.index(b'{"Micro')
    (length,) = struct.unpack_from("<I", content, begin - 4)
    text = json.dumps({"MicroManagerVersion": "2", "Frames": 1} | summary).encode()
    assert len(text) <= length
    return content[:begin] + text.ljust(length) + content[begin + length :]


def test_micromanager_that_promises_many_planes(tmp_path: Path) -> None:
    refused(tmp_path, micromanager(Frames=2_000_000_000), "promises more than 1,000,000 planes")


@pytest.mark.parametrize("prefix", ["a", "../other/a"])
def test_micromanager_that_names_other_files(tmp_path: Path, prefix: str) -> None:
    """Files beside it, or anywhere by a prefix with `..`, were opened and became planes."""
    folder = tmp_path / "here"
    folder.mkdir()
    path = folder / "a_MMStack.tif"
    path.write_bytes(micromanager(Prefix=prefix, Frames=2))
    other = (folder / prefix).resolve()
    other.parent.mkdir(exist_ok=True)
    stolen = other.with_name(f"{other.name}_MMStack_1.tif")
    stolen.write_bytes(b"not to be opened")
    opened: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glob.glob", lambda pattern: opened.append(pattern) or [str(stolen)])
        pixels = read_image(path).pixels
    assert opened == []
    assert np.array_equal(pixels, picture(dtype="uint16"))


# --- outlines


def test_a_zip_with_paths_that_lead_out(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.zip"
    path.parent.mkdir()
    path.write_bytes(roi_zip(("../../evil.roi", roi()), ("/etc/evil.roi", roi(10, 10))))
    before = sorted(tmp_path.rglob("*"))
    assert read_rois(path, SHAPE).max() == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rois, "MAX_BYTES", 1_000_000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", bytes(1_100_000))
    path = tmp_path / "a.zip"
    path.write_bytes(buffer.getvalue())
    assert path.stat().st_size < 3_000
    with pytest.raises(InputError, match="more than 1,000,000 bytes of outlines"):
        read_rois(path, SHAPE)


def composite(*path: float) -> bytes:
    found = ImagejRoi(roitype=ROI_TYPE.RECT, top=0, left=0, bottom=9, right=9, name="c")
    found.multi_coordinates = np.array(path, dtype=np.float32)
    found.shape_roi_size = len(path)
    return bytes(found.tobytes())


@pytest.mark.parametrize(
    "path", [(0, 0), (0, 0, 0, 1, 5), (7, 0, 0), (-1e38, 0, 0), (float("nan"), 1, 1)]
)
def test_a_composite_outline_that_is_cut_off(tmp_path: Path, path: tuple[float, ...]) -> None:
    """Once an IndexError or a RuntimeError of the library that reads them."""
    file = tmp_path / "a.roi"
    file.write_bytes(composite(*path))
    with pytest.raises(InputError, match=r"a\.roi"):
        read_rois(file, SHAPE)


def test_an_outline_that_crosses_rows_without_end(tmp_path: Path) -> None:
    """A zip of some kB that would have taken an hour."""
    zigzag = [0.0, 0.0, 0.0] + [1.0, 9.0, 3_000.0, 1.0, 0.0, 0.0] * 30_000
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", composite(*zigzag))
    path = tmp_path / "a.zip"
    path.write_bytes(buffer.getvalue())
    assert path.stat().st_size < 20_000
    begin = time.process_time()
    with pytest.raises(InputError, match="its lines cross rows"):
        read_rois(path, (3_000, 40))
    assert time.process_time() - begin < 10


def test_outlines_that_cover_the_image_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rois, "MIN_COVERED_PX", 0)
    box = ImagejRoi(roitype=ROI_TYPE.RECT, top=0, left=0, bottom=20, right=30).tobytes()
    path = tmp_path / "a.zip"
    path.write_bytes(roi_zip(*((f"{n}.roi", box) for n in range(rois.MAX_COVERED + 1))))
    with pytest.raises(InputError, match="cover the image more than 200 times"):
        read_rois(path, SHAPE)


def test_half_precision_is_a_mask_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    labels = np.zeros(SHAPE, np.float16)
    labels[3:5, 3:5] = 1
    path.write_bytes(tiff(labels))
    with np.errstate(all="raise"):
        assert read_mask(path).labels.sum() == 4


# --- YAML and JSON

# Each of these once ended with a stack trace, or in endless memory.
BAD_YAML = {
    "a day that is none": (b"a: 2001-99-99\n", "month must be in"),
    "many digits": (b"a: " + b"9" * 5_000, "digits"),
    "a tag with no such value": (b"a: !!int x\n", "invalid literal"),
    "a time that is none": (b"a: !!timestamp x\n", "not YAML"),
    "deep": (b"[" * 1_500, "nested too deeply"),
    "an object": (b"a: !!python/object/apply:os.system ['true']\n", "could not determine"),
    "itself": (b"&a {b: *a}\n", "a reference to itself in line 1"),
    "laughs": (
        b"a0: &a0 [x]\n"
        + b"".join(
            b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 20)
        ),
        "counting those that references repeat",
    ),
    "large": (b"#" * 1_000_001, "1,000,001 bytes"),
    "no text": (b"\xff\xfe\xff", "not YAML"),
    "half of a character": (b'{a: b, "\\ud800": c}\n', "half of a character in line 1"),
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_yaml(tmp_path: Path, name: str) -> None:
    content, said = BAD_YAML[name]
    for file in ("params.yaml", "dataset.yaml"):
        (tmp_path / file).write_bytes(content)
    for read in (
        lambda: read_mapping(tmp_path / "params.yaml", expected="a mapping"),
        lambda: load_params(tmp_path / "params.yaml"),
        lambda: read_settings(tmp_path),
    ):
        with pytest.raises(InputError, match=said) as caught:
            read()
        assert len(str(caught.value)) < 1_000


def test_references_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n", encoding="utf-8")
    found = read_mapping(path, expected="a mapping")
    assert found == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


def test_a_folder_is_no_parameter_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_params(tmp_path)


def test_a_key_called_like_an_argument(tmp_path: Path) -> None:
    """`where:` was taken for an argument of the function that checks the others."""
    (tmp_path / "dataset.yaml").write_text("name: a\nwhere: x\n", encoding="utf-8")
    with pytest.raises(InputError, match="where: unknown key"):
        read_settings(tmp_path)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e999", "NaN", "-1" + "0" * 400])
def test_a_number_in_a_bundle_beyond_all(tmp_path: Path, number: str) -> None:
    text = corpus.descriptions()[0].decode().replace('"threshold": 0.5', f'"threshold": {number}')
    (tmp_path / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="threshold: got"):
        read_spec(tmp_path)


def test_a_bundle_nested_too_deeply(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(InputError, match="nested too deeply"):
        read_spec(tmp_path)


def test_a_network_whose_weights_are_another_file(tmp_path: Path) -> None:
    """ONNX lets weights lie elsewhere; those of a bundle may not lie outside of it."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    write_pointwise_network(folder / "model.onnx")
    model = onnx.load(folder / "model.onnx")
    weights = model.graph.initializer[0]
    (tmp_path / "secret").write_bytes(bytes(64))
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.ClearField("raw_data")
    weights.ClearField("float_data")
    weights.external_data.add(key="location", value="../secret")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="cannot load it"):
        OnnxFile(folder / "model.onnx", threads=1)
