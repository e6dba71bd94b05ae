"""TIFF, ImageJ TIFF and OME-TIFF: their axes in one order, and the planes asked for."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import EXTRASAMPLE, PHOTOMETRIC, PLANARCONFIG, TiffFile, TiffPage, TiffPageSeries

from sgseg.errors import InputError, Problem
from sgseg.images import colour, embedded
from sgseg.images.directories import why_endless
from sgseg.images.planes import DAMAGED, Layout, Opened, Pixels, check_size, decoding
from sgseg.images.source import InMemory, LoneFile, Source
from sgseg.images.tiff_metadata import (
    channel_names,
    not_believable,
    ome_xml,
    pixel_size,
    significant_bits,
    spans_files,
)

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_COLOUR = {PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR}
# Palette: the index is the measured value, the palette only its display (an ImageJ lookup table).
# White-is-zero: likewise, ImageJ's inverted lookup table changes the display, not the values.
_PLAIN = {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.PALETTE}
_ALPHA = {EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA}
_UNKNOWN = "IQ"
# Values of one tile or strip: a decoder makes room for as many as the header says. A tile may be
# larger than a small image, but none is known above 4096 x 4096.
_MOST_OF_TILE = 2**24


@contextmanager
def open_tiff(path: Source, max_pixels: int) -> Iterator[Opened]:
    """Open a TIFF; only the headers are read until `load` is called."""
    # What tifffile logs about a damaged file, with stack traces, is said by InputError here.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    with ExitStack() as stack_of_files:
        with decoding(path, "TIFF"):
            file = path.open() if isinstance(path, InMemory) else LoneFile(path)
            stack_of_files.enter_context(file)
            # Other files that a TIFF names are never opened.
            tif = stack_of_files.enter_context(
                TiffFile(file, name=Path(str(path)).name, _multifile=False)
            )
            if why := why_endless(tif):
                raise InputError(Problem(str(path), why, remedy=DAMAGED))
            page = tif.pages.first
            first = Layout("TIFF", page.imagelength, page.imagewidth, np.dtype(np.uint8))
            check_size(path, first, planes=1, max_pixels=max_pixels)
            stack = _Stack(path, tif)
            opened = stack.opened()
        yield opened


class _Stack:
    """The one image of a TIFF file, its axes in the order channel, slice, row, column."""

    def __init__(self, path: Source, tif: TiffFile) -> None:
        self.path, self.tif = path, tif
        self.ome = ome_xml(tif)
        if why := not_believable(tif, self.ome):
            raise self._refuse(why, remedy=DAMAGED)
        self.series = self._only_series()
        self.keyframe: TiffPage = self.series.keyframe
        self.stored = self.series.axes
        self._measure()
        self.unknown = next((axis for axis in self.axes if axis in _UNKNOWN), None)
        self._check_axes()

    def _measure(self) -> None:
        pairs = zip(self.stored, self.series.shape, strict=True)
        long = [(axis, size) for axis, size in pairs if size > 1 or axis in "YX"]
        self.axes = [axis for axis, _ in long]
        self.sizes = dict(long)

    def opened(self) -> Opened:
        layout = self.layout()
        pages = layout.unknown_axis and layout.channels == 1
        as_channels = self._pages_as_channels if pages else None
        return Opened(self.path, layout, self.load, self.planes, as_channels)

    def _pages_as_channels(self) -> Opened:
        changed = copy.copy(self)
        # A second axis C is one of length 1.
        changed.stored = self.stored.replace("C", "R").replace(str(self.unknown), "C")
        changed.unknown = None
        changed._measure()
        old, n_pages = self.layout(), changed.sizes["C"]
        layout = replace(
            old, channels=n_pages, slices=1, alpha=False, names=("",) * n_pages, unknown_axis=False
        )
        return Opened(self.path, layout, changed.load, changed.planes)

    def _refuse(self, what: str, expected: str = "", remedy: str = "") -> InputError:
        return InputError(Problem(str(self.path), what, expected, remedy))

    def _only_series(self) -> TiffPageSeries:
        if spans_files(self.ome):
            raise self._refuse(
                "OME-TIFF whose planes lie in several files",
                "one file per image",
                "Save it as one OME-TIFF, or as plain TIFF.",
            )
        series = self.tif.series
        if len(series) != 1:
            sizes = [" x ".join(map(str, item.shape)) for item in series[:4]]
            what = f"{len(series)} images of different kinds in one file ({', '.join(sizes)})"
            raise self._refuse(what, "one image", "Save each image to its own file.")
        return series[0]

    def _check_axes(self) -> None:
        sizes, photometric = self.sizes, self.keyframe.photometric
        if photometric not in _COLOUR | _PLAIN:
            name = getattr(photometric, "name", str(photometric))
            raise self._refuse(f"colour model {name}", "gray or RGB", "Convert it to RGB.")
        if sizes.get("T", 1) > 1:
            remedy = "Save the time points that you want to use each to its own file."
            raise self._refuse(f"a time series of {sizes['T']} images", "one image", remedy)
        shape = ", ".join(
            f"{a}={n}" for a, n in zip(self.series.axes, self.series.shape, strict=True)
        )
        strange = set(sizes) - set("CZYXS" + _UNKNOWN) or not {"Y", "X"} <= set(sizes)
        twice = len(sizes) != len(self.axes) or set(_UNKNOWN) <= set(sizes)
        if strange or twice or (self.unknown and "Z" in sizes):
            raise self._refuse(
                f"axes that cannot be told apart ({shape})",
                "channels (C), slices (Z), rows (Y) and columns (X)",
                "Save it from Fiji as a hyperstack with channels and slices.",
            )
        if "C" in sizes and "S" in sizes:
            raise self._refuse(
                f"{sizes['C']} channels of {sizes['S']} colours each",
                "channels in gray, or one picture in colour",
                "Save the channels in gray.",
            )

    def layout(self) -> Layout:
        sizes = self.sizes
        samples = sizes.get("S", 1)
        extra = self.keyframe.extrasamples or () if samples > 1 else ()
        alpha = sum(sample in _ALPHA for sample in extra)
        channels = sizes.get("C", 1) * samples - alpha
        # tifffile's default for an array of (3, H, W) is "RGB in three separate planes", which in
        # more than 8 bits is hardly ever a colour picture but three channels or slices.
        separate = self.keyframe.planarconfig == PLANARCONFIG.SEPARATE and self.series.dtype != "u1"
        three = samples - alpha == len(colour.NAMES) and not separate
        in_colour = three and self.keyframe.photometric in _COLOUR
        return Layout(
            "TIFF",
            sizes["Y"],
            sizes["X"],
            np.dtype(self.series.dtype),
            channels=channels,
            slices=sizes.get("Z", 1) * sizes.get(self.unknown or "", 1),
            colour=in_colour,
            alpha=alpha > 0,
            names=colour.NAMES if in_colour else channel_names(self.tif, self.ome, channels),
            significant_bits=significant_bits(self.ome),
            pixel_size=pixel_size(self.tif, self.keyframe, self.ome),
            unknown_axis=self.unknown is not None,
        )

    def load(self, channel: int | None) -> Pixels:
        """Planes (channels, slices, H, W), transparency last; only `channel` if it is given."""
        with decoding(self.path, "TIFF"):
            pixels, axes = self._read(channel)
            pixels = pixels.reshape(
                [size for size, axis in zip(pixels.shape, axes, strict=True) if axis in self.sizes]
            )
            axes = ["Z" if axis == self.unknown else axis for axis in axes if axis in self.sizes]
            for axis in "CSZ":
                if axis not in axes:
                    pixels, axes = pixels[None], [axis, *axes]
            pixels = pixels.transpose([axes.index(axis) for axis in "CSZYX"])
            planes: Pixels = pixels.reshape(-1, *pixels.shape[2:])
        return planes

    def planes(self, channel: int | None) -> int:
        """How many planes are decoded for that channel, or for all."""
        every = math.prod(size for axis, size in self.sizes.items() if axis not in "YX")
        axis = self._axis_of_channels()
        if channel is None or axis is None:
            return every
        with decoding(self.path, "TIFF"):
            alone = self._alone(axis)
        return every // self.series.shape[axis] if alone else every

    def _axis_of_channels(self) -> int | None:
        name = next((name for name in "CS" if name in self.sizes), None)
        pairs = enumerate(zip(self.stored, self.series.shape, strict=True))
        return next((i for i, (axis, size) in pairs if axis == name and size > 1), None)

    def _alone(self, axis: int) -> bool:
        """Whether one channel can be decoded without the others."""
        pages = len(self.series.shape) - len(self.keyframe.shape)
        return self.series.dataoffset is not None or axis < pages

    def _read(self, channel: int | None) -> tuple[Any, list[str]]:
        """The series as it lies in the file; of its channels only `channel`."""
        shape, axes = self.series.shape, list(self.stored)
        dtype, offset = np.dtype(self.series.dtype), self.series.dataoffset
        only: list[slice] = []
        axis = self._axis_of_channels()
        if channel is not None and axis is not None:
            only = [slice(None)] * axis + [slice(channel, channel + 1)]
        if offset is not None:
            self._check_segment(offset, math.prod(shape) * dtype.itemsize)
            stored_type = dtype.newbyteorder("<" if self.tif.byteorder == "<" else ">")
            stored = self._stored(stored_type, offset, tuple(shape))
            return np.array(stored[tuple(only)], dtype=dtype), axes
        pages = list(self.series.pages)
        page_shape = self.keyframe.shape
        leading = shape[: len(shape) - len(page_shape)]
        if math.prod(leading) != len(pages) or shape[len(leading) :] != page_shape:
            raise self._refuse("pages that differ from what the header says", remedy=DAMAGED)
        grid = np.arange(len(pages)).reshape(leading)
        by_page = len(only) <= len(leading)
        if by_page:
            grid = grid[tuple(only)]
        planes = [self._decode(pages[index]) for index in grid.ravel()]
        pixels = np.stack(planes).reshape(*grid.shape, *page_shape)
        return (pixels if by_page else pixels[tuple(only)]), axes

    def _stored(self, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> Pixels:
        """Pixels that lie uncompressed and in one piece, where they are."""
        if isinstance(self.path, InMemory):
            return np.ndarray(shape, dtype, self.path.content, offset)
        return np.memmap(self.path, dtype, "r", offset, shape)

    def _decode(self, page: Any) -> Pixels:
        if page is None:
            raise self._refuse("a plane is missing", remedy=DAMAGED)
        if math.prod(page.chunks) > max(_MOST_OF_TILE, math.prod(page.shape)):
            size = " x ".join(map(str, page.chunks))
            raise self._refuse(f"tiles or strips of {size} pixels", remedy=DAMAGED)
        whole = -(-math.prod(page.shape) // math.prod(page.chunks))
        stored, needed = len(page.dataoffsets), max(math.prod(page.chunked), whole)
        if stored < needed and not page.is_contiguous:
            # What is not stored, tifffile leaves as it finds it in memory.
            raise self._refuse(f"{stored} tiles or strips of {needed}", remedy=DAMAGED)
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            self._check_segment(offset, count)
            self._check_picture(page, offset, count)
        return np.asarray(page.asarray(maxworkers=1))

    def _check_picture(self, page: Any, offset: int, count: int) -> None:
        if page.compression in embedded.PLAIN:
            return
        if page.compression not in embedded.PICTURES:
            name = getattr(page.compression, "name", str(page.compression))
            raise self._refuse(
                f"pixels compressed as {name}",
                "none, LZW, deflate (ZIP), PackBits, LZMA, Zstandard, JPEG or JPEG 2000",
                "Save it without compression, or with LZW or ZIP.",
            )
        self.tif.filehandle.seek(offset)
        stated = embedded.size_of(page.compression, self.tif.filehandle.read(count))
        expected = page.chunks[:2]
        if embedded.is_larger(stated, expected):
            what = "{} x {} pixels are stored where {} x {} belong".format(
                *reversed(stated), *reversed(expected)
            )
            raise self._refuse(what, remedy=DAMAGED)

    def _check_segment(self, offset: int, count: int) -> None:
        # tifffile fills what is missing with zeros, which would pass for a dark part of the image.
        size = self.tif.filehandle.size
        if offset <= 0 or count <= 0 or offset + count > size:
            what = f"truncated: pixels end at byte {offset + count}, the file at {size}"
            raise self._refuse(what, remedy=DAMAGED)
