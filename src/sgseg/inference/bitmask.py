"""A mask that takes a bit per pixel, for those that have to wait while others are computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sgseg.inference.tiles import Window

Mask = NDArray[np.bool_]


class BitMask:
    """A mask (H, W) that is filled part by part."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._height, self._width = shape
        self._bits = np.zeros((self._height, -(-self._width // 8)), np.uint8)

    def put(self, place: Window, mask: Mask) -> None:
        """Fill a part, which begins at a multiple of 8 columns and ends at one or at the border."""
        rows, columns = place
        if columns.start % 8 or (columns.stop % 8 and columns.stop != self._width):
            raise ValueError(f"expected columns in eights. Received: {columns}")
        self._bits[rows, columns.start // 8 : -(-columns.stop // 8)] = np.packbits(mask, axis=1)

    def mask(self) -> Mask:
        """All of it (H, W)."""
        return np.unpackbits(self._bits, axis=1, count=self._width).view(np.bool_)
