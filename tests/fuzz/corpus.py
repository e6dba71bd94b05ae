"""Files to begin with, made here: small, valid, one of each kind that a reader tells apart."""

from __future__ import annotations

import io
import json
import struct
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import yaml
from images.examples import encoded, picture, roi, roi_zip, tiff, two_granules, valid_files
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

ROOT = Path(__file__).parents[2]
YAML_WORDS = [
    *(b"", b"~", b"null", b"true", b"-1", b"0", b"1e400", b".nan", b".inf", b"9" * 5_000, b"0x1f"),
    *(b"2001-99-99", b"2001-01-01", b"1:60:60", b"!!python/object/apply:os.system [true]"),
    *(b"!!binary x", b"!!timestamp x", b"!!set {a}", b"!!int x", b"!!float x", b"!!bool x"),
    *(b"&a [*a]", b"&a {b: *a}", b"*a", b"<<: *a", b"<<: 1", b"? [a]\n: 1", b"{", b"}", b"["),
    *(b"]", b"- ", b"|\n", b">\n", b"---\n", b"...\n", b"%YAML 9.9\n", b"\x00", b"\xff\xfe"),
    *(b"\xed\xa0\x80", b"\t", b"[" * 2_000, b"{a: " * 2_000, b"'", b'"\\ud800"', b"1_0", b"@"),
    *(
        b"name",
        b"train",
        b"tune",
        b"space",
        b"start",
        b"loss",
        b"optimizer",
        b"simulate",
        b"[1, 2]",
    ),
]
JSON_WORDS = [
    *(b"null", b"true", b"-1", b"0", b"1e400", b"NaN", b"Infinity", b"9" * 400, b"9" * 5_000),
    *(b'"\\ud800"', b'""', b"[]", b"{}", b"[" * 2_000, b'{"a":' * 2_000, b"0.5", b"1.0", b'"1"'),
    *(
        b'"members"',
        b'"format"',
        b'"threshold"',
        b'"statistics"',
        b"[null, null]",
        b"\xff",
        b"\x00",
    ),
]
CSV_WORDS = [
    *(b'"', b'""', b"\n", b"\r", b"\r\n", b"\x00", b";", b"\t", b",", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b"image", b"field", b"group", b"condition", b"replicate", b"pixel_size_um", b"a.tif", b"a"),
    *(
        b"nan",
        b"inf",
        b"-1",
        b"1e400",
        b"0,1",
        b"1_0",
        b"x" * 140_000,
        b"\xed\xa0\x80",
        b"\xe2\x80",
    ),
]
TIFF_WORDS = [
    *(b"ImageJ=1.53\nimages=2000000000\nslices=2000000000\n", b"hyperstack=true\n", b"images=-1\n"),
    *(b"channels=99999999\n", b'{"shape": [1, 20, 30]}', b'{"shape": [2000000000, 20, 30]}'),
    *(b'SizeC="2"', b'SizeZ="2000000000"', b'SizeT="0"', b'SizeX="-5"', b'DimensionOrder="XYCZT"'),
    *(b'<TiffData IFD="99" PlaneCount="2000000000"/>', b'<Channel SamplesPerPixel="0"/>', b"<OME>"),
    *(b'PhysicalSizeX="1e400"', b'PhysicalSizeXUnit="m"', b'SignificantBits="999"', b"</OME>"),
    *(b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"unit=\\u00B5m\n", b"spacing=nan\n", b"<?xml"),
    *(
        b'"Frames": 2000000000',
        b'"Slices": 99999',
        b'"Prefix": "../a"',
        b"Step='1e-9'",
        b"End='1e9'",
    ),
    *(b"Start='-1e300'", b"SizeZ='99999'", b"SizeT='99999'", b"SizeC='99999'"),
]


