"""Filling and tracing against a brute-force count of crossings."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgseg.images.outlines import inside, trace

SHAPE = (8, 10)


def by_hand(rings: list[np.ndarray]) -> np.ndarray:
    """Even-odd rule, pixel by pixel: edges crossed by a ray from the centre to the left."""
    filled = np.zeros(SHAPE, dtype=bool)
    for row in range(SHAPE[0]):
        for column in range(SHAPE[1]):
            y, x, crossed = row + 0.5, column + 0.5, 0
            for ring in rings:
                for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                    if (y0 <= y) != (y1 <= y):
                        crossed += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
            filled[row, column] = crossed % 2
    return filled


def placed(rings: list[np.ndarray]) -> np.ndarray:
    filled = np.zeros(SHAPE, dtype=bool)
    rows, columns, window = inside(rings, SHAPE)
    filled[rows, columns] = window
    return filled


# Not on a half: there rounding decides between inside and outside.
coordinate = st.integers(-30, 130).map(lambda tenths: tenths / 10 + 0.03)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.lists(
        st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=7), min_size=1, max_size=3
    )
)
def test_inside_agrees_with_counting_crossings(points: list[list[tuple[float, float]]]) -> None:
    rings = [np.array(ring) for ring in points]
    assert np.array_equal(placed(rings), by_hand(rings))


def test_adjoining_outlines_share_no_pixel_and_leave_none_out() -> None:
    # The diagonal from (0, 0) to (8, 8) runs through pixel centres.
    above = np.array([(0.0, 0.0), (8.0, 0.0), (8.0, 8.0)])
    below = np.array([(0.0, 0.0), (8.0, 8.0), (0.0, 8.0)])
    square = np.zeros(SHAPE, dtype=bool)
    square[:8, :8] = True
    assert not (placed([above]) & placed([below])).any()
    assert np.array_equal(placed([above]) | placed([below]), square)


def test_nothing_to_fill() -> None:
    for rings in ([], [np.zeros((0, 2))], [np.array([(np.nan, 1.0), (2.0, 2.0), (3.0, 1.0)])]):
        assert not placed(rings).any()
    assert inside([np.array([(20.0, 2.0), (30.0, 2.0), (30.0, 5.0)])], SHAPE)[2].size == 0


def test_trace_of_a_ring() -> None:
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[1:6, 2:7] = 3
    labels[3, 4] = 0
    ((label, rings),) = trace(labels)
    assert label == 3
    # The outer square has its corners at x 2 and 7, y 1 and 6; the hole at x 4 and 5, y 3 and 4.
    assert [sorted(ring.tolist()) for ring in rings] == [
        [[2, 1], [2, 6], [7, 1], [7, 6]],
        [[4, 3], [4, 4], [5, 3], [5, 4]],
    ]
