from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.dataset.simulate.grid import Grid, smooth_noise, smoothstep


@given(
    y=st.floats(-10, 30),
    x=st.floats(-10, 30),
    reach=st.floats(0, 15),
    pixel_size=st.sampled_from([0.1, 0.25, 0.5]),
)
def test_window_is_what_brute_force_finds(
    y: float, x: float, reach: float, pixel_size: float
) -> None:
    grid = Grid(40, pixel_size)
    centres = np.arange(40) * pixel_size
    expected = (np.abs(centres - y) <= reach)[:, None] & (np.abs(centres - x) <= reach)[None, :]
    # a pixel on the limit itself may fall on either side
    limit = np.isclose(np.abs(centres - y), reach)[:, None] | np.isclose(np.abs(centres - x), reach)
    found = np.zeros(grid.shape, dtype=bool)
    found[grid.window(y, x, reach)] = True
    np.testing.assert_array_equal(found[~limit], expected[~limit])


def test_offsets_are_distances_in_um() -> None:
    grid = Grid(10, 0.5)
    window = (slice(2, 4), slice(0, 1))
    dy, dx = grid.offsets(window, 1.2, 0.3)
    # pixels 2 and 3 have their centres at 1.0 and 1.5 um, pixel 0 at 0
    np.testing.assert_allclose(dy, [[-0.2], [0.3]])
    np.testing.assert_allclose(dx, [[-0.3]])


@pytest.mark.parametrize("scale_um", [0.05, 0.4, 3.0])
def test_smooth_noise_is_standardised_and_correlated_over_its_scale(scale_um: float) -> None:
    grid = Grid(128, 0.2)
    noise = smooth_noise(np.random.default_rng(1), grid, scale_um)
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.std() == pytest.approx(1, abs=0.05)
    # White noise blurred by s has the autocorrelation exp(-d^2 / (4 s^2)): d = 1 px = 0.2 um.
    # 0.05 um is below half a pixel: white, 0. 0.4 um = 2 px: exp(-1/16) = 0.939.
    # 3 um = 15 px: exp(-1/900) = 0.999.
    expected = {0.05: 0.0, 0.4: 0.939, 3.0: 0.999}[scale_um]
    neighbours = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]
    assert neighbours == pytest.approx(expected, abs=0.02)


def test_smoothstep() -> None:
    # 0.25^2 * (3 - 0.5) = 0.15625
    np.testing.assert_allclose(
        smoothstep(np.array([-1.0, 0, 0.25, 0.5, 1, 2])), [0, 0, 0.15625, 0.5, 1, 1]
    )