@cache
def images() -> tuple[bytes, ...]:
    """Pictures of every format, depth, compression and arrangement of planes."""
    gray, deep, stack = (
        picture(),
        picture(dtype="uint16"),
        picture(40, 30, "uint16").reshape(2, 20, 30),
    )
    rgba = np.dstack([gray, gray, gray, np.full_like(gray, 255)])
    plain = {"photometric": "minisblack", "metadata": None}
    found = [
        content for name, content in valid_files().items() if not name.endswith(("roi", "zip"))
    ]
    found += [encoded(rgba, "PNG"), bytes(imagecodecs.png_encode(np.dstack([deep] * 3)))]
    found += [encoded(two_granules() > 0, "PNG"), encoded(two_granules() > 0, "BMP")]
    found += [encoded(gray, "JPEG", optimize=True, progressive=True)]
    for kind in ("packbits", "deflate", "zstd", "lzma", "jpeg2000"):
        found.append(tiff(deep, compression=kind, **plain))
    found += [tiff(gray, compression="jpeg"), tiff(np.dstack([gray] * 3), compression="jpeg")]
    found += [tiff(deep, bigtiff=True), tiff(deep, byteorder=">"), tiff(deep.astype(np.int32))]
    found += [tiff(np.stack([deep] * 3), planarconfig="separate", photometric="rgb")]
    found += [tiff(rgba, extrasamples=["unassalpha"]), tiff(deep.astype(np.float16))]
    found += [tiff(np.stack([stack, stack]), imagej=True, metadata={"axes": "ZCYX"})]
    found += [tiff(stack, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.1})]
    found += [tiff(stack, ome=True, metadata={"axes": "TYX"}), tiff(stack, **plain)]
    found += [tiff(two_granules() > 0), tiff(picture(64, 64, "uint16"), tile=(16, 16), **plain)]
    modulo = (
        "<OME xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'><StructuredAnnotations>"
    )
    modulo += (
        "<XMLAnnotation ID='A' Namespace='x/modulo'><Value><Modulo><ModuloAlongZ Type='angle' "
    )
    modulo += (
        "Start='0' End='1' Step='1'/></Modulo></Value></XMLAnnotation></StructuredAnnotations>"
    )
    modulo += "<Image><AnnotationRef ID='A'/><Pixels DimensionOrder='XYZCT' SizeX='30' SizeY='20' "
    modulo += "SizeZ='2' SizeC='1' SizeT='1' Type='uint16'><TiffData/></Pixels></Image></OME>"
    found += [tiff(stack, description=modulo, photometric="minisblack", metadata=None)]
    found += [micromanager(), two_pages_unlike()]
    return tuple(found)


def micromanager() -> bytes:
    """A Micro-Manager stack of one plane: a table of planes, and where others would lie."""
    summary = json.dumps(
        {"MicroManagerVersion": "2", "Prefix": "a", "Channels": 1, "Slices": 1, "Frames": 1}
    ).encode()
    begin = 40 + len(summary)
    table = struct.pack("<II5I", 3_453_623, 1, 0, 0, 0, 0, begin + 32)
    places = struct.pack("<8I", 54_773_648, begin, 0, 0, 0, 0, 2_355_492, len(summary))
    head = places + summary + table
    # Some have their own table in a tag as well.
    return by_hand(picture(dtype="uint16"), head + b"{}  ", (51_123, 2, 4, 8 + len(head)))


def by_hand(pixels: np.ndarray, head: bytes, *others: tuple[int, int, int, int]) -> bytes:
    """A TIFF of one strip with something between its first bytes and its directory.

    Parameters
    ----------
    others
        Entries of the directory beside those that an image needs: tag, type, count, value.
    """
    start, (height, width) = 8 + len(head), pixels.shape
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8 * pixels.itemsize)]
    entries += [(259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1), (278, 4, 1, height)]
    entries += [(279, 4, 1, pixels.nbytes), *others]
    data = start + 2 + 12 * (len(entries) + 1) + 4
    entries = sorted([*entries, (273, 4, 1, data)])
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", start) + head + directory + pixels.tobytes()


