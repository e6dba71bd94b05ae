"""Masks of a bit per pixel come back as they were put in."""

from __future__ import annotations

import numpy as np
import pytest

from sgseg.inference.bitmask import BitMask


@pytest.mark.parametrize("width", [1, 7, 8, 9, 40, 43])
def test_parts_make_the_whole(width: int) -> None:
    mask = np.random.default_rng(width).random((21, width)) < 0.5
    kept = BitMask(mask.shape)
    assert not kept.mask().any()
    for top in (0, 10):
        for left in range(0, width, 16):
            place = (slice(top, min(top + 10, 21)), slice(left, min(left + 16, width)))
            kept.put(place, mask[place])
    kept.put((slice(20, 21), slice(0, width)), mask[20:])
    assert np.array_equal(kept.mask(), mask)
    assert kept.mask().dtype == np.bool_


def test_parts_that_would_share_a_byte() -> None:
    kept = BitMask((4, 20))
    for columns in (slice(4, 8), slice(0, 12), slice(8, 19)):
        with pytest.raises(ValueError, match="columns in eights"):
            kept.put((slice(0, 4), columns), np.ones((4, columns.stop - columns.start), bool))
    kept.put((slice(0, 4), slice(16, 20)), np.ones((4, 4), bool))
    assert kept.mask().sum() == 16
