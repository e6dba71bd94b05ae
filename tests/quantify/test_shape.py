"""Shapes of known size, and what scikit-image makes of the same label images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.measure import regionprops

from sgseg.quantify.pixels import Pixels
from sgseg.quantify.shape import Shapes, measure_shapes

from .drawing import LABELS, Labels, disk, ellipse, label_image


def shapes_of(*masks: NDArray[np.bool_]) -> Shapes:
    return measure_shapes(Pixels.of(label_image(*masks)))


@given(LABELS)
def test_as_scikit_image_where_it_defines_the_same(labels: Labels) -> None:
    found = measure_shapes(Pixels.of(labels))
    for index, region in enumerate(regionprops(labels)):
        assert found.area[index] == region.area
        assert (found.row[index], found.column[index]) == pytest.approx(region.centroid)
        assert found.equivalent_diameter[index] == pytest.approx(region.equivalent_diameter_area)
        assert found.perimeter[index] == pytest.approx(region.perimeter_crofton)
        assert found.solidity[index] == pytest.approx(region.solidity)
        # Its eigenvalues are 1e-16 where they are 0, and axes their root.
        assert found.major_axis[index] == pytest.approx(region.axis_major_length, abs=1e-6)
        assert found.minor_axis[index] == pytest.approx(region.axis_minor_length, abs=1e-6)
        if region.area > 1:
            assert found.eccentricity[index] == pytest.approx(region.eccentricity, abs=1e-6)


@given(LABELS, st.integers(1, 3), st.booleans())
def test_turned_and_mirrored_shapes_measure_the_same(
    labels: Labels, quarters: int, mirrored: bool
) -> None:
    turned = np.rot90(labels, quarters)
    turned = turned[:, ::-1] if mirrored else turned
    one, other = measure_shapes(Pixels.of(labels)), measure_shapes(Pixels.of(turned))
    for name in ("area", "perimeter", "circularity", "solidity", "touches_border"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)
    for name in ("major_axis", "minor_axis", "eccentricity"):
        # A root of what may be 0 but for rounding.
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-5)
    thick = one.minor_axis > 0.1
    np.testing.assert_allclose(one.aspect_ratio[thick], other.aspect_ratio[thick])


@given(LABELS, st.integers(1, 30), st.integers(1, 30))
def test_moved_shapes_measure_the_same(labels: Labels, down: int, right: int) -> None:
    inside, moved = np.pad(labels, 1), np.pad(labels, ((down, 1), (right, 1)))
    one, other = measure_shapes(Pixels.of(inside)), measure_shapes(Pixels.of(moved))
    np.testing.assert_allclose(other.row - one.row, down - 1, atol=1e-9)
    np.testing.assert_allclose(other.column - one.column, right - 1, atol=1e-9)
    for name in ("perimeter", "circularity", "solidity", "touches_border"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)
    np.testing.assert_allclose(one.major_axis, other.major_axis, atol=1e-5)


def disks(radius: float, count: int) -> Shapes:
    """Disks at random places on the grid, one field each joined to a strip."""
    rng = np.random.default_rng(int(10 * radius))
    side = 2 * int(radius) + 5
    parts = [
        disk((side, side), (side / 2 + y, side / 2 + x), radius) * number
        for number, (y, x) in enumerate(rng.uniform(-0.5, 0.5, (count, 2)), 1)
    ]
    return measure_shapes(Pixels.of(np.hstack(parts).astype(np.int32)))


@pytest.mark.parametrize("radius", [3.0, 4.0, 6.0, 10.0, 20.0, 30.0])
def test_disks(radius: float) -> None:
    found = disks(radius, 40)
    # Single ones are off by up to 2.4 % (standard deviation, at 3 px): of 40 the mean by 0.4 %.
    assert found.area.mean() == pytest.approx(np.pi * radius**2, rel=0.01)
    assert found.perimeter.mean() == pytest.approx(2 * np.pi * radius, rel=0.012)
    # The grid makes one axis longer than the other.
    both = (found.major_axis + found.minor_axis) / 2
    assert both.mean() == pytest.approx(2 * radius, rel=0.015)
    assert found.equivalent_diameter.mean() == pytest.approx(2 * radius, rel=0.01)
    assert found.circularity.max() <= 1
    assert found.circularity.min() > 0.88
    # The hull of the pixels' sides is wider than that of their centres.
    assert found.solidity.mean() == pytest.approx(0.97, abs=0.02)
    assert found.aspect_ratio.mean() < 1.1
    assert found.aspect_ratio.min() >= 1


def test_circularity_does_not_depend_on_size() -> None:
    means = [disks(radius, 40).circularity.mean() for radius in (3.0, 6.0, 12.0, 24.0)]
    assert max(means) - min(means) < 0.02


@pytest.mark.parametrize("angle", [0.0, 0.4, 0.8, 1.3])
def test_ellipse(angle: float) -> None:
    found = shapes_of(ellipse((60, 60), (29.7, 30.2), (20.0, 8.0), angle))
    # Ramanujan 1914: pi (a + b) (1 + 3 h / (10 + sqrt(4 - 3 h))), h = ((a - b) / (a + b))^2
    #   h = (12 / 28)^2 = 0.18367; pi * 28 * (1 + 0.55102 / (10 + 1.85717)) = 92.05
    assert found.perimeter[0] == pytest.approx(92.05, rel=0.03)
    assert found.area[0] == pytest.approx(np.pi * 160, rel=0.02)
    assert found.major_axis[0] == pytest.approx(40, rel=0.02)
    assert found.minor_axis[0] == pytest.approx(16, rel=0.02)
    assert found.aspect_ratio[0] == pytest.approx(2.5, rel=0.02)
    # sqrt(1 - (8 / 20)^2)
    assert found.eccentricity[0] == pytest.approx(0.9165, abs=0.005)
    # 4 pi 160 pi / 92.05^2
    assert found.circularity[0] == pytest.approx(0.745, abs=0.03)


def test_touching_disks_are_measured_apart() -> None:
    one, two = disk((40, 60), (20, 20), 10), disk((40, 60), (20, 40), 10)
    alone, both = shapes_of(two), shapes_of(one, two)
    assert both.area.tolist() == [317 - 1, 317]  # they share the pixel at column 30
    for name in ("perimeter", "major_axis", "solidity"):
        assert getattr(both, name)[1] == getattr(alone, name)[0]


def test_a_single_pixel() -> None:
    mask = np.zeros((5, 5), bool)
    mask[2, 3] = True
    found = shapes_of(mask)
    assert (found.area[0], found.row[0], found.column[0]) == (1, 2, 3)
    # Two crossings in each of the four directions: pi / 8 (2 + 2 + 4 / sqrt(2)).
    assert found.perimeter[0] == pytest.approx(np.pi / 8 * (4 + 4 / 2**0.5))
    assert found.circularity[0] == 1  # 4 pi / 2.68^2 = 1.75
    assert (found.solidity[0], found.major_axis[0], found.minor_axis[0]) == (1, 0, 0)
    assert np.isnan([found.aspect_ratio[0], found.eccentricity[0]]).all()
    assert not found.touches_border[0]


@pytest.mark.parametrize("diagonal", [False, True], ids=["straight", "diagonal"])
def test_a_line(diagonal: bool) -> None:
    mask = np.eye(9, dtype=bool) if diagonal else np.zeros((9, 9), bool)
    mask[4] |= not diagonal
    found = shapes_of(mask)
    # Nine points, variance (81 - 1) / 12, along the diagonal sqrt(2) further apart.
    assert found.major_axis[0] == pytest.approx(4 * np.sqrt(80 / 12) * (2**0.5 if diagonal else 1))
    assert (found.minor_axis[0], found.eccentricity[0], found.solidity[0]) == (0, 1, 1)
    assert np.isnan(found.aspect_ratio[0])
    assert found.touches_border[0]


def test_solidity_of_an_angle() -> None:
    mask = np.zeros((7, 7), bool)
    mask[1:6, 1] = mask[5, 1:6] = True
    # 9 px; the hull has 5 + 4 + 3 + 2 + 1 of the 25 pixel centres.
    assert shapes_of(mask).solidity[0] == pytest.approx(9 / 15)


def test_a_hole_lengthens_the_outline() -> None:
    whole = disk((31, 31), (15, 15), 12)
    ring = whole & ~disk((31, 31), (15.3, 14.6), 5)
    around, of_ring = shapes_of(whole).perimeter[0], shapes_of(ring).perimeter[0]
    assert of_ring - around == pytest.approx(2 * np.pi * 5, rel=0.04)
    assert shapes_of(ring).solidity[0] == shapes_of(whole).solidity[0] * ring.sum() / whole.sum()


def test_granules_at_the_border() -> None:
    corner, middle = disk((20, 20), (0, 19), 4), disk((20, 20), (10, 10), 4)
    assert shapes_of(corner, middle).touches_border.tolist() == [True, False]


def test_nothing_to_measure() -> None:
    found = measure_shapes(Pixels.of(np.zeros((4, 4), np.int32)))
    assert all(len(getattr(found, name)) == 0 for name in vars(found))