def two_pages_unlike() -> bytes:
    """Two images of different size in one TIFF."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(picture(), metadata=None)
        writer.write(picture(10, 10), metadata=None)
    return buffer.getvalue()


@cache
def masks() -> tuple[bytes, ...]:
    """Masks by every rule, and pictures that are none."""
    labels = two_granules()
    yes, colour = labels > 0, np.zeros((*labels.shape, 3), np.uint8)
    colour[yes] = 128, 6, 216
    found = [encoded(pixels, "PNG") for pixels in (labels, yes * np.uint8(255), yes, colour)]
    found += [encoded(yes * np.uint8(255), "BMP"), encoded(colour, "BMP")]
    kinds = (np.uint8, np.int16, np.uint32, np.int64, np.float16, np.float32, np.float64)
    found += [tiff(labels.astype(kind)) for kind in kinds]
    found += [tiff(labels, compression=name) for name in ("lzw", "zlib", "packbits")]
    found += [tiff(colour), tiff(yes), tiff(labels, imagej=True), tiff(labels, ome=True)]
    return (*found, *images()[::4])


@cache
def outlines() -> tuple[bytes, ...]:
    """ImageJ outlines of every kind, alone and in zips."""
    box = ImagejRoi(roitype=ROI_TYPE.RECT, top=2, left=3, bottom=9, right=12)
    oval = ImagejRoi(roitype=ROI_TYPE.OVAL, top=2, left=3, bottom=9, right=12)
    fine = ImagejRoi.frompoints(np.array([(2.5, 2.5), (9.1, 2.0), (5.0, 11.7)]), name="fine")
    exact = ImagejRoi(roitype=ROI_TYPE.RECT, top=2, left=3, bottom=9, right=12)
    exact.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    exact.xd, exact.yd, exact.widthd, exact.heightd = 2.5, 3.5, 4.0, 5.0
    holes = ImagejRoi(roitype=ROI_TYPE.RECT, top=0, left=0, bottom=9, right=9, name="holes")
    path = [0, 0, 0, 1, 9, 0, 1, 9, 9, 4, 0, 2, 2, 1, 5, 2, 1, 5, 5, 4]
    holes.multi_coordinates = np.array(path, dtype=np.float32)
    holes.shape_roi_size = len(path)
    line = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5)
    each = [roi(), *(item.tobytes() for item in (box, oval, fine, exact, holes, line))]
    return (*each, roi_zip(), roi_zip(*((f"{i}.roi", item) for i, item in enumerate(each))))


@cache
def parameters() -> tuple[bytes, ...]:
    """The parameters of the project, and some small ones."""
    whole = (ROOT / "params.yaml").read_bytes()
    short = yaml.safe_load(whole)
    return (whole, yaml.safe_dump(short).encode(), yaml.safe_dump(short["tune"]).encode(), b"{}")


@cache
def settings() -> tuple[bytes, ...]:
    """dataset.yaml of a raw data set."""
    full = "name: a\nchannel: 1\nprojection: max\npixel_size_um: 0.1\nbit_depth: 12\nmasks: auto\n"
    return (full.encode(), b"name: a\n", b"{name: a, channel: red, pattern: '(?P<group>a)'}\n")


@cache
def tables() -> tuple[bytes, ...]:
    """Sample tables, in the spellings of several programs."""
    rows = [("image", "condition", "replicate", "pixel_size_um")]
    rows += [("a.tif", "control", "1", "0.1"), ("b.tif", "stress", "2", "0,1")]
    texts = [
        end.join(mark.join(f'"{cell}"' for cell in row) for row in rows) + end
        for mark in ",;\t"
        for end in ("\n", "\r\n")
    ]
    return (
        *(text.encode() for text in texts),
        texts[0].encode("utf-16"),
        texts[2].encode("utf-8-sig"),
    )


@cache
def descriptions() -> tuple[bytes, ...]:
    """bundle.json."""
    content = {
        "members": ["fold_0", "fold_1"],
        "preprocessing": {"normalise": "background", "target_pixel_size_um": 0.1, "resize": [8, 8]},
        "threshold": 0.5,
        "min_area_px": 4,
        "margin_px": 16,
        "orientations": 8,
        "members_in_use": "all",
        "points_at_orientations": {"1": {"threshold": 0.4, "min_area_px": 3}},
        "pixel_size_um": 0.1,
        "statistics": {"blur": [0.1, 0.2]},
        "trained_on": ["a", "b"],
        "facts": {"a": {"b": [1, 2.5, None]}},
        "format": 2,
    }
    few = {name: content[name] for name in ("members", "preprocessing", "threshold", "format")}
    return (json.dumps(content, indent=2).encode(), json.dumps(few).encode())
