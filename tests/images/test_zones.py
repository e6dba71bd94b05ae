"""Each of the three signs that integers are no numbers of objects, alone."""

from __future__ import annotations

import numpy as np
import pytest

from sgseg.images.zones import why_not_labels


def drawn(*boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    """Boxes of value, top, left, height and width, later ones over earlier ones."""
    codes = np.zeros((40, 40), dtype=np.int64)
    for value, top, left, height, width in boxes:
        codes[top : top + height, left : left + width] = value
    return codes


def test_scattered_values() -> None:
    # Value 1 in two equal places: its largest piece is half of it, below 80 %.
    codes = drawn((1, 2, 2, 4, 4), (1, 20, 20, 4, 4), (2, 2, 20, 4, 4))
    assert why_not_labels(codes) == "1 of 2 are scattered, one over 2 places"


def test_a_stray_pixel_is_not_scattered() -> None:
    # 16 of 17 pixels = 94 % are one piece.
    assert why_not_labels(drawn((1, 2, 2, 4, 4), (1, 30, 30, 1, 1), (2, 2, 20, 4, 4))) == ""


def test_one_of_ten_may_be_in_pieces() -> None:
    boxes = [(value, 4 * value - 3, 2, 3, 3) for value in range(1, 10)]
    split = [(10, 1, 20, 3, 3), (10, 20, 20, 3, 3)]
    assert why_not_labels(drawn(*boxes, *split)) == ""
    # One of nine is more than one in ten.
    assert "1 of 9 are scattered" in why_not_labels(drawn(*boxes[:8], *split))


def test_thin_rims() -> None:
    # A core that reaches the background on three sides, with a rim one pixel thin on the fourth.
    codes = drawn((255, 5, 5, 6, 6), (128, 5, 11, 6, 1))
    assert why_not_labels(codes) == "1 of 2 areas of one value are the thin rim of another"
    # Two pixels thick it is an object of its own.
    assert why_not_labels(drawn((255, 5, 5, 6, 6), (128, 5, 11, 6, 2))) == ""


def test_nested_levels() -> None:
    # Rings two pixels thick are no thin rims; the core of 4 x 4 touches no background.
    codes = drawn((1, 5, 5, 12, 12), (2, 7, 7, 8, 8), (3, 9, 9, 4, 4))
    assert why_not_labels(codes) == "1 objects consist of nested levels"


def test_an_object_between_others_is_not_nested_if_that_is_the_exception() -> None:
    ring = [(1, 5, 5, 9, 3), (2, 5, 8, 3, 6), (3, 11, 8, 3, 6), (4, 8, 11, 3, 3)]
    middle = (5, 8, 8, 3, 3)
    touching = [(6, 20, 5, 4, 4), (7, 20, 9, 4, 4), (8, 30, 5, 4, 4), (9, 30, 9, 4, 4)]
    assert why_not_labels(drawn(*ring, middle, *touching)) == ""


@pytest.mark.parametrize("scale", [1, 1000, 2**40])
def test_the_size_of_the_values_does_not_matter(scale: int) -> None:
    assert why_not_labels(drawn((scale, 2, 2, 4, 4), (scale + 1, 2, 6, 4, 4))) == ""
    assert why_not_labels(drawn((scale, 2, 2, 4, 4), (scale + 1, 2, 6, 4, 1))) != ""
