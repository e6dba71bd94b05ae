"""From probabilities to granules, against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.measure
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sgseg.inference.segment import drop_small, to_labels

MAPS = arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)


@given(MAPS, st.sampled_from([0.25, 0.5]), st.integers(1, 6))
def test_labels_equal_those_of_scikit_image(
    probability: NDArray[np.float32], threshold: float, min_area_px: int
) -> None:
    found = to_labels(probability, threshold=threshold, min_area_px=min_area_px)
    reference = skimage.measure.label(probability > threshold, connectivity=2)
    regions = [r for r in skimage.measure.regionprops(reference) if r.area >= min_area_px]
    expected = {frozenset(map(tuple, r.coords.tolist())) for r in regions}
    names = [name for name in np.unique(found) if name]
    assert {frozenset(map(tuple, np.argwhere(found == n).tolist())) for n in names} == expected
    assert names == list(range(1, len(expected) + 1))
    assert found.dtype == np.int32


@given(MAPS, st.integers(1, 6))
def test_a_mask_without_what_is_small_is_that_of_the_labels(
    probability: NDArray[np.float32], min_area_px: int
) -> None:
    expected = to_labels(probability, threshold=0.5, min_area_px=min_area_px) > 0
    assert np.array_equal(drop_small(probability > 0.5, min_area_px=min_area_px), expected)


def test_a_pixel_must_be_above_the_threshold() -> None:
    probability = np.array([[0.5, 0.6, 0.4]])
    assert to_labels(probability, threshold=0.5, min_area_px=1).tolist() == [[0, 1, 0]]


def test_corners_connect_and_small_ones_go() -> None:
    # One granule of 3 px over a corner, and one of 2 px.
    probability = np.array(
        [
            [1, 0, 0, 0, 1],
            [0, 1, 0, 0, 1],
            [0, 1, 0, 0, 0],
        ],
        dtype=np.float32,
    )
    assert to_labels(probability, threshold=0.5, min_area_px=3).tolist() == [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 1, 0, 0, 0],
    ]
    assert to_labels(probability, threshold=0.5, min_area_px=2).max() == 2


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_and_everything(value: float) -> None:
    found = to_labels(np.full((4, 5), value), threshold=0.5, min_area_px=20)
    assert np.array_equal(found, np.full((4, 5), int(value)))
    assert not to_labels(np.full((4, 5), value), threshold=0.5, min_area_px=21).any()
