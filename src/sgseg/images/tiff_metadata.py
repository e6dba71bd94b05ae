"""What TIFF, ImageJ and OME metadata say about channels, camera bits and the size of a pixel."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree  # nosec B405 # see `ome_xml`

from tifffile import TiffFile, TiffPage

from sgseg.images.calibration import believable, unit_in_um

Element = ElementTree.Element
_INCH, _CENTIMETRE = 2, 3
# Planes that metadata may promise. tifffile makes a list for as many before it looks for them.
MAX_PLANES = 1_000_000
_MICROMANAGER = ("Channels", "Slices", "Positions", "Frames")


def tag(element: Element) -> str:
    """Name of an XML element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def ome_xml(tif: TiffFile) -> Element | None:
    """The OME-XML of a file, None where there is none or it is no XML."""
    text = tif.ome_metadata
    if not text or has_entities(text):
        return None
    try:
        # Without entities of its own, XML stands for no more than it holds.
        return ElementTree.fromstring(text)  # nosec B314
    except (ElementTree.ParseError, ValueError):
        return None


def has_entities(text: str) -> bool:
    """Whether XML has a document type, in which entities are made; OME-XML has none."""
    return "<!DOCTYPE" in text or "<!ENTITY" in text


def not_believable(tif: TiffFile, ome: Element | None) -> str:
    """What is promised by metadata and cannot be; '' where nothing is.

    tifffile believes each of these, and takes gigabytes for it.
    """
    if tif.ome_metadata and has_entities(tif.ome_metadata):
        return "OME-XML with a document type or entities of its own"
    for item in () if ome is None else ome.iter():
        if tag(item) == "Pixels" and _product(item.get(f"Size{axis}") for axis in "CZT") is None:
            return f"OME-XML that promises more than {MAX_PLANES:,} planes"
        if {"Start", "End", "Step"} & item.attrib.keys() and not _few_steps(item):
            return "OME-XML with an axis of more steps than there can be planes"
    if tif.is_mmstack:
        found = tif.micromanager_metadata or {}
        summary, places = found.get("Summary"), found.get("IndexMap")
        if not isinstance(summary, dict) or places is None or not len(places):
            return "the header of a Micro-Manager stack without its tables"
        stated = [summary.get(name, 1) for name in _MICROMANAGER]
        highest = (places[:, :4].max(axis=0).astype(int) + 1).tolist()
        # In the order of the columns: channel, slice, frame, position.
        stated[2:] = stated[:1:-1]
        if _product(max(int(a), b) for a, b in zip(stated, highest, strict=True)) is None:
            return f"Micro-Manager's header promises more than {MAX_PLANES:,} planes"
    return ""


def _product(sizes: Iterable[int | str | None]) -> int | None:
    """Of all sizes; None where it is more than `MAX_PLANES`."""
    total = 1
    for size in sizes:
        total *= max(int(size or 1), 1)
        if total > MAX_PLANES:
            return None
    return total


def _few_steps(item: Element) -> bool:
    start, end, step = (float(item.get(name, 1)) for name in ("Start", "End", "Step"))
    return step != 0 and abs((end - start) / step) <= MAX_PLANES


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
