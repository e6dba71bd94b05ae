"""What TIFF, ImageJ and OME metadata say about channels, camera bits and the size of a pixel."""

from __future__ import annotations

from xml.etree import ElementTree

from tifffile import TiffFile, TiffPage

from sgseg.images.calibration import believable, unit_in_um

Element = ElementTree.Element
_INCH, _CENTIMETRE = 2, 3


def tag(element: Element) -> str:
    """Name of an XML element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def ome_xml(tif: TiffFile) -> Element | None:
    """The OME-XML of a file, None where there is none or it is no XML."""
    try:
        return ElementTree.fromstring(tif.ome_metadata) if tif.ome_metadata else None
    except (ElementTree.ParseError, ValueError):
        return None


def spans_files(ome: Element | None) -> bool:
    """Whether an OME-TIFF says that some of its planes lie in other files."""
    if ome is None:
        return False
    return len({item.text for item in ome.iter() if tag(item) == "UUID"}) > 1


def channel_names(tif: TiffFile, ome: Element | None, channels: int) -> tuple[str, ...]:
    """Names from OME-XML, else ImageJ's labels of planes; '' each where there are not as many."""
    pixels = _pixels(ome)
    found = [item for item in pixels if tag(item) == "Channel"] if pixels is not None else []
    names = [item.get("Name", "") for item in found] or _labels(tif)
    return tuple(names) if len(names) == channels else ("",) * channels


def _labels(tif: TiffFile) -> list[str]:
    labels = (tif.imagej_metadata or {}).get("Labels", [])
    return [str(label) for label in ([labels] if isinstance(labels, str) else labels)]


def significant_bits(ome: Element | None) -> int | None:
    """Bits of the camera, where OME-XML states them."""
    pixels = _pixels(ome)
    text = pixels.get("SignificantBits", "") if pixels is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None


def pixel_size(tif: TiffFile, page: TiffPage, ome: Element | None) -> tuple[float, float] | None:
    """Width and height of a pixel in um: from OME-XML, else ImageJ's unit, else resolution tags."""
    pixels = _pixels(ome)
    sizes: list[float | None]
    if pixels is not None and pixels.get("PhysicalSizeX"):
        sizes = [_ome_size(pixels, axis) for axis in "XY"]
    else:
        sizes = _tagged_sizes(tif, page)
    x, y = (believable(size) for size in sizes)
    return (x, y) if x is not None and y is not None else None


def _pixels(ome: Element | None) -> Element | None:
    if ome is None:
        return None
    return next((item for item in ome.iter() if tag(item) == "Pixels"), None)


def _ome_size(pixels: Element, axis: str) -> float | None:
    text = pixels.get(f"PhysicalSize{axis}") or pixels.get("PhysicalSizeX") or ""
    unit = unit_in_um(pixels.get(f"PhysicalSize{axis}Unit", "um"))
    try:
        return float(text) * unit if unit else None
    except ValueError:
        return None


def _tagged_sizes(tif: TiffFile, page: TiffPage) -> list[float | None]:
    imagej = tif.imagej_metadata or {}
    if "unit" in imagej:
        x = unit_in_um(str(imagej["unit"]))
        units = [x, unit_in_um(str(imagej["yunit"])) if "yunit" in imagej else x]
    else:
        known = {_INCH: 25_400.0, _CENTIMETRE: 10_000.0}
        units = [known.get(int(_number(page, "ResolutionUnit") or 0))] * 2
    per_unit = [_number(page, "XResolution"), _number(page, "YResolution")]
    return [
        unit / number if unit and number else None
        for unit, number in zip(units, per_unit, strict=True)
    ]


def _number(page: TiffPage, name: str) -> float | None:
    value = page.tags.valueof(name)
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return float(value) if isinstance(value, int | float) else None
