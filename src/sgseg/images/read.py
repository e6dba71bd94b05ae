"""One image file to one channel, or two: which, which projection, how many bits, what pixel size.

Every refusal names the file, what was found, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem
from sgseg.images import colour, raster, tiff, zarr
from sgseg.images.calibration import square
from sgseg.images.files import IMAGE_SUFFIXES, find_images
from sgseg.images.planes import MAX_PIXELS, Budget, Layout, Opened, Pixels, first_bytes, spend
from sgseg.images.source import InMemory, Source
from sgseg.images.values import bit_depth_of, plain_type, refuse_unusable_type

Projection = Literal["max", "mean", "sum", "min", "median"]
# Largest and smallest keep the depth of the camera; the others need fractions or more range.
PROJECTIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "max": lambda stack: stack.max(axis=0),
    "mean": lambda stack: stack.mean(axis=0, dtype=np.float64).astype(np.float32),
    "sum": lambda stack: stack.sum(axis=0, dtype=np.float64).astype(np.float32),
    "min": lambda stack: stack.min(axis=0),
    "median": lambda stack: np.median(stack.astype(np.float64), axis=0).astype(np.float32),
}


_MOST_LISTED = 40


@dataclass(frozen=True)
class Image:
    """One channel of one image, or two.

    Parameters
    ----------
    pixels : (H, W), or (H, W, 2) with a second channel; uint8, uint16 or float32
        As stored in the file, finite.
    bit_depth : int
        Bits the camera or file used; 32 for float.
    pixel_size_um : float or None
        Side of a pixel in um, None where unknown.
    channel : str
        How the one channel was made: "gray", "green of RGB", "channel 1 (G3BP1), max of 5 slices".
    second_channel : str
        The same of the second one; empty where there is one.
    """

    pixels: NDArray[Any]
    bit_depth: int
    pixel_size_um: float | None
    channel: str
    second_channel: str = ""

    @property
    def first(self) -> NDArray[Any]:
        """The first channel (H, W): the one that shows the granules."""
        return self.pixels if self.pixels.ndim == 2 else self.pixels[..., 0]


def read_image(
    source: str | Path | bytes,
    *,
    name: str = "image",
    channel: int | str | None = None,
    second_channel: int | str | None = None,
    projection: str | None = None,
    bit_depth: int | None = None,
    pixel_size_um: float | None = None,
    max_pixels: int = MAX_PIXELS,
    budget: Budget | None = None,
) -> Image:
    """Read one image file as one channel, or as two.

    Parameters
    ----------
    source : PNG, JPEG, BMP, TIFF, ImageJ TIFF or OME-TIFF
        Path of a file, or the bytes of one. What counts is the content, not the ending.
    name : str
        What errors call bytes; a file is called by its path.
    channel : int or str, optional
        Counted from 0, or its name in the file (upper and lower case are the same); red, green or
        blue of a picture in colour. Needed where an image has several channels or shows several
        dyes.
    second_channel : int or str, optional
        A channel to be read beside it, as for a network that is shown both; another than `channel`.
    projection : {"max", "mean", "sum", "min", "median"}, optional
        How a Z-stack becomes one image; needed where there is one, ignored where there is none.
    bit_depth : int, optional
        Bits of the camera, such as 12 where 12 bits are stored in 16. Otherwise as OME-XML says
        (`SignificantBits`), otherwise those of the file: never guessed from the brightest pixel.
    pixel_size_um : float, optional
        Side of a pixel in um, in place of what the file says.
    max_pixels : int
        More than this is refused before it is decoded. All slices count, and the other channels
        where the format does not let one be read alone; the colours of a picture count once.
    budget : Budget, optional
        Takes off what is decoded, every colour and transparency counted, whether or not the image
        can be used then; what is more than its rest is refused before it is decoded.

    Returns
    -------
    Image

    Raises
    ------
    InputError
        The file is missing, damaged, of another format, too large, or not one unambiguous channel.

    Notes
    -----
    Pixels are taken as stored: no orientation tag, gamma or palette of a TIFF changes them. Signed
    and 32-bit integers are read where every value fits 16 bits without a sign, 64-bit float as
    32-bit. Transparency is accepted only where nothing is transparent.
    """
    path = InMemory(source, name) if isinstance(source, bytes) else Path(source)
    if projection is not None and projection not in PROJECTIONS:
        known = ", ".join(PROJECTIONS)
        raise InputError(Problem(f"projection {projection!r}", "unknown", f"one of {known}"))
    how: _How = {
        "projection": projection,
        "bit_depth": bit_depth,
        "pixel_size_um": pixel_size_um,
        "max_pixels": max_pixels,
        "budget": budget,
    }
    image = _read(path, channel, **how)
    if second_channel is None:
        return image
    second = _read(path, second_channel, **how)
    if second.channel == image.channel:
        raise InputError(
            Problem(
                str(path),
                f"the second channel is the first: {second.channel}",
                "another channel",
                "Give another second channel (--second-channel), or none.",
            )
        )
    # One after the other in memory: whoever looks at one does not pass over both.
    both = np.moveaxis(np.stack([image.pixels, second.pixels]), 0, -1)
    return replace(image, pixels=both, second_channel=second.channel)


class _How(TypedDict):
    projection: str | None
    bit_depth: int | None
    pixel_size_um: float | None
    max_pixels: int
    budget: Budget | None


def _read(
    path: Source,
    channel: int | str | None,
    *,
    projection: str | None,
    bit_depth: int | None,
    pixel_size_um: float | None,
    max_pixels: int,
    budget: Budget | None,
) -> Image:
    """One channel."""
    with open_file(path, max_pixels=max_pixels) as file:
        opened, chosen = _choose(file, channel, projection)
        layout = opened.layout
        spend(opened, chosen, max_pixels=max_pixels, budget=budget)
        planes = opened.load(chosen)
        refuse_unusable_type(opened, planes)
        if layout.alpha and chosen is None:
            planes = _without_alpha(opened, planes)
        flat = planes[:, 0]
        if layout.slices > 1 and projection is not None:
            flat = np.stack([PROJECTIONS[projection](stack) for stack in planes])
        pixels, made = _one_channel(opened, flat, chosen)
        if layout.slices > 1:
            made += f", {projection} of {layout.slices} slices"
        pixels = plain_type(opened, pixels)
        depth = bit_depth_of(opened, pixels, bit_depth)
        size = pixel_size_um if pixel_size_um is not None else _pixel_size(opened)
    return Image(np.ascontiguousarray(pixels), depth, size, made)


@contextmanager
def open_file(path: Source, *, max_pixels: int = MAX_PIXELS) -> Iterator[Opened]:
    """Open an image or mask by its content; only its header is read, and its size checked."""
    if isinstance(path, Path) and zarr.is_zarr(path):
        with zarr.open_zarr(path, max_pixels) as opened:
            yield opened
        return
    start = first_bytes(path)
    if start.startswith(tiff.SIGNATURES):
        with tiff.open_tiff(path, max_pixels) as opened:
            yield opened
        return
    for signature, kind in raster.SIGNATURES.items():
        if start.startswith(signature):
            with raster.open_raster(path, kind, max_pixels) as opened:
                yield opened
            return
    raise InputError(
        Problem(
            str(path),
            "no image: its content is none of the known formats",
            "PNG, JPEG, TIFF, OME-TIFF or BMP",
            "Save it as one of them; a changed file ending does not convert a file.",
        )
    )


def _choose(
    opened: Opened, channel: int | str | None, projection: str | None
) -> tuple[Opened, int | None]:
    """The channel to load, None for all; refuses where the choice would be a guess."""
    layout = opened.layout
    as_channels = opened.pages_as_channels
    if as_channels is not None and channel is not None and projection is None:
        # The user says that the pages are channels.
        opened = as_channels()
        layout = opened.layout
    chosen = None if channel is None else _find_channel(opened, channel)
    if chosen is None and layout.channels > 1 and not layout.colour:
        raise opened.refuse(
            f"{layout.channels} channels ({_listed(layout)})",
            "one channel, or to be told which",
            "Give the channel's number or name (--channel).",
        )
    if layout.slices > 1 and projection is None:
        names = ", ".join(PROJECTIONS)
        if layout.unknown_axis:
            raise opened.refuse(
                f"{layout.slices} pages, and nothing says what they are",
                "one image",
                f"If they are slices, give --projection ({names}); if channels, --channel with the "
                "number, counted from 0; if time points, save each to its own file.",
            )
        raise opened.refuse(
            f"a Z-stack of {layout.slices} slices",
            "one plane, or to be told how to make one",
            f"Give --projection: {names}.",
        )
    return opened, chosen


def _find_channel(opened: Opened, channel: int | str) -> int:
    layout = opened.layout
    if isinstance(channel, int):
        if 0 <= channel < layout.channels:
            return channel
    else:
        names = [name.strip().casefold() for name in layout.names]
        if names.count(channel.strip().casefold()) == 1:
            return names.index(channel.strip().casefold())
    raise opened.refuse(f"no channel {channel!r}", f"one of: {_listed(layout)}")


def _listed(layout: Layout) -> str:
    numbered = enumerate(layout.names[:_MOST_LISTED])
    listed = ", ".join(f"{i}: {name[:80]}" if name else str(i) for i, name in numbered)
    return f"{listed}, ..." if len(layout.names) > _MOST_LISTED else listed


def _without_alpha(opened: Opened, planes: Pixels) -> Pixels:
    alpha = planes[-1]
    opaque = 1 if alpha.dtype.kind in "fb" else np.iinfo(alpha.dtype).max
    if (alpha != opaque).any():
        raise opened.refuse(
            "partly transparent", "an opaque image", "Save it without transparency."
        )
    return planes[:-1]


def _one_channel(opened: Opened, pixels: Pixels, chosen: int | None) -> tuple[Pixels, str]:
    """One of (C, H, W), and how it was made."""
    layout = opened.layout
    if chosen is not None:
        if layout.channels == 1:
            return pixels[0], "gray"
        name = layout.names[chosen]
        if layout.colour:
            return pixels[0], f"{name} of RGB"
        return pixels[0], f"channel {chosen} ({name})" if name else f"channel {chosen}"
    if not layout.colour:
        return pixels[0], "gray"
    if (pixels == pixels[0]).all():
        return pixels[0], "gray, stored as RGB"
    dye, alone = colour.dye_channel(pixels)
    if not alone:
        raise opened.refuse(
            "more than one dye in a colour picture (or a scale bar or false colours)",
            "one dye",
            "Give --channel red, green or blue, or export the raw gray image.",
        )
    return pixels[dye], f"{colour.NAMES[dye]} of RGB"


def _pixel_size(opened: Opened) -> float | None:
    size = opened.layout.pixel_size
    if size is None:
        return None
    if not square(size):
        raise opened.refuse(
            f"pixels of {size[0]:.4g} x {size[1]:.4g} um",
            "square pixels",
            "Resample it, or give --pixel-size-um if the file is wrong.",
        )
    return float(np.mean(size))


__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "PROJECTIONS", "Image", "find_images", "read_image"]
