from __future__ import annotations

import numpy as np
import pytest

from sgseg.dataset.simulate import optics
from sgseg.dataset.simulate.grid import Grid

GRID = Grid(64, 0.2)


def microscope(
    *, haze: float = 0.0, vignette: float = 0.0, background: float = 0.0, defocus_um: float = 0.0
) -> optics.Microscope:
    day = optics.Day((100.0, 50.0), background, haze, vignette, (0.5, 0.5), 0.0)
    flat = optics.set_up(np.random.default_rng(0), GRID, day)
    return optics.Microscope(GRID, day, flat.illumination, defocus_um)


def test_diffraction_limit() -> None:
    # sqrt(2) / (2 pi) * 0.52 um / 0.95 = 0.2251 * 0.5474 = 0.1232 um = 0.616 px of 0.2 um
    assert microscope().sigma(0) == pytest.approx(0.616, abs=0.001)
    # with a defocus of 0.1643 um (4/3 of it) it is 5/3 of it: 1.027 px
    assert microscope(defocus_um=0.1643).sigma(0) == pytest.approx(1.027, abs=0.001)


def test_a_point_spreads_as_a_gaussian_and_keeps_its_light() -> None:
    point = np.zeros(GRID.shape)
    point[32, 32] = 1.0
    scope = microscope(defocus_um=0.3)
    image = scope.expose(point, channel=0)
    assert image.sum() == pytest.approx(100.0)
    offset = np.arange(64) - 32
    spread = np.sqrt((image.sum(axis=0) * offset**2).sum() / image.sum())
    assert spread == pytest.approx(scope.sigma(0), rel=0.05)


def test_haze_takes_light_from_the_focus_and_spreads_it() -> None:
    point = np.zeros(GRID.shape)
    point[32, 32] = 1.0
    sharp = microscope().expose(point, channel=0)
    hazy = microscope(haze=0.5).expose(point, channel=0)
    assert hazy.sum() == pytest.approx(sharp.sum(), rel=1e-6)
    # half is in focus; the other half is spread so far (6.5 px and more) that it adds little
    assert 0.5 < hazy[32, 32] / sharp[32, 32] < 0.52


def test_photons_background_and_illumination() -> None:
    even = np.ones(GRID.shape)
    # 100 photons of marker (50 of dye) and 20 of background everywhere
    np.testing.assert_allclose(microscope(background=20.0).expose(even, channel=0), 120.0)
    np.testing.assert_allclose(microscope(background=20.0).expose(even, channel=1), 70.0)
    dim = microscope(vignette=0.3).expose(even, channel=0)
    assert dim.max() == pytest.approx(100.0, abs=0.1)
    assert dim[0, 0] == dim.min() == pytest.approx(70.0)  # the corner gets 30 % less


@pytest.mark.parametrize("mean", [5.0, 100.0, 1000.0])
def test_noise_is_that_of_photons_and_read_out(mean: float) -> None:
    counts = optics.read_out(np.random.default_rng(2), np.full((300, 300), mean))
    electrons = (counts.astype(float) - optics.OFFSET) / optics.COUNTS_PER_ELECTRON
    # 90,000 pixels: standard errors of 0.3 % (mean of 5: sqrt(5 + 6.25) / 300 / 5) to 0.5 %
    # (variance: sqrt(2 / 90000)) and less
    assert electrons.mean() == pytest.approx(mean, rel=0.03)
    assert electrons.var() == pytest.approx(mean + optics.READ_NOISE**2, rel=0.03)


def test_more_than_16_bit_saturates_and_darkness_does_not_wrap() -> None:
    # (65535 - 600) / 36 = 1803.75 electrons fill the scale
    counts = optics.read_out(np.random.default_rng(2), np.array([[1e5, 2500.0, 0.0]]))
    assert counts.dtype == np.uint16
    assert list(counts[0, :2]) == [65535, 65535]
    assert counts[0, 2] < 2000


def test_an_object_in_focus_is_what_it_adds_to_the_exposure() -> None:
    scope = microscope(vignette=0.3, defocus_um=0.1)
    object_ = np.zeros(GRID.shape)
    object_[10:14, 20:23] = 2.0
    window = (slice(4, 20), slice(14, 29))
    added = scope.expose(1 + object_, channel=0) - scope.expose(np.ones(GRID.shape), channel=0)
    np.testing.assert_allclose(scope.in_focus(object_[window], window), added[window], atol=1e-9)


def test_days_differ_and_are_kept() -> None:
    first, again, second = (optics.draw_day(np.random.default_rng(s), 250.0) for s in (1, 1, 2))
    assert first == again
    assert first != second


def test_hot_pixels_are_few_and_bright() -> None:
    leak = optics.hot_pixels(np.random.default_rng(4), Grid(512, 0.2))
    # 262144 * 4e-5 = 10.5 expected
    assert 2 <= (leak > 0).sum() <= 25
    assert leak[leak > 0].min() >= 150
