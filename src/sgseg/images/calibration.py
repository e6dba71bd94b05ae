"""The size of a pixel as files state it. Units only; the files are opened elsewhere."""

from __future__ import annotations

import unicodedata

# A light microscope's pixel lies well inside these limits. Outside them the number was written by a
# program that had to write something: 72, 96 or 300 dots per inch are 353, 265 and 85 um.
SMALLEST_UM = 0.001
LARGEST_UM = 10.0
# Scale differences below this come from rounding in the file.
SQUARE_TOLERANCE = 0.01

_UM_PER_UNIT = {
    "pm": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "um": 1.0,
    "\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "m": 1e6,
    "inch": 25_400.0,
    "in": 25_400.0,
}


def unit_in_um(unit: str | None) -> float | None:
    r"""Micrometres per unit, None for `pixel` and whatever else is no length.

    ImageJ writes the micro sign as the six characters ``\u00B5``; Greek mu and the micro sign
    differ in Unicode and mean the same.
    """
    text = (unit or "").strip().lower()
    for mu in ("\\u00b5", "\\u03bc", "\u03bc"):
        text = text.replace(mu, "\u00b5")
    return _UM_PER_UNIT.get(unicodedata.normalize("NFC", text))


def believable(size_um: float | None) -> float | None:
    """The size if it can be that of a microscope's pixel, otherwise None (unknown)."""
    if size_um is None or not SMALLEST_UM <= size_um <= LARGEST_UM:
        return None
    return size_um


def square(size: tuple[float, float]) -> bool:
    """Whether width and height of a pixel agree to 1 %."""
    x, y = size
    return abs(x - y) <= SQUARE_TOLERANCE * max(x, y)
