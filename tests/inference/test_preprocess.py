"""One preprocessing for all: brightness and contrast of the camera drop out, granules stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from examples import draw_field
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sgseg.errors import InputError
from sgseg.inference.preprocess import NORMALISATIONS, Preprocessing, Scale, resample

NAMES = sorted(NORMALISATIONS)
GRANULES = [(10, 10), (20, 30), (40, 12), (50, 40), (30, 45)]


def normalised(pixels: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    return Preprocessing(normalise=name).prepare(pixels)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_field_is_not_stretched_into_granules(name: str) -> None:
    # Nothing but camera noise, whatever its strength: without a floor `minmax` would make its range
    # 1, and the others similar. A granule lies at least one unit of `background` above the cell.
    rng = np.random.default_rng(1)
    for noise in (0.5, 5.0, 50.0):
        field = (1000 + rng.normal(0, noise, (200, 200))).astype(np.float32)
        spread = float(normalised(field, name).std())
        # The floors are 20 (minmax, percentile) and 5 noise standard deviations: 1/20 and 1/5.
        expected = 1 / 20 if name in {"minmax", "percentile"} else 1 / 5
        assert spread == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_field_is_zero(name: str) -> None:
    assert not normalised(np.full((9, 7), 4095, np.uint16), name).any()


@pytest.mark.parametrize("name", NAMES)
def test_gain_and_offset_of_the_camera_drop_out(name: str) -> None:
    counts, _ = draw_field(GRANULES)
    expected = normalised(counts, name)
    for gain, offset in ((1, 37), (3, 0), (7, 500)):
        brighter = (counts.astype(np.uint32) * gain + offset).astype(np.uint16)
        assert np.allclose(normalised(brighter, name), expected, atol=1e-4)
    assert np.allclose(normalised(counts.astype(np.float32) / 65535, name), expected, atol=1e-4)


def test_granules_do_not_change_the_cytoplasm_under_background() -> None:
    # The same cell empty, with five granules, and with five of 100 + 200 x 30 = 6100 counts.
    fields = [
        draw_field([])[0],
        draw_field(GRANULES)[0],
        draw_field(GRANULES, brightness=30.0)[0],
    ]
    cell = np.s_[:, :50]
    levels = [float(np.median(normalised(field, "background")[cell])) for field in fields]
    # Under 10 counts of noise in 200 counts of signal: the scale itself is uncertain by about 2 %.
    assert levels == pytest.approx([1.0, 1.0, 1.0], abs=0.05)
    assert max(levels) - min(levels) < 0.01
    # What an image's own brightest pixel defines does change: the reason for `background`.
    extremes = [float(np.median(normalised(field, "minmax")[cell])) for field in fields]
    assert extremes[0] > 5 * extremes[2]


def test_background_puts_background_at_0_and_cytoplasm_at_1() -> None:
    counts, labels = draw_field(GRANULES, brightness=3.0)
    image = normalised(counts, "background")
    assert float(np.median(image[:, 60:])) == pytest.approx(0, abs=0.06)
    assert float(np.median(image[labels > 0])) == pytest.approx(3, abs=0.15)


def test_the_other_normalisations_as_they_are_defined() -> None:
    # Smooth as light through a lens, so that the noise floor of none of them applies.
    rng = np.random.default_rng(3)
    field = gaussian_filter(rng.normal(0, 1, (120, 120)), 6).astype(np.float32)
    image = normalised(field, "minmax")
    assert (image.min(), image.max()) == (0.0, pytest.approx(1.0))
    low, high = np.percentile(normalised(field, "percentile"), [1, 99.8])
    assert (low, high) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    image = normalised(field, "zscore")
    assert (image.mean(), image.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))


@pytest.mark.parametrize("name", NAMES)
def test_a_window_is_that_of_the_whole_image(name: str) -> None:
    counts, _ = draw_field(GRANULES)
    preprocessing = Preprocessing(name)
    windows = preprocessing.windows(counts)
    assert windows.shape == counts.shape
    place = np.s_[7:31, 40:80]
    assert np.array_equal(windows[place], preprocessing.prepare(counts)[place])
    resized = Preprocessing(name, resize=(30, 40))
    assert np.array_equal(resized.windows(counts)[place], resized.prepare(counts)[place])


def test_a_scale() -> None:
    # (3 - 1) / 4; without any range at all nothing is divided.
    assert Scale(1, 4).apply(np.array([[3]], np.uint8)).tolist() == [[0.5]]
    assert Scale(1, 0).apply(np.array([[3]], np.uint8)).tolist() == [[2]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_input_of_the_network_is_float32(name: str, dtype: type) -> None:
    counts, _ = draw_field([(10, 10)])
    before = (counts // 8).astype(dtype)
    pixels = before.copy()
    image = normalised(pixels, name)
    assert image.dtype == np.float32
    assert image.shape == counts.shape
    assert np.array_equal(pixels, before)  # the caller's pixels stay as they were


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_tiny_images(name: str, shape: tuple[int, int]) -> None:
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint16)
    assert np.isfinite(normalised(pixels, name)).all()


@given(
    arrays(np.int32, (12, 17), elements=st.sampled_from([0, 0, 1, 5, 70_000, 16_777_217])),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_labels_are_never_mixed(labels: NDArray[np.int32], size: tuple[int, int]) -> None:
    found = Preprocessing("background", resize=size).prepare_labels(labels)
    assert found.shape == size
    assert found.dtype == np.int32
    assert set(np.unique(found)) <= set(np.unique(labels))


def test_labels_are_nearest_neighbours_at_whole_factors() -> None:
    labels = np.arange(6, dtype=np.int32).reshape(2, 3)
    doubled = Preprocessing("background", resize=(4, 6)).prepare_labels(labels)
    assert np.array_equal(doubled, np.repeat(np.repeat(labels, 2, 0), 2, 1))
    # A third of the size: the pixel in the middle of each three by three.
    thirds = Preprocessing("background", resize=(4, 6)).prepare_labels(
        np.repeat(np.repeat(doubled, 3, 0), 3, 1)
    )
    assert np.array_equal(thirds, doubled)


def test_labels_stay_on_their_granules() -> None:
    counts, labels = draw_field(GRANULES, brightness=20.0)
    shrunk = Preprocessing("background", resize=(30, 40))
    image, found = shrunk.prepare(counts), shrunk.prepare_labels(labels)
    # Half the size: a 3 x 3 granule keeps at least its middle, and its brightness, there.
    assert set(np.unique(found)) == set(range(6))
    assert image[found > 0].min() > 3 * np.median(image[:, :25])


@pytest.mark.parametrize(
    ("settings", "pixel_size_um", "expected"),
    [
        ({}, 0.2, (60, 80)),
        ({"resize": (32, 48)}, 0.2, (32, 48)),
        # 0.2 um pixels shown at 0.1 um: twice as many on every side.
        ({"target_pixel_size_um": 0.1}, 0.2, (120, 160)),
        ({"target_pixel_size_um": 0.1}, 0.05, (30, 40)),
        ({"target_pixel_size_um": 0.1}, None, (60, 80)),
        ({"target_pixel_size_um": 0.1, "resize": (32, 48)}, 0.2, (32, 48)),
        ({"target_pixel_size_um": 100.0}, 0.2, (1, 1)),
    ],
)
def test_size_at_which_the_network_sees_an_image(
    settings: dict[str, object], pixel_size_um: float | None, expected: tuple[int, int]
) -> None:
    preprocessing = Preprocessing("background", **settings)  # type: ignore[arg-type]
    counts, labels = draw_field([(10, 10)])
    assert preprocessing.network_shape(counts.shape, pixel_size_um) == expected  # type: ignore[arg-type]
    assert preprocessing.prepare(counts, pixel_size_um).shape == expected
    assert preprocessing.prepare_labels(labels, pixel_size_um).shape == expected


def test_an_absurd_pixel_size_is_refused_before_memory_is_taken() -> None:
    # 353 um is what 72 dots per inch amount to: 60 px would become 60 x 353 / 0.1 = 211,800 px.
    preprocessing = Preprocessing("background", target_pixel_size_um=0.1)
    with pytest.raises(InputError, match=r"353 um.*would be 211800 x 282400 px.*--pixel-size-um"):
        preprocessing.prepare(draw_field([])[0], 353.0)


def test_there_and_back() -> None:
    # A smooth map survives being enlarged and brought back; its size is what it was.
    rng = np.random.default_rng(4)
    smooth = gaussian_filter(rng.normal(0, 1, (40, 52)), 5).astype(np.float32)
    smooth /= smooth.max()
    for shape in ((80, 104), (61, 67), (40, 53)):
        back = resample(resample(smooth, shape), smooth.shape)
        assert back.shape == smooth.shape
        assert np.abs(back - smooth).max() < 0.03


def test_resampling_keeps_probabilities_in_range_and_the_mean() -> None:
    rng = np.random.default_rng(5)
    probability = rng.random((64, 64)).astype(np.float32)
    for shape in ((16, 16), (128, 128), (37, 91)):
        found = resample(probability, shape)
        assert found.dtype == np.float32
        assert 0 <= found.min() <= found.max() <= 1
        assert float(found.mean()) == pytest.approx(float(probability.mean()), abs=0.02)


def test_resampling_to_the_same_size_changes_nothing() -> None:
    image = np.ones((3, 4), np.float32)
    assert resample(image, (3, 4)) is image


@pytest.mark.parametrize(
    "settings", [{}, {"resize": (40, 30)}, {"target_pixel_size_um": 0.3}], ids=str
)
def test_each_channel_is_normalised_on_its_own(settings: dict[str, Any]) -> None:
    marker, other = draw_field(GRANULES)[0], 7 * draw_field([], seed=1)[0]
    both = np.stack([marker, other], axis=-1)
    preprocessing = Preprocessing("background", **settings)
    expected = [preprocessing.prepare(one, 0.2) for one in (marker, other)]
    prepared = preprocessing.prepare(both, 0.2)
    np.testing.assert_array_equal(prepared, np.stack(expected, axis=-1))
    seen = preprocessing.windows(both, 0.2)
    assert seen.shape[:2] == prepared.shape[:2]
    window = np.s_[5:20, 3:21]
    np.testing.assert_array_equal(seen[window], prepared[window])
