"""Statistics of large images equal those of ordinary ones, without copies of the image."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sgseg.inference import measure
from sgseg.inference.measure import Large, Ordinary, brightness_of, noise_level

SHAPES = st.tuples(st.integers(1, 13), st.integers(1, 13))
IMAGES = st.one_of(
    arrays(np.uint8, SHAPES),
    arrays(np.uint16, SHAPES, elements=st.sampled_from([0, 1, 7, 300, 65535])),
    arrays(np.float32, SHAPES, elements=st.integers(-400, 400).map(lambda n: n / 4)),
    arrays(np.int32, SHAPES, elements=st.integers(-5, 5)),
)


@given(IMAGES, st.integers(1, 40), st.floats(0, 100))
def test_strips_and_counts_change_nothing(
    pixels: NDArray[np.generic], strip_px: int, share: float
) -> None:
    values = pixels.astype(np.float64)
    near = {"rel": 1e-5, "abs": 1e-5 * max(1.0, float(np.abs(values).max()))}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(measure, "STRIP_PX", strip_px)
        for found in (Ordinary(pixels), Large(pixels)):
            assert found.extremes() == (values.min(), values.max())
            # Of the numbers themselves, in double precision.
            low, span = np.percentile(values, 1), np.ptp(np.percentile(values, [1, 99.8]))
            assert found.percentile(share) == pytest.approx(np.percentile(values, share), **near)
            assert found.spread(1, 99.8) == pytest.approx((low, span), **near)
            moments = values.mean(), values.std()
            assert found.mean_and_deviation() == pytest.approx(moments, **near)
            assert found.noise() == pytest.approx(noise_level(values), **near)
        mean, _ = Large(pixels).mean_and_deviation()
        bright = values[values > mean]
        expected = pytest.approx(np.median(bright), **near) if bright.size else None
        assert Large(pixels).bright_median() == expected


def test_a_large_image_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 65535, (2400, 1000), np.uint16)  # 4.8 MB
    monkeypatch.setattr(measure, "LARGE_PX", 10**6)
    monkeypatch.setattr(measure, "STRIP_PX", 20_000)
    tracemalloc.start()
    brightness = brightness_of(pixels)
    found = brightness.percentile(50), brightness.bright_median(), brightness.noise()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Counts of 65,536 values in 8 bytes, a few times, and strips of 20 rows.
    assert peak < 3e6
    assert isinstance(brightness, Large)
    assert isinstance(brightness_of(pixels[:900]), Large)
    assert isinstance(brightness_of(pixels[:900].astype(np.float32)), Ordinary)
    # Uniform in 0 to 65535: the median, and that of the upper half. Noise: the standard deviation
    # 65535 / sqrt(12) = 18918, by a mask that takes it for normal.
    assert found == pytest.approx((32768, 49152, 18918), rel=0.02)


@pytest.mark.parametrize("sigma", [0.1, 3.0, 200.0])
def test_noise_level_is_blind_to_smooth_structure(sigma: float) -> None:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:150, :170]
    smooth = 1000 + 300 * np.sin(x / 40) + 200 * np.cos(y / 30)
    image = (smooth + rng.normal(0, sigma, smooth.shape)).astype(np.float64)
    # 25,500 pixels: the estimate is good to a few per cent; curvature adds less than 0.05 counts.
    assert noise_level(image) == pytest.approx(sigma, rel=0.04, abs=0.05)
