"""The chain of directories in a TIFF, one per page, each of which says where the next one lies.

tifffile follows it wherever it leads: in a circle for ever, which takes a file of 1 kB.
"""

from __future__ import annotations

import struct

from tifffile import TiffFile

MAX_PAGES = 1_000_000
MAX_SMALLER = 1_000
"""Directories below a page: of a pyramid there are as many as it has levels, a dozen."""
_SMALLER = 330  # the tag SubIFDs
_MOST_TAGS = 4_096  # tifffile ends the chain at a page of more


def why_endless(tif: TiffFile) -> str:
    """The reason why the chain cannot be followed to its end; '' where it can, or is cut off.

    Of the smaller images that a page may have, tifffile makes a series each, and of some kB
    gigabytes.
    """
    form, file = tif.tiff, tif.filehandle
    file.seek(8 if form.is_bigtiff else 4)
    seen: set[int] = set()
    try:
        while offset := _number(file.read(form.offsetsize), form.offsetformat):
            if offset in seen:
                return f"page {len(seen)} is followed by an earlier one, and so on for ever"
            if len(seen) == MAX_PAGES:
                return f"more than {MAX_PAGES:,} pages"
            seen.add(offset)
            file.seek(offset)
            tags = _number(file.read(form.tagnosize), form.tagnoformat)
            if tags > _MOST_TAGS:
                break
            entries = file.read(tags * form.tagsize)
            if (n := _smaller(entries, tif)) > MAX_SMALLER:
                return f"page {len(seen)} has {n:,} smaller images"
    except struct.error:
        pass  # cut off: what is missing is named where it is read
    return ""


def _smaller(entries: bytes, tif: TiffFile) -> int:
    """How many smaller images the entries of a page name."""
    order, size = tif.tiff.byteorder, tif.tiff.tagsize
    code, form = struct.pack(f"{order}H", _SMALLER), "Q" if tif.tiff.is_bigtiff else "I"
    most, firsts = 0, entries[::size]
    number = firsts.find(code[:1])
    while number >= 0:
        entry = entries[number * size : (number + 1) * size]
        if entry[:2] == code:
            most = max(most, _number(entry[4 : 4 + struct.calcsize(form)], f"{order}{form}"))
        number = firsts.find(code[:1], number + 1)
    return most


def _number(content: bytes, form: str) -> int:
    return int(struct.unpack(form, content)[0])
