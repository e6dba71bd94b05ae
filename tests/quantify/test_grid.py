"""Coarse copies of images, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sgseg.quantify.grid import (
    at_border,
    block_mean,
    enlarge,
    label_medians,
    local_background,
    renumbered,
    repeat,
)

SMALL = arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 5)
)


def test_block_mean_by_hand() -> None:
    image = np.array([[1, 3, 5], [5, 7, 9]])
    # (1 + 3 + 5 + 7) / 4; the second block is filled up with its only column: (5 + 9) / 2.
    np.testing.assert_array_equal(block_mean(image, 2), [[4, 7]])


@given(SMALL, st.integers(1, 4))
def test_repeat_undoes_block_mean_of_constant_blocks(
    coarse: NDArray[np.uint8], factor: int
) -> None:
    image = np.kron(coarse, np.ones((factor, factor), np.uint8))
    np.testing.assert_array_equal(block_mean(image, factor), coarse)
    np.testing.assert_array_equal(repeat(coarse, factor, image.shape), image)


def test_enlarge_keeps_a_plane() -> None:
    rows, columns = np.indices((12, 20), dtype=np.float32)
    plane = 3 * rows + columns
    found = enlarge(block_mean(plane, 4), 4, plane.shape)
    # Between the middles of the outermost blocks; beyond them it stays the same.
    np.testing.assert_allclose(found[2:-2, 2:-2], plane[2:-2, 2:-2], rtol=1e-5)
    assert found[0, 0] == found[1, 1]


def test_local_background_is_under_the_objects() -> None:
    image = np.full((90, 120), 50, np.float32)
    image[40:50, 40:50] += 100
    found = local_background(image, scale=10, share=10, reach=4)
    np.testing.assert_allclose(found, 50)


def test_renumbered() -> None:
    labels = np.array([0, 1, 2, 4, 4])
    keep = np.array([True, False, True, True, True])
    np.testing.assert_array_equal(renumbered(labels, keep), [0, 0, 1, 3, 3])


def test_at_border() -> None:
    labels = np.array([[0, 1, 0], [2, 3, 0], [0, 0, 4]])
    assert at_border(labels, 5).tolist() == [False, True, True, False, True, False]


@given(SMALL)
def test_label_medians(labels: NDArray[np.uint8]) -> None:
    values = np.arange(labels.size, dtype=np.float32).reshape(labels.shape) ** 2
    found = label_medians(values, labels.astype(np.int32))
    assert len(found) == labels.max() + 1
    for label in np.unique(labels[labels > 0]):
        assert found[label] == pytest.approx(np.median(values[labels == label]))
