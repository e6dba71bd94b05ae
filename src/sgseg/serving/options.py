"""What a caller may ask for: for all images of a request (`params`), or for one (a column)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.images.read import PROJECTIONS

RETURNS = ("labels", "probability", "rois", "granules", "maps")


@dataclass(frozen=True)
class Options:
    """How one image is read and segmented, and what is answered.

    Parameters
    ----------
    threshold, min_area_px
        From probability to granules; None for the model's own.
    channel, second_channel, projection, pixel_size_um
        How the image is read, see `read_image`.
    returns
        Of `RETURNS`, beside the numbers: the label image, the probability as 16-bit PNG, the
        outlines for ImageJ, a table of the granules, the probability (and its standard deviation
        over the members) as they were computed.
    """

    threshold: float | None = None
    min_area_px: int | None = None
    channel: int | str | None = None
    second_channel: int | str | None = None
    projection: str | None = None
    pixel_size_um: float | None = None
    returns: tuple[str, ...] = ("labels",)

    def with_values(self, values: Mapping[str, Any], where: str) -> Options:
        """The same with other values; those that are None stay as they are.

        Raises
        ------
        InputError
            A name is unknown or a value cannot be used. All are named, each as `where: name`.
        """
        problems: list[Problem] = []
        changes: dict[str, Any] = {}
        for name, value in values.items():
            if name not in _READERS:
                known = ", ".join(_READERS)
                problems.append(Problem(f"{where}: {shown(name)}", "unknown", f"one of {known}"))
            elif value is not None:
                read, expected = _READERS[name]
                try:
                    changes[name] = read(value)
                except (TypeError, ValueError, OverflowError):
                    problems.append(Problem(f"{where}: {name}", f"got {shown(value)}", expected))
        if problems:
            raise InputError(*problems)
        return replace(self, **changes) if changes else self


def shown(value: object) -> str:
    """A value as an error shows it: short, whatever was sent."""
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'mapping'} of {len(value)}"
    text = repr(value[:40] if isinstance(value, str | bytes) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _threshold(value: Any) -> float:
    if not 0 <= _number(value) <= 1:
        raise ValueError
    return float(value)


def _min_area(value: Any) -> int:
    # A column in which some rows say nothing holds 4.0 for 4.
    if _number(value) != int(value) or not 1 <= value <= 2**31:
        raise ValueError
    return int(value)


def _channel(value: Any) -> int | str:
    if isinstance(value, str) and 0 < len(value) <= 200:
        # Signed, or of another script, it is a name.
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 5 else value
    if _number(value) != int(value) or not 0 <= value < 10_000:
        raise ValueError
    return int(value)


def _projection(value: Any) -> str:
    if not isinstance(value, str) or value not in PROJECTIONS:
        raise ValueError
    return value


def _pixel_size(value: Any) -> float:
    if not 0 < _number(value) < 1e6:
        raise ValueError
    return float(value)


def _returns(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError
    wanted = {name.strip() for name in names} - {""}
    if not wanted <= set(RETURNS):
        raise ValueError
    return tuple(name for name in RETURNS if name in wanted)


_READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "threshold": (_threshold, "a number in [0, 1]"),
    "min_area_px": (_min_area, "a whole number, at least 1"),
    "channel": (_channel, "the number (from 0) or name of a channel"),
    "second_channel": (_channel, "the number (from 0) or name of a channel"),
    "projection": (_projection, f"one of {', '.join(PROJECTIONS)}"),
    "pixel_size_um": (_pixel_size, "a number above 0"),
    "returns": (_returns, f"some of {', '.join(RETURNS)}, with commas between them"),
}
NAMES = tuple(_READERS)
