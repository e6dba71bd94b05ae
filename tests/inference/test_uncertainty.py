"""How far members disagree, against numbers worked out by hand and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.measure import label

from sgseg.inference.uncertainty import RunningMoments, disagreement

SHAPE = (6, 7)
MASKS = arrays(np.bool_, SHAPE)


def moments(*maps: NDArray[np.float32]) -> RunningMoments:
    running = RunningMoments(with_deviation=True)
    for found in maps:
        running.add(found)
    return running


def test_mean_and_deviation_of_a_pixel() -> None:
    # Of 0.2, 0.4 and 0.9: mean 0.5, deviations -0.3, -0.1, 0.4: sqrt((0.09 + 0.01 + 0.16) / 3).
    running = moments(*(np.array([[p]], np.float32) for p in (0.2, 0.4, 0.9)))
    assert running.mean[0, 0] == pytest.approx(0.5)
    assert running.deviation[0, 0] == pytest.approx(np.sqrt(0.26 / 3))


def test_halves_that_contradict_each_other_disagree_most() -> None:
    running = moments(*(np.full((1, 1), p, np.float32) for p in (0, 1, 1, 0)))
    assert running.deviation[0, 0] == 0.5


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.just(3), st.just(4)),
        elements=st.floats(0, 1, width=32),
    )
)
def test_one_map_at_a_time_gives_what_all_at_once_give(maps: NDArray[np.float32]) -> None:
    running = moments(*maps)
    assert np.array_equal(running.mean, maps.mean(axis=0))  # to the bit
    assert np.allclose(running.deviation, maps.astype(np.float64).std(axis=0), atol=1e-6)
    assert running.deviation.dtype == running.mean.dtype == np.float32


def test_small_deviations_do_not_drown() -> None:
    # 1 - 1e-4 and 1 + 1e-4 deviate by 1e-4, of which mean squares in float32 would keep two digits.
    running = moments(*(np.full((1, 1), 1 + d, np.float32) for d in (-1e-4, 1e-4)))
    assert running.deviation[0, 0] == pytest.approx(1e-4, rel=1e-3)


def test_maps_that_were_added_are_left_alone() -> None:
    first = np.zeros((2, 2), np.float32)
    moments(first, np.ones((2, 2), np.float32))
    assert not first.any()


def test_what_was_not_kept_cannot_be_asked_for() -> None:
    running = RunningMoments(with_deviation=False)
    with pytest.raises(ValueError, match="no map"):
        _ = running.mean
    running.add(np.zeros((1, 1), np.float32))
    with pytest.raises(ValueError, match="not kept"):
        _ = running.deviation


def mask(text: str) -> NDArray[np.bool_]:
    return np.array([[letter == "#" for letter in line] for line in text.split()])


def test_granules_and_image_by_hand() -> None:
    labels = np.array(
        [
            [1, 1, 0, 0, 2, 2],
            [1, 1, 0, 0, 0, 0],
        ],
        dtype=np.int32,
    )
    members = [
        mask("##..## ##...."),  # the same
        mask("##.... ##..##"),  # 2 lies below: it shares no pixel with it
        mask("###### ......"),  # one component of 6 px, which shares 2 px with either
        mask("...... ......"),
    ]
    found = disagreement(labels, members)
    # Granule 1, 4 px: IoU 1, 1, 2 / (4 + 6 - 2) = 0.25, 0: mean 0.5625.
    # Granule 2, 2 px: IoU 1, 0, 2 / (2 + 6 - 2) = 1 / 3, 0: mean 1 / 3.
    assert found.granules == pytest.approx([1 - 0.5625, 2 / 3])
    # Image, 6 px: IoU 6 / 6, 4 / 8, 4 / 8, 0 / 6: mean 0.5.
    assert found.image == pytest.approx(0.5)


def test_components_touch_over_corners() -> None:
    labels = np.array([[1, 0, 0], [0, 0, 0]], np.int32)
    # Two pixels that meet at a corner are one component of 2: 1 / 2; and the granule itself: 1 / 1.
    found = disagreement(labels, [mask("#.. .#."), mask("#.. ...")])
    assert found.granules == pytest.approx([1 - 0.75])


@pytest.mark.parametrize("members", [2, 5])
def test_agreement_is_0(members: int) -> None:
    labels = np.array([[1, 0, 2, 2]], np.int32)
    found = disagreement(labels, [labels > 0] * members)
    assert found.granules.tolist() == [0, 0]
    assert found.image == 0


def test_nothing_found_by_anybody_is_agreement() -> None:
    nothing = np.zeros((3, 3), np.int32)
    found = disagreement(nothing, [nothing > 0] * 3)
    assert found.granules.shape == (0,)
    assert found.image == 0


def test_a_granule_that_one_member_alone_finds_shows_in_the_image() -> None:
    nothing = np.zeros((3, 3), np.int32)
    # IoU 1, 1, 1 and 0 of 1: 1 - 3 / 4.
    found = disagreement(nothing, [nothing > 0] * 3 + [np.eye(3) > 0])
    assert found.image == 0.25


@pytest.mark.parametrize("members", [0, 1])
def test_one_alone_cannot_disagree(members: int) -> None:
    labels = np.ones((2, 2), np.int32)
    with pytest.raises(ValueError, match=f"at least two .* Received: {members}"):
        disagreement(labels, [labels > 0] * members)


@given(MASKS, st.lists(MASKS, min_size=2, max_size=4))
@settings(max_examples=50)
def test_against_sets_of_pixels(
    ensemble: NDArray[np.bool_], members: list[NDArray[np.bool_]]
) -> None:
    def pixels(where: NDArray[np.bool_]) -> set[tuple[int, int]]:
        return {(int(row), int(column)) for row, column in np.argwhere(where)}

    def iou(a: set[tuple[int, int]], b: set[tuple[int, int]]) -> float:
        return len(a & b) / len(a | b) if a | b else 1.0

    labels = label(ensemble, connectivity=2).astype(np.int32)
    found = disagreement(labels, members)
    for number in range(1, int(labels.max()) + 1):
        granule = pixels(labels == number)
        ious = []
        for member in members:
            parts = label(member, connectivity=2)
            components = [pixels(parts == n) for n in range(1, int(parts.max()) + 1)]
            ious.append(iou(granule, set().union(*(c for c in components if c & granule))))
        assert found.granules[number - 1] == pytest.approx(1 - np.mean(ious))
    assert found.image == pytest.approx(
        1 - np.mean([iou(pixels(ensemble), pixels(member)) for member in members])
    )
    assert ((found.granules >= 0) & (found.granules <= 1)).all()
    assert 0 <= found.image <= 1
