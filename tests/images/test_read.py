"""Every format, depth and layout is written here by an encoder and must come back exactly."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from sgseg.errors import InputError
from sgseg.images.planes import Budget, BudgetError
from sgseg.images.read import PROJECTIONS, read_image

from .examples import encoded, picture, tiff

TIFF_LAYOUTS: dict[str, dict[str, object]] = {
    "plain": {"metadata": None},
    "tifffile": {},
    "imagej": {"imagej": True},
    "ome": {"ome": True},
    "bigtiff": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "lzw": {"compression": "lzw"},
    "zlib with predictor": {"compression": "zlib", "predictor": True},
    "tiled": {"tile": (16, 16), "compression": "zlib"},
    "strips": {"rowsperstrip": 3},
    "white is zero": {"photometric": "miniswhite"},
}


def saved(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_gray_8_bit(tmp_path: Path, kind: str) -> None:
    pixels = picture()
    image = read_image(saved(tmp_path, f"a.{kind.lower()}", encoded(pixels, kind)))
    assert np.array_equal(image.pixels, pixels)
    assert (image.pixels.dtype, image.bit_depth, image.channel) == (np.uint8, 8, "gray")


def test_gray_16_bit_png(tmp_path: Path) -> None:
    pixels = picture(dtype="uint16")
    image = read_image(saved(tmp_path, "a.png", encoded(pixels, "PNG")))
    assert np.array_equal(image.pixels, pixels)
    assert (image.pixels.dtype, image.bit_depth) == (np.uint16, 16)


def test_jpeg_is_read_as_the_decoder_gives_it(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.JPG", encoded(picture(), "JPEG", quality=90))
    assert np.array_equal(read_image(path).pixels, np.asarray(Pillow.open(path)))


@pytest.mark.parametrize("layout", sorted(TIFF_LAYOUTS))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff(tmp_path: Path, layout: str, dtype: str) -> None:
    pixels = picture(dtype=dtype)
    path = tmp_path / ("a.ome.tif" if layout == "ome" else "a.tif")
    tifffile.imwrite(path, pixels, **TIFF_LAYOUTS[layout])
    image = read_image(path)
    assert np.array_equal(image.pixels, pixels)
    assert image.pixels.dtype == np.dtype(dtype)
    assert image.pixels.dtype.isnative
    assert image.bit_depth == {"uint8": 8, "uint16": 16, "float32": 32}[dtype]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("int16", "uint16"), ("int32", "uint16"), ("uint32", "uint16"), ("int64", "uint16")],
)
def test_integers_that_fit_are_read_as_16_bits(tmp_path: Path, dtype: str, expected: str) -> None:
    pixels = np.array([[0, 1], [300, 32767]], dtype=dtype)
    image = read_image(saved(tmp_path, "a.tif", tiff(pixels)))
    assert image.pixels.tolist() == [[0, 1], [300, 32767]]
    assert image.pixels.dtype == np.dtype(expected)


@pytest.mark.parametrize(
    ("values", "dtype", "said"),
    [
        ([[-1, 5]], "int16", "int16 values from -1 to 5"),
        ([[0, 65536]], "uint32", "uint32 values from 0 to 65536"),
    ],
)
def test_integers_that_do_not_fit_are_refused(
    tmp_path: Path, values: list[list[int]], dtype: str, said: str
) -> None:
    assert said in refusal(saved(tmp_path, "a.tif", tiff(np.array(values, dtype=dtype))))


def test_float_64_becomes_32_and_too_large_is_refused(tmp_path: Path) -> None:
    image = read_image(saved(tmp_path, "a.tif", tiff(np.array([[0.1, 2.0]]))))
    assert image.pixels.dtype == np.float32
    assert image.pixels.tolist() == [[np.float32(0.1), 2.0]]
    assert "1e+300" in refusal(saved(tmp_path, "b.tif", tiff(np.array([[1e300, 0.0]]))))


def test_complex_and_one_bit_are_refused(tmp_path: Path) -> None:
    waves = saved(tmp_path, "a.tif", tiff(np.ones((3, 4), dtype=np.complex64)))
    assert "complex64" in refusal(waves)
    bits = np.zeros((9, 9), dtype=bool)
    for name, content in {
        "a.tif": tiff(bits),
        "a.png": encoded(bits, "PNG"),
        "a.bmp": encoded(bits, "BMP"),
    }.items():
        assert "1 bit per pixel" in refusal(saved(tmp_path, name, content))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused_with_its_place(tmp_path: Path, bad: float) -> None:
    pixels = picture(dtype="float32")
    pixels[3, 7] = bad
    said = refusal(saved(tmp_path, "a.tif", tiff(pixels)))
    assert "1 pixels are NaN or infinite, the first at row 3, column 7" in said


# --- bit depth ---------------------------------------------------------------------------------


def test_declared_bit_depth(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.tif", tiff(np.array([[0, 4095]], dtype=np.uint16)))
    assert read_image(path, bit_depth=12).bit_depth == 12
    # Undeclared and unstated it is the file's: 4095 may as well be a dim 16-bit pixel.
    assert read_image(path).bit_depth == 16
    assert "a pixel of 4095; expected at most 1023" in refusal(path, bit_depth=10)
    gray = saved(tmp_path, "b.tif", tiff(picture()))
    assert "8 bits per pixel; expected 12, as declared" in refusal(gray, bit_depth=12)


@pytest.mark.parametrize(("highest", "depth"), [(4095, 12), (4096, 16)])
def test_significant_bits_of_ome_unless_contradicted(
    tmp_path: Path, highest: int, depth: int
) -> None:
    pixels = np.array([[0, highest]], dtype=np.uint16)
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, pixels, metadata={"axes": "YX", "SignificantBits": 12})
    assert read_image(path).bit_depth == depth


# --- colour ------------------------------------------------------------------------------------


def in_colour(dye: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    return np.stack([dye * share for share in colour], axis=-1).astype(dye.dtype)


def cell() -> np.ndarray:
    """A bright spot on a faint cell, 0 to 200."""
    y, x = np.mgrid[:40, :50]
    body = 60 * np.exp(-((y - 20) ** 2 + (x - 25) ** 2) / 200)
    return (body + 140 * np.exp(-((y - 15) ** 2 + (x - 30) ** 2) / 8)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "planar TIFF", "16-bit PNG"])
@pytest.mark.parametrize(
    ("colour", "channel"),
    [
        ((1, 0, 0), "red of RGB"),
        ((0, 1, 0), "green of RGB"),
        ((0, 0, 1), "blue of RGB"),
        ((0, 1, 1), "green of RGB"),
        ((1, 0, 1), "red of RGB"),
        ((1, 1, 0), "green of RGB"),
        ((1, 0.5, 0), "red of RGB"),
        ((1, 1, 1), "gray, stored as RGB"),
    ],
)
def test_one_dye_in_any_colour(
    tmp_path: Path, kind: str, colour: tuple[float, float, float], channel: str
) -> None:
    dye = cell() if "16" not in kind else cell().astype(np.uint16) * 257
    rgb = in_colour(dye, colour)
    name, content = {
        "PNG": ("a.png", lambda: encoded(rgb, "PNG")),
        "BMP": ("a.bmp", lambda: encoded(rgb, "BMP")),
        "TIFF": ("a.tif", lambda: tiff(rgb)),
        "planar TIFF": (
            "a.tif",
            lambda: tiff(rgb.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        ),
        "16-bit PNG": ("a.png", lambda: imagecodecs.png_encode(rgb)),
    }[kind]
    image = read_image(saved(tmp_path, name, content()))
    assert image.channel == channel
    assert image.pixels.dtype == dye.dtype
    assert np.array_equal(image.pixels, dye)


@pytest.mark.parametrize("colour", [(0, 1, 0), (0, 1, 1), (0.5, 1, 0.2)])
@pytest.mark.parametrize("quality", [60, 95])
def test_one_dye_in_jpeg_despite_its_colour_noise(
    tmp_path: Path, colour: tuple[float, float, float], quality: int
) -> None:
    path = saved(tmp_path, "a.jpg", encoded(in_colour(cell(), colour), "JPEG", quality=quality))
    image = read_image(path)
    assert image.channel == "green of RGB"
    assert np.array_equal(image.pixels, np.asarray(Pillow.open(path))[..., 1])


def test_two_dyes_are_refused_and_one_can_be_chosen(tmp_path: Path) -> None:
    rgb = in_colour(cell(), (0, 1, 0))
    rgb[5:20, 20:40, 2] = 120
    path = saved(tmp_path, "a.png", encoded(rgb, "PNG"))
    said = refusal(path)
    assert "more than one dye" in said
    assert "--channel red, green or blue" in said
    for channel, made in ((2, "blue of RGB"), ("Blue", "blue of RGB"), ("green", "green of RGB")):
        image = read_image(path, channel=channel)
        assert image.channel == made
        assert np.array_equal(image.pixels, rgb[..., 2 if "blue" in made else 1])


def test_an_empty_colour_field_is_no_second_dye(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).poisson(5, (60, 60, 3)).astype(np.uint8)
    assert read_image(saved(tmp_path, "a.png", encoded(noise, "PNG"))).channel.endswith("of RGB")


def test_palette(tmp_path: Path) -> None:
    # ImageJ saves an 8-bit image with a green lookup table as a palette TIFF: values are indices.
    green = np.zeros((3, 256), dtype=np.uint16)
    green[1] = np.arange(256) * 257
    content = tiff(cell(), photometric="palette", colormap=green)
    assert np.array_equal(read_image(saved(tmp_path, "a.tif", content)).pixels, cell())
    # A palette PNG is read as the colours it shows.
    shown = Pillow.fromarray(cell()).convert("P")
    shown.putpalette([value for i in range(256) for value in (0, i, 0)])
    shown.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.channel == "green of RGB"
    assert np.array_equal(image.pixels, cell())


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_accepted_only_where_nothing_is_transparent(
    tmp_path: Path, mode: str
) -> None:
    image = Pillow.fromarray(cell()).convert(mode)
    image.save(tmp_path / "opaque.png")
    assert np.array_equal(read_image(tmp_path / "opaque.png").pixels, cell())
    image.putpixel((3, 4), (*image.getpixel((3, 4))[:-1], 254))
    image.save(tmp_path / "veil.png")
    assert "partly transparent" in refusal(tmp_path / "veil.png")


def test_rgba_tiff(tmp_path: Path) -> None:
    rgba = np.dstack([in_colour(cell(), (0, 1, 0)), np.full(cell().shape, 255, np.uint8)])
    path = saved(tmp_path, "a.tif", tiff(rgba, photometric="rgb", extrasamples=["unassalpha"]))
    assert np.array_equal(read_image(path).pixels, cell())
    assert np.array_equal(read_image(path, channel="green").pixels, cell())


def test_cmyk_is_refused_by_name(tmp_path: Path) -> None:
    cmyk = np.zeros((20, 30, 4), dtype=np.uint8)
    Pillow.fromarray(cmyk, mode="CMYK").save(tmp_path / "a.jpg")
    assert "colour model CMYK" in refusal(tmp_path / "a.jpg")
    path = saved(tmp_path, "a.tif", tiff(cmyk, photometric="separated"))
    assert "colour model SEPARATED" in refusal(path)


def test_orientation_tag_does_not_turn_pixels(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[274] = 6
    plain = saved(tmp_path, "plain.jpg", encoded(cell(), "JPEG"))
    turned = saved(tmp_path, "turned.jpg", encoded(cell(), "JPEG", exif=exif))
    assert np.array_equal(read_image(turned).pixels, read_image(plain).pixels)


# --- channels and stacks -----------------------------------------------------------------------

C, Z = 2, 3
WRITERS: dict[str, dict[str, object]] = {
    "ome": {"ome": True},
    "imagej": {"imagej": True},
    "tifffile": {},
    "compressed imagej": {"imagej": True, "compression": "zlib"},
    "tiled ome": {"ome": True, "compression": "lzw", "tile": (16, 16)},
    "big-endian": {"byteorder": ">"},
}


def stack(dtype: str = "uint16") -> np.ndarray:
    """(Z, C, 20, 30), every plane different."""
    planes = [picture(dtype=dtype) // np.dtype(dtype).type(i + 1) for i in range(Z * C)]
    return np.stack(planes).reshape(Z, C, 20, 30)


@pytest.mark.parametrize("writer", sorted(WRITERS))
def test_channel_and_projection_of_a_hyperstack(tmp_path: Path, writer: str) -> None:
    path = tmp_path / ("a.ome.tif" if "ome" in writer else "a.tif")
    pixels = stack()
    tifffile.imwrite(path, pixels, metadata={"axes": "ZCYX"}, **WRITERS[writer])
    image = read_image(path, channel=1, projection="max")
    assert np.array_equal(image.pixels, pixels[:, 1].max(axis=0))
    assert (image.pixels.dtype, image.channel) == (np.uint16, "channel 1, max of 3 slices")


@pytest.mark.parametrize("axes", ["ZCYX", "CZYX"])
def test_order_of_axes(tmp_path: Path, axes: str) -> None:
    pixels = stack() if axes == "ZCYX" else stack().swapaxes(0, 1)
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": axes})
    image = read_image(tmp_path / "a.ome.tif", channel=0, projection="min")
    assert np.array_equal(image.pixels, stack()[:, 0].min(axis=0))


@pytest.mark.parametrize("projection", sorted(PROJECTIONS))
def test_projections(tmp_path: Path, projection: str) -> None:
    # One pixel through four slices: 1, 2, 6, 7. max 7, min 1, sum 16, mean 4, median (2+6)/2 = 4.
    pixels = np.array([1, 2, 6, 7], dtype=np.uint8).reshape(4, 1, 1) * np.ones((1, 2, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "ZYX"})
    image = read_image(tmp_path / "a.tif", projection=projection)
    expected = {"max": 7, "min": 1, "sum": 16, "mean": 4, "median": 4}[projection]
    assert image.pixels.tolist() == [[expected] * 3] * 2
    assert image.pixels.dtype == (np.uint8 if projection in {"max", "min"} else np.float32)
    assert image.bit_depth == (8 if projection in {"max", "min"} else 32)
    assert image.channel == f"gray, {projection} of 4 slices"


def test_sum_does_not_overflow(tmp_path: Path) -> None:
    pixels = np.full((3, 4, 5), 65535, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "ZYX"})
    assert read_image(tmp_path / "a.tif", projection="sum").pixels[0, 0] == 3 * 65535


def test_what_is_ambiguous_is_refused_with_the_choices(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "ZCYX", "Channel": {"Name": ["DAPI", "G3BP1"]}}
    tifffile.imwrite(path, stack(), metadata=metadata)
    assert "2 channels (0: DAPI, 1: G3BP1)" in refusal(path, projection="max")
    said = refusal(path, channel=1)
    assert "a Z-stack of 3 slices" in said
    assert all(name in said for name in PROJECTIONS)
    assert "no channel 2; expected one of: 0: DAPI" in refusal(path, channel=2)
    assert "no channel 'GFP'" in refusal(path, channel="GFP")
    image = read_image(path, channel="g3bp1", projection="max")
    assert image.channel == "channel 1 (G3BP1), max of 3 slices"
    assert np.array_equal(image.pixels, stack()[:, 1].max(axis=0))
    with pytest.raises(InputError, match="projection 'best': unknown"):
        read_image(path, projection="best")


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}])
def test_time_series_is_refused(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack()[:, 0], metadata={"axes": "TYX"}, **options)
    assert "a time series of 3 images" in refusal(path, projection="max")


def test_pages_without_a_meaning(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack()[:, 0], metadata=None, photometric="minisblack")
    assert "3 pages, and nothing says what they are" in refusal(path)
    # The user says it: slices, or channels.
    assert np.array_equal(read_image(path, projection="max").pixels, stack()[:, 0].max(axis=0))
    image = read_image(path, channel=2)
    assert np.array_equal(image.pixels, stack()[2, 0])
    assert image.channel == "channel 2"


def test_three_separate_planes_of_16_bits_are_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    separate = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(path, stack()[:, 0], **separate)
    assert "3 channels (0, 1, 2)" in refusal(path)
    assert np.array_equal(read_image(path, channel=1).pixels, stack()[1, 0])


def test_several_images_in_one_file_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(picture(), metadata=None)
        writer.write(picture(10, 10), metadata=None)
    assert "2 images of different kinds" in refusal(tmp_path / "a.tif")


def test_channels_of_colours_are_refused(tmp_path: Path) -> None:
    pixels = np.zeros((2, 20, 30, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "CYXS"})
    assert "2 channels of 3 colours each" in refusal(tmp_path / "a.tif", channel=0)


def test_colour_stack_is_projected_before_the_dye_is_chosen(tmp_path: Path) -> None:
    dim = in_colour(cell() // 2, (0, 1, 0))
    pixels = np.stack([dim, in_colour(cell(), (0, 1, 0))])
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "ZYXS"})
    image = read_image(tmp_path / "a.tif", projection="max")
    assert np.array_equal(image.pixels, cell())
    assert image.channel == "green of RGB, max of 2 slices"


def test_ome_tiff_of_several_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, picture(), metadata={"axes": "YX"})
    xml = tifffile.tiffcomment(path).replace(
        "</TiffData>", '<UUID FileName="b.ome.tif">urn:uuid:second</UUID></TiffData>'
    )
    if "urn:uuid:second" not in xml:
        data = '<TiffData IFD="0"><UUID FileName="{}">urn:uuid:{}</UUID></TiffData>'
        both = data.format("a.ome.tif", "first") + data.format("../b.ome.tif", "second")
        xml = xml.replace('<TiffData IFD="0" PlaneCount="1"/>', both)
    assert "urn:uuid:second" in xml
    tifffile.tiffcomment(path, xml.encode())
    assert "planes lie in several files" in refusal(path)


# --- pixel size --------------------------------------------------------------------------------


def sized(tmp_path: Path, **options: object) -> float | None:
    path = tmp_path / ("a.ome.tif" if "ome" in options else "a.tif")
    tifffile.imwrite(path, picture(), **options)
    return read_image(path).pixel_size_um


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [
        ("um", 5, 0.2),
        ("micron", 5, 0.2),
        ("microns", 5, 0.2),
        ("\\u00B5m", 5, 0.2),
        ("\\u00b5m", 5, 0.2),
        ("nm", 1 / 65, 0.065),
        ("mm", 5000, 0.2),
        ("cm", 50_000, 0.2),
        ("inch", 72, None),
        ("pixel", 5, None),
        ("", 5, None),
    ],
)
def test_pixel_size_of_imagej(
    tmp_path: Path, unit: str, per_unit: float, expected: float | None
) -> None:
    size = sized(tmp_path, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit})
    assert size == (None if expected is None else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"PhysicalSizeX": 0.108, "PhysicalSizeY": 0.108}, 0.108),
        (
            {
                "PhysicalSizeX": 65.0,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": 0.065,
                "PhysicalSizeYUnit": "µm",
            },
            0.065,
        ),
        ({"PhysicalSizeX": 1.0, "PhysicalSizeXUnit": "pixel"}, None),
        ({"PhysicalSizeX": 0.0}, None),
    ],
)
def test_pixel_size_of_ome(
    tmp_path: Path, metadata: dict[str, object], expected: float | None
) -> None:
    assert sized(tmp_path, ome=True, metadata={"axes": "YX", **metadata}) == (
        None if expected is None else pytest.approx(expected)
    )


@pytest.mark.parametrize(
    ("per_unit", "unit", "expected"),
    [
        (50_000, "CENTIMETER", 0.2),
        (28.35, "CENTIMETER", None),  # 72 dpi
        (72, "INCH", None),
        (96, "INCH", None),
        (300, "INCH", None),
        (127_000, "INCH", 0.2),  # 25400 / 127000: a microscope that writes inches
        (5, "NONE", None),
    ],
)
def test_pixel_size_of_resolution_tags(
    tmp_path: Path, per_unit: float, unit: str, expected: float | None
) -> None:
    size = sized(tmp_path, metadata=None, resolution=(per_unit, per_unit), resolutionunit=unit)
    assert size == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_dots_per_inch_of_png_and_jpeg_mean_nothing(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "BMP"):
        path = saved(tmp_path, f"a.{kind.lower()}", encoded(picture(), kind, dpi=(300, 300)))
        assert read_image(path).pixel_size_um is None


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.3}
    tifffile.imwrite(path, picture(), metadata=metadata)
    said = refusal(path)
    assert "pixels of 0.2 x 0.3 um; expected square pixels" in said
    assert read_image(path, pixel_size_um=0.25).pixel_size_um == 0.25


# --- too large ---------------------------------------------------------------------------------


def forged(content: bytes, *changes: tuple[int, bytes]) -> bytes:
    changed = bytearray(content)
    for place, value in changes:
        changed[place : place + len(value)] = value
    return bytes(changed)


def giant_png(side: int = 65_536) -> bytes:
    content = encoded(picture(), "PNG")
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]


def giant_jpeg() -> bytes:
    content = encoded(picture(), "JPEG")
    frame = content.index(b"\xff\xc0")
    return forged(content, (frame + 5, b"\xff\xff\xff\xff"))


def giant_bmp() -> bytes:
    return forged(encoded(picture(), "BMP"), (18, (65_536).to_bytes(4, "little") * 2))


def giant_tiff() -> bytes:
    content = tiff(picture(), metadata=None)
    for code in (256, 257):
        tag = code.to_bytes(2, "little") + (4).to_bytes(2, "little")
        place = content.find(tag)
        if place < 0:
            place = content.index(code.to_bytes(2, "little") + (3).to_bytes(2, "little"))
        value = tag + (1).to_bytes(4, "little") + (65_536).to_bytes(4, "little")
        content = forged(content, (place, value))
    return content


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.png", giant_png),
        ("a.jpg", giant_jpeg),
        ("a.bmp", giant_bmp),
        ("a.tif", giant_tiff),
    ],
)
def test_four_gigapixels_are_refused_before_decoding(
    tmp_path: Path,
    name: str,
    make: Callable[[], bytes],
    recwarn: pytest.WarningsRecorder,
) -> None:
    path = saved(tmp_path, name, make())
    content = path.read_bytes()
    tracemalloc.start()
    said = refusal(path)
    with pytest.raises(InputError) as caught:
        read_image(content, name=str(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(caught.value) == said
    # 65536 x 65536 = 4295 million; the largest JPEG is 65535 x 65535 = 4295 million as well.
    assert "4,295 million in all; expected at most 400 million" in said
    assert peak < 10_000_000
    assert not recwarn.list


def test_a_header_that_promises_more_than_the_file_can_hold(tmp_path: Path) -> None:
    # 10,000 x 10,000 pixels are allowed, but not in below 1 kB.
    said = refusal(saved(tmp_path, "a.png", giant_png(10_000)))
    assert "promises 10000 x 10000 pixels in" in said


def test_many_pages_count_together(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack(), imagej=True, metadata={"axes": "ZCYX"})
    # Three slices of one channel: 3 x 20 x 30 = 1800 pixels; the other channel is not decoded.
    assert "in 3 planes" in refusal(path, channel=0, projection="max", max_pixels=1799)
    read_image(path, channel=0, projection="max", max_pixels=1800)


CHOSEN: dict[str, object] = {"channel": 1, "projection": "max"}


def pages(n: int) -> np.ndarray:
    return np.stack([picture(dtype="uint16") // (i + 1) for i in range(n)])


def many(n: int) -> np.ndarray:
    return np.ascontiguousarray(pages(n).transpose(1, 2, 0))


def planes_taken(content: bytes, **options: object) -> int:
    """Planes of 20 x 30 pixels that reading takes from a budget."""
    budget = Budget(100 * 600)
    read_image(content, budget=budget, **options)
    return (budget.whole - budget.left) // 600


@pytest.mark.parametrize(
    ("make", "options", "planes"),
    [
        (lambda: encoded(picture(), "PNG"), {}, 1),
        (lambda: encoded(picture(), "BMP"), {}, 1),
        (lambda: encoded(np.dstack([picture()] * 3), "PNG"), {}, 3),
        (lambda: encoded(np.dstack([picture()] * 3), "PNG"), {"channel": 1}, 3),
        (lambda: encoded(np.dstack([picture()] * 3), "JPEG"), {"channel": "red"}, 3),
        (lambda: encoded(np.dstack([picture(), picture() | 255]), "PNG"), {}, 2),
        (lambda: tiff(np.dstack([picture()] * 3)), {}, 3),
        # Of pixels that lie as they are, those of one channel are taken.
        (lambda: tiff(many(5), planarconfig="contig"), {"channel": 4}, 1),
        (lambda: tiff(many(5), planarconfig="contig", compression="zlib"), {"channel": 4}, 5),
        (lambda: tiff(pages(7), metadata=None), {"channel": 4}, 1),
        (lambda: tiff(pages(7), metadata=None, compression="zlib"), {"channel": 4}, 1),
        (lambda: tiff(pages(7), metadata=None), {"projection": "max"}, 7),
        (lambda: tiff(stack(), imagej=True, metadata={"axes": "ZCYX"}), CHOSEN, Z),
        (lambda: tiff(stack(), metadata={"axes": "ZCYX"}, compression="zlib"), CHOSEN, Z),
    ],
)
def test_what_is_decoded_is_taken_from_a_budget(
    make: Callable[[], bytes], options: dict[str, object], planes: int
) -> None:
    assert planes_taken(make(), **options) == planes


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["plain", "zlib"])
def test_pages_and_samples_as_channels(options: dict[str, object]) -> None:
    for channel in (0, 2, 4):
        expected = pages(5)[channel]
        by_page = tiff(pages(5), metadata=None, photometric="minisblack", **options)
        image = read_image(by_page, channel=channel)
        assert np.array_equal(image.pixels, expected)
        assert image.channel == f"channel {channel}"
        samples = tiff(many(5), photometric="minisblack", planarconfig="contig", **options)
        assert np.array_equal(read_image(samples, channel=channel).pixels, expected)


def test_only_the_page_asked_for_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, asarray = [], tifffile.TiffPage.asarray

    def counted(page: tifffile.TiffPage, **options: object) -> np.ndarray:
        decoded.append(page.index)
        return asarray(page, **options)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", counted)
    monkeypatch.setattr(tifffile.TiffFrame, "asarray", counted)
    content = tiff(pages(40), metadata=None, compression="zlib")
    assert np.array_equal(read_image(content, channel=3).pixels, pages(40)[3])
    assert decoded == [3]


def test_samples_that_are_all_decoded_count_although_one_is_asked_for(tmp_path: Path) -> None:
    content = tiff(many(5), planarconfig="contig", compression="zlib")
    path = saved(tmp_path, "a.tif", content)
    assert "in 5 planes" in refusal(path, channel=0, max_pixels=2999)  # 5 x 600 = 3,000
    read_image(path, channel=0, max_pixels=3000)


def test_a_picture_in_colour_is_no_larger_than_one_in_gray() -> None:
    # But it takes more from a budget.
    for depth, channels in ((8, 3), (8, 4), (16, 3)):
        pixels = np.full((20, 30, channels), 2**depth - 1, f"uint{depth}")
        content = bytes(imagecodecs.png_encode(pixels))
        read_image(content, max_pixels=600)
        with pytest.raises(BudgetError, match=f"in {channels} planes") as caught:
            read_image(content, max_pixels=600, budget=Budget(channels * 600 - 1))
        assert not caught.value.alone


def test_a_budget_is_for_several_images_and_says_whether_one_alone_would_fit() -> None:
    budget, content = Budget(1000), encoded(picture(), "PNG")
    read_image(content, budget=budget)
    with pytest.raises(BudgetError) as caught:
        read_image(content, budget=budget)
    assert caught.value.alone
    assert budget.left == 400  # what is refused takes nothing


def test_what_is_decoded_and_then_refused_is_taken_as_well() -> None:
    pixels = picture(dtype="float32")
    pixels[0, 0] = np.nan
    budget = Budget(1000)
    with pytest.raises(InputError, match="NaN"):
        read_image(tiff(pixels), budget=budget)
    assert budget.left == 400


def test_large_images_below_the_limit_raise_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 10)
    for kind in ("PNG", "JPEG", "BMP"):
        read_image(saved(tmp_path, f"a.{kind.lower()}", encoded(picture(), kind)))
    assert not recwarn.list


# --- the file itself ---------------------------------------------------------------------------


def test_content_decides_not_the_ending(tmp_path: Path) -> None:
    path = saved(tmp_path, "really a png.tif", encoded(picture(), "PNG"))
    assert np.array_equal(read_image(path).pixels, picture())
    said = refusal(saved(tmp_path, "text.png", b"not an image at all"))
    assert "none of the known formats" in said


@pytest.mark.parametrize(
    "name", ["1 (10).png", "G3BP1 α-tubulin é.png", "e\u0301.png", "a.b.c.PNG", "100%_#1.png"]
)
def test_names(tmp_path: Path, name: str) -> None:
    assert np.array_equal(
        read_image(saved(tmp_path, name, encoded(picture(), "PNG"))).pixels, picture()
    )


@pytest.mark.parametrize(
    "content",
    [
        tiff(picture(dtype="uint16"))[:-100],
        tiff(picture(dtype="uint16"), compression="zlib")[:-100],
        encoded(picture(), "JPEG")[:-100],
        encoded(picture(), "PNG")[:-100],
        encoded(picture(), "BMP")[:-100],
    ],
    ids=["TIFF", "compressed TIFF", "JPEG", "PNG", "BMP"],
)
def test_truncated(tmp_path: Path, content: bytes) -> None:
    said = refusal(saved(tmp_path, "a.img", content))
    assert "The file is damaged or incomplete" in said


@pytest.mark.parametrize("second", [1, "dna"])
def test_a_second_channel_beside_the_first(tmp_path: Path, second: int | str) -> None:
    pixels = np.arange(40, dtype=np.uint16).reshape(2, 4, 5)
    names = {"axes": "CYX", "Channel": {"Name": ["G3BP1", "DNA"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata=names)
    image = read_image(tmp_path / "a.ome.tif", channel="G3BP1", second_channel=second)
    np.testing.assert_array_equal(image.pixels, np.moveaxis(pixels, 0, -1))
    np.testing.assert_array_equal(image.first, pixels[0])
    assert (image.channel, image.second_channel) == ("channel 0 (G3BP1)", "channel 1 (DNA)")
    alone = read_image(tmp_path / "a.ome.tif", channel="G3BP1")
    np.testing.assert_array_equal(alone.first, pixels[0])
    assert alone.second_channel == ""


def test_a_second_channel_that_is_none(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 4, 5), np.uint8), imagej=True)
    with pytest.raises(InputError, match=r"a\.tif: the second channel is the first: channel 1"):
        read_image(tmp_path / "a.tif", channel=1, second_channel=1)
    with pytest.raises(InputError, match=r"a\.tif: no channel 2; expected one of: 0, 1"):
        read_image(tmp_path / "a.tif", channel=0, second_channel=2)
    tifffile.imwrite(tmp_path / "gray.tif", np.zeros((4, 5), np.uint8))
    with pytest.raises(InputError, match=r"gray\.tif: the second channel is the first: gray"):
        read_image(tmp_path / "gray.tif", second_channel=0)
