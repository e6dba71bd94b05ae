"""Where one dye ends and two begin."""

from __future__ import annotations

import numpy as np
import pytest

from sgseg.images.colour import dye_channel


def planes(second: float, *, wide: bool) -> np.ndarray:
    """A green cell of range 0 to 200, and in blue a nucleus or three puncta of height `second`."""
    y, x = np.mgrid[:120, :120]

    def spot(row: int, column: int, width: float) -> np.ndarray:
        return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))

    green = 80 * spot(60, 60, 30) + 120 * (spot(50, 40, 2) + spot(70, 80, 2) + spot(45, 75, 2))
    other = spot(60, 55, 12) if wide else spot(30, 50, 2) + spot(80, 60, 2) + spot(60, 90, 2)
    noise = np.random.default_rng(3).normal(0, 3, (3, 120, 120))
    rgb = np.stack([np.zeros_like(green), green, second * other]) + noise
    return np.clip(rgb, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(("second", "alone"), [(0, True), (12, True), (150, False), (250, False)])
def test_second_dye(second: float, alone: bool, wide: bool) -> None:
    assert dye_channel(planes(second, wide=wide))[1] == alone


def test_a_wide_but_dim_second_dye() -> None:
    # Half of the field 20 % as bright as the dye's range: far below 35 % of the range, but its
    # standard deviation, 20, is above 30 % of the dye's.
    rgb = planes(0, wide=True)
    rgb[2, :, :60] = 40
    assert float(rgb[2].std()) / float(rgb[1].std()) > 0.3
    assert 40 / float(np.ptp(rgb[1])) < 0.35
    assert dye_channel(rgb) == (1, False)


def test_one_bright_punctum_of_a_second_dye() -> None:
    # 25 of 14,400 pixels: 150 * sqrt(25 / 14400) = 6, below 30 % of the dye's standard deviation.
    rgb = planes(0, wide=True)
    rgb[2, 100:105, 100:105] = 150
    assert float(rgb[2].std()) / float(rgb[1].std()) < 0.3
    assert dye_channel(rgb) == (1, False)


def test_a_tinted_background_is_no_dye() -> None:
    rgb = planes(0, wide=True)
    rgb[0] += 60
    assert dye_channel(rgb) == (1, True)


def test_a_scale_bar_is_refused() -> None:
    rgb = planes(0, wide=True)
    rgb[:, 110:114, 80:115] = 255
    assert not dye_channel(rgb)[1]


@pytest.mark.parametrize(("green", "expected"), [(0.95, 1), (0.5, 2)])
def test_green_is_preferred_where_nearly_as_strong(green: float, expected: int) -> None:
    dye = planes(0, wide=True)[1].astype(np.float32)
    rgb = np.stack([np.zeros_like(dye), green * dye, dye])
    assert dye_channel(rgb) == (expected, True)
