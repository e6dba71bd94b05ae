"""The difference of Gaussians, against that of scikit-image and on spots that are known."""

from __future__ import annotations

import numpy as np
import pytest
from examples import draw_field
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.filters import difference_of_gaussians as dog_of_scikit_image

from sgseg.evaluation.baseline import (
    BaselinePoint,
    baseline_qualities,
    difference_of_gaussians,
    segment_classically,
)
from sgseg.scores import count_objects, count_pixels

POINT = BaselinePoint(sigma_small=1.0, sigma_large=6.0, deviations=3.0, min_area_px=4)
SPOTS = [(12, 15), (30, 40), (50, 20), (44, 70), (15, 60)]


def spots(*, slope: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Five blurred disks of radius 3 px on uneven light, in 16-bit counts, and their labels."""
    y, x = np.mgrid[:64, :90]
    labels = np.zeros(y.shape, np.int32)
    for number, (row, column) in enumerate(SPOTS, 1):
        labels[(y - row) ** 2 + (x - column) ** 2 <= 9] = number
    light = 1000 + slope * x + gaussian_filter(800.0 * (labels > 0), 1)
    noise = np.random.default_rng(0).normal(0, 10, y.shape)
    return (light + noise).astype(np.uint16), labels


@pytest.mark.parametrize(("small", "large"), [(0.5, 4.0), (1.0, 6.0), (1.5, 12.0)])
def test_the_filter_equals_that_of_scikit_image(small: float, large: float) -> None:
    pixels, _ = spots(slope=5)
    band = dog_of_scikit_image(pixels, small, large, mode="reflect", truncate=4.0)
    expected = (band - band.mean()) / band.std()
    assert np.allclose(difference_of_gaussians(pixels, small, large), expected, atol=1e-9)


@pytest.mark.parametrize("slope", [0.0, 10.0])
def test_spots_are_found_on_uneven_light(slope: float) -> None:
    # A slope of 10 counts per px makes the light at one side 900 counts brighter than at the other,
    # more than the spots themselves: no single threshold on the image would do.
    pixels, truth = spots(slope=slope)
    found = segment_classically(pixels, POINT)
    counts = count_objects(truth, found, iou=0.5)
    assert (counts.tp, counts.fp, counts.fn) == (5, 0, 0)
    assert count_pixels(truth > 0, found > 0).iou > 0.7


def test_dark_spots_are_none() -> None:
    pixels, _ = spots()
    assert segment_classically(65_535 - pixels, POINT).max() == 0


def test_gain_and_offset_of_the_camera_drop_out() -> None:
    pixels, _ = spots(slope=3)
    brighter = pixels.astype(np.float32) * 0.37 + 200
    assert np.array_equal(segment_classically(pixels, POINT), segment_classically(brighter, POINT))


@given(st.floats(0, 65_535, width=32), st.integers(3, 30), st.integers(3, 30))
@settings(max_examples=30)
def test_a_flat_image_holds_nothing(value: float, height: int, width: int) -> None:
    flat = np.full((height, width), value, np.float32)
    assert not difference_of_gaussians(flat, 1.0, 6.0).any()
    assert not segment_classically(flat, POINT).any()


def test_every_setting_is_what_segmenting_with_it_gives() -> None:
    pixels, truth = draw_field([(10, 10), (20, 30), (40, 12)])
    table = baseline_qualities(
        pixels,
        truth,
        sigmas_small=[0.5, 1.5],
        sigmas_large=[4.0, 6.0],
        deviations=[1.5, 3.0],
        min_areas_px=[1, 8],
        object_iou=0.3,
    )
    assert len(table) == 2 * 2 * 2 * 2
    for point, quality in table.items():
        found = segment_classically(pixels, point)
        expected = count_objects(truth, found, iou=0.3)
        assert (quality.objects.tp, quality.objects.fp, quality.objects.fn) == (
            expected.tp,
            expected.fp,
            expected.fn,
        )
        assert quality.objects.iou_sum == pytest.approx(expected.iou_sum)
        assert quality.iou == count_pixels(truth > 0, found > 0).iou
    # They differ: the grid is worth trying.
    assert len({quality.iou for quality in table.values()}) > 3
