"""The chain of directories in a TIFF, one per page, each of which says where the next one lies.

tifffile follows it wherever it leads: in a circle for ever, which takes a file of 1 kB.
"""

from __future__ import annotations

import struct

from tifffile import TiffFile

MAX_PAGES = 1_000_000
_MOST_TAGS = 4_096  # tifffile ends the chain at a page of more


def why_endless(tif: TiffFile) -> str:
    """The reason why the chain cannot be followed to its end; '' where it can, or is cut off."""
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
            file.seek(offset + form.tagnosize + tags * form.tagsize)
    except struct.error:
        pass  # cut off: what is missing is named where it is read
    return ""


def _number(content: bytes, form: str) -> int:
    return int(struct.unpack(form, content)[0])
