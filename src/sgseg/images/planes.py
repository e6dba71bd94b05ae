"""A file opened: what its header promises, and its pixels before a channel or projection is chosen.

`raster` and `tiff` make `Layout`s and load pixels; `read` and `masks` decide what to do with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem
from sgseg.images.source import InMemory, Source

MAX_PIXELS = 400_000_000
DAMAGED = "The file is damaged or incomplete: copy it again from the microscope or the original."

Pixels = NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """What the header of a file says.

    Parameters
    ----------
    format : str
        PNG, JPEG, BMP or TIFF.
    height, width, channels, slices : int
        An image of three colours has three channels; transparency is not counted.
    dtype : numpy dtype of the stored pixels; bool for one bit.
    colour : bool
        Whether the channels are red, green and blue of one picture.
    alpha : bool
        Whether `load` returns one channel more than `channels`: the transparency.
    names : names of the channels, '' where the file gives none.
    significant_bits : bits the camera used, where the file says so.
    pixel_size : (x, y) in um, None where the file does not say or says nothing believable.
    unknown_axis : bool
        Whether the pages of a TIFF are laid out as slices only because nothing says what they are.
    """

    format: str
    height: int
    width: int
    dtype: np.dtype[Any]
    channels: int = 1
    slices: int = 1
    colour: bool = False
    alpha: bool = False
    names: tuple[str, ...] = ("",)
    significant_bits: int | None = None
    pixel_size: tuple[float, float] | None = None
    unknown_axis: bool = False


class Budget:
    """How many values (planes x pixels) may still be decoded, for several images together."""

    def __init__(self, values: int) -> None:
        self.whole = self.left = values


class BudgetError(InputError):
    """More than what is left of a budget; `alone` if the whole of it would do."""

    def __init__(self, alone: bool, *problems: Problem) -> None:
        super().__init__(*problems)
        self.alone = alone


@dataclass(frozen=True)
class Opened:
    """A layout and the way to its pixels.

    Parameters
    ----------
    load : channel or None -> (channels, slices, H, W)
    planes : channel or None -> int
        How many planes `load` decodes for that: all of the file, colours and transparency too,
        unless the format lets one channel be read alone.
    pages_as_channels : () -> Opened, optional
        The same file with its pages of unknown meaning as channels.
    """

    path: Source
    layout: Layout
    load: Callable[[int | None], Pixels]
    planes: Callable[[int | None], int]
    pages_as_channels: Callable[[], Opened] | None = None

    def refuse(self, what: str, expected: str = "", remedy: str = "") -> InputError:
        """The error that names this file."""
        return InputError(Problem(str(self.path), what, expected, remedy))


@contextmanager
def decoding(path: Source, kind: str) -> Iterator[None]:
    """Turn whatever a decoder throws at a damaged file into an `InputError` that names the file.

    Decoders meet damaged bytes anywhere, so what they raise is anything from `struct.error` to
    `ZeroDivisionError`; nothing but calls into them belongs into this block.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        problem = Problem(str(path), f"too large for this machine's memory as {kind}")
        raise InputError(problem) from None
    except Exception as error:  # noqa: BLE001
        detail = " ".join(str(error).split())[:160] or type(error).__name__
        problem = Problem(str(path), f"cannot be read as {kind} ({detail})", remedy=DAMAGED)
        raise InputError(problem) from None


def check_size(path: Source, layout: Layout, *, planes: int, max_pixels: int) -> None:
    """Refuse before decoding what would not fit; `planes` are all that have to be decoded."""
    if layout.height < 1 or layout.width < 1:
        raise InputError(
            Problem(str(path), f"{layout.width} x {layout.height} pixels", "a picture", DAMAGED)
        )
    if layout.height * layout.width * planes > max_pixels:
        raise InputError(_too_large(path, layout, planes, max_pixels))


def spend(opened: Opened, channel: int | None, *, max_pixels: int, budget: Budget | None) -> None:
    """Refuse before decoding what would not fit, and take the rest from the budget.

    Colours and transparency of a picture are no more pixels, but values of a budget.
    """
    layout, values = opened.layout, opened.planes(channel)
    one_picture = layout.colour or layout.channels == 1
    samples = (layout.channels if one_picture else 1) + (layout.alpha and one_picture)
    check_size(opened.path, layout, planes=-(-values // samples), max_pixels=max_pixels)
    if budget is None:
        return
    needed = layout.height * layout.width * values
    if needed > budget.left:
        problem = _too_large(opened.path, layout, values, budget.left)
        raise BudgetError(needed <= budget.whole, problem)
    budget.left -= needed


def _too_large(path: Source, layout: Layout, planes: int, most: int) -> Problem:
    pixels = layout.height * layout.width * planes
    pages = f" in {planes} planes" if planes > 1 else ""
    return Problem(
        str(path),
        f"{layout.width} x {layout.height} pixels{pages}, {pixels / 1e6:,.0f} million in all",
        f"at most {most / 1e6:,.0f} million",
        "Cut it into fields, or save fewer planes.",
    )


def first_bytes(path: Source, count: int = 16) -> bytes:
    """The beginning of a file that exists, can be read and is not empty."""
    if not isinstance(path, InMemory):
        if not path.exists():
            raise InputError(Problem(str(path), "no such file"))
        if not path.is_file():
            raise InputError(Problem(str(path), "not a file", "an image file"))
    try:
        with path.open("rb") as file:
            start = file.read(count)
    except OSError as error:
        what = f"cannot be opened ({error.strerror})"
        raise InputError(Problem(str(path), what, remedy="Check its permissions.")) from None
    if not start:
        raise InputError(Problem(str(path), "empty file (0 bytes)", "an image", DAMAGED))
    return start
