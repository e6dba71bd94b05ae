"""Lists of pixels: what belongs to whom, runs, and objects grown by a distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from sgseg.quantify.pixels import Pixels, median_of

from .drawing import LABELS, Labels


@given(LABELS)
def test_pixels_are_those_of_the_labels(labels: Labels) -> None:
    pixels = Pixels.of(labels)
    assert pixels.names.tolist() == [name for name in np.unique(labels) if name > 0]
    values = np.arange(labels.size).reshape(labels.shape)
    found = pixels.at(values)
    for index, name in enumerate(pixels.names):
        mine = labels == name
        assert found[pixels.owner == index].tolist() == values[mine].tolist()
        assert pixels.area[index] == mine.sum()
        assert pixels.mean(found)[index] == pytest.approx(values[mine].mean())
        assert pixels.largest(found)[index] == values[mine].max()


@given(LABELS, st.sampled_from([0.0, 1.0, 1.5, 2.9, 4.0]), st.integers(1, 3))
def test_grown_objects_are_what_lies_within_the_distance(
    labels: Labels, radius: float, size: int
) -> None:
    pixels = Pixels.of(labels)
    grown = np.zeros((pixels.n, labels.size), np.int64)
    for runs in pixels.runs().batches(size):
        owner, place = runs.grown(radius)
        np.add.at(grown, (owner, place), 1)
    for index, name in enumerate(pixels.names):
        near = distance_transform_edt(labels != name) <= radius
        # Each pixel once.
        assert grown[index].tolist() == near.ravel().astype(int).tolist()


@given(LABELS)
def test_ends_are_where_the_neighbour_is_of_another(labels: Labels) -> None:
    pixels = Pixels.of(labels)
    around = np.pad(labels, 1)
    for down, right in ((0, 1), (1, -1), (-1, 0)):
        there = around[pixels.rows + 1 + down, pixels.columns + 1 + right]
        assert pixels.ends_at((down, right)).tolist() == (there != pixels.at(labels)).tolist()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), max_size=20))
def test_medians_of_groups(pairs: list[tuple[int, int]]) -> None:
    owner = np.array(sorted(pair[0] for pair in pairs), np.int64)
    values = np.array([float(pair[1]) for pair in sorted(pairs, key=lambda pair: pair[0])])
    for group, found in enumerate(median_of(owner, values, 4)):
        mine = values[owner == group]
        assert found == pytest.approx(np.median(mine) if len(mine) else np.nan, nan_ok=True)


@pytest.mark.parametrize(
    "labels",
    [np.zeros((3, 3)), np.zeros((2, 3, 3), np.int32), np.full((3, 3), -1)],
    ids=["fractions", "a stack", "negative"],
)
def test_what_is_no_label_image_is_refused(labels: NDArray[np.int32]) -> None:
    with pytest.raises(ValueError, match=r"a label image .* Received: shape="):
        Pixels.of(labels)
