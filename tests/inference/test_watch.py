"""What is unlike the training images is said, and what is like them is not.

On simulated fields: those of the training, others of the same microscope, and each spoiled in one
way.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sgseg.config import Simulate
from sgseg.dataset.simulate import simulate_field
from sgseg.inference.preprocess import Preprocessing
from sgseg.inference.watch import (
    ImageStatistics,
    as_seen,
    describe,
    kind_of,
    training_statistics,
    unlike,
)

Counts = NDArray[np.uint16]
CONDITIONS = {
    "control": {"positive_cells": 0.15, "granules_per_cell": 2.0},
    "high": {"positive_cells": 0.95, "granules_per_cell": 13.0},
}
PIXEL_SIZE_UM = 0.2


def areas(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.bincount(labels[labels > 0])[1:]


@pytest.fixture(scope="module")
def fields() -> dict[str, list[tuple[Counts, NDArray[np.int64]]]]:
    """Counts and granule areas of 16 fields to train on and 8 others of the same four days."""
    params = Simulate(
        seed=20240611,
        fields_per_replicate=3,
        replicates=4,
        size=256,
        pixel_size_um=PIXEL_SIZE_UM,
        conditions=CONDITIONS,
        granule_diameter_um=0.9,
        granule_diameter_spread=0.35,
        photons=250.0,
        distractors=1.0,
        visible_contrast=8.0,
    )
    found: dict[str, list[tuple[Counts, NDArray[np.int64]]]] = {"training": [], "others": []}
    for condition in CONDITIONS:
        for replicate in range(1, 5):
            for number in range(1, 4):
                field = simulate_field(
                    params, condition=condition, replicate=replicate, field=number
                )
                part = "training" if number < 3 else "others"
                found[part].append((field.image[0], areas(field.granules)))
    return found


@pytest.fixture(scope="module")
def statistics(fields: dict[str, list[tuple[Counts, NDArray[np.int64]]]]) -> dict[str, object]:
    images, sizes = zip(*fields["training"], strict=True)
    return training_statistics([describe(image, PIXEL_SIZE_UM) for image in images], sizes)


def test_training_images_and_others_of_their_kind_raise_no_alarm(
    fields: dict[str, list[tuple[Counts, NDArray[np.int64]]]], statistics: dict[str, object]
) -> None:
    assert len(fields["others"]) == 8
    for image, sizes in fields["training"] + fields["others"]:
        assert unlike(statistics, describe(image, PIXEL_SIZE_UM), sizes) == ()


def deviation(image: Counts) -> float:
    """Of the camera's noise: by the median of differences between neighbours."""
    return float(np.median(np.abs(np.diff(image.astype(float))))) / 0.6745 / np.sqrt(2)


def noisier(image: Counts, times: float) -> Counts:
    # Deviations add up as squares: s sqrt(t^2 - 1) on top of s.
    added = deviation(image) * np.sqrt(times**2 - 1)
    noise = np.random.default_rng(0).normal(0, added, image.shape)
    return (image + noise).clip(0, 65535).astype(np.uint16)


def blurred(image: Counts, sigma: float) -> Counts:
    return gaussian_filter(image.astype(np.float64), sigma).round().astype(np.uint16)


def out_of_focus(image: Counts) -> Counts:
    """Light blurred, camera not: noise as before."""
    noise = np.random.default_rng(0).normal(0, deviation(image), image.shape)
    return (blurred(image, 4) + noise).clip(0, 65535).round().astype(np.uint16)


SPOILED: dict[str, tuple[Callable[[Counts], NDArray[np.generic]], str]] = {
    "blurred": (lambda image: blurred(image, 4), "focus"),
    "out of focus": (out_of_focus, "focus"),
    "denoised": (lambda image: blurred(image, 1), "noise"),
    "noise x 5": (lambda image: noisier(image, 5), "noise"),
    "a fifth saturated": (
        lambda image: np.minimum(image, np.percentile(image, 80)).astype(np.uint16),
        "saturation",
    ),
    "all saturated": (lambda image: np.full_like(image, 65535), "brightness"),
    "inverted": (lambda image: image.max() - image, "brightness"),
    "constant": (lambda image: np.full_like(image, 700), "brightness"),
    "black": (np.zeros_like, "brightness"),
    "a dozen gray levels": (lambda image: (image // 3000).astype(np.uint8), "gray levels"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_image_is_told(
    how: str,
    fields: dict[str, list[tuple[Counts, NDArray[np.int64]]]],
    statistics: dict[str, object],
) -> None:
    spoil, kind = SPOILED[how]
    told = [
        kind in {kind_of(w) for w in unlike(statistics, describe(spoil(image), PIXEL_SIZE_UM))}
        for image, _ in fields["others"]
    ]
    # With noise x 5 the quietest day comes out like the noisiest as it was.
    least = 6 if how in {"noise x 5", "a dozen gray levels", "out of focus"} else 8
    assert sum(told) >= least


@pytest.mark.parametrize(
    "same",
    [
        lambda image: (image // 3 + 500).astype(np.uint16),
        lambda image: (image / (image.max() / 255)).astype(np.uint8),
        lambda image: image.astype(np.float32) / 65535,
        np.fliplr,
        np.transpose,
    ],
    ids=["gain and offset", "8 bits", "fractions", "mirrored", "transposed"],
)
def test_what_the_network_does_not_see_is_not_told(
    same: Callable[[Counts], NDArray[np.generic]],
    fields: dict[str, list[tuple[Counts, NDArray[np.int64]]]],
    statistics: dict[str, object],
) -> None:
    for image, sizes in fields["others"]:
        assert unlike(statistics, describe(same(image), PIXEL_SIZE_UM), sizes) == ()


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0.65, "pixel size: 0.65 um; the training images had 0.2 um: granules look 3.2 times sm"),
        (0.6, "granules look 3 times smaller to the model"),
        (0.0667, "granules look 3 times larger to the model"),
        (0.29, ""),
        (None, ""),
    ],
)
def test_pixel_sizes(
    size: float | None,
    said: str,
    fields: dict[str, list[tuple[Counts, NDArray[np.int64]]]],
    statistics: dict[str, object],
) -> None:
    image, sizes = fields["others"][0]
    warnings = unlike(statistics, describe(image, size), sizes)
    assert len(warnings) == bool(said)
    assert said in "".join(warnings)


def test_sizes_of_granules(statistics: dict[str, object]) -> None:
    like = ImageStatistics(0.02, 0.7, 0.2, 0.0, 10_000.0, 0.2)
    assert unlike(statistics, like, [16.0] * 5) == ()
    (warning,) = unlike(statistics, like, [400.0] * 5)
    # A circle of 400 px: sqrt(4 / pi x 400) = 22.57.
    assert warning.startswith("granule size: half of those found are more than 23 px across; in")
    # Four may be chance.
    assert unlike(statistics, like, [400.0] * 4) == ()


def test_ranges_are_quantiles_of_what_is_known() -> None:
    def image(noise: float | None, size: float | None) -> ImageStatistics:
        return ImageStatistics(noise, None, 0.1, 0.0, 100.0, size)

    noise = [None, *(n / 100 for n in range(101))]
    found = training_statistics([image(n, None) for n in noise], [[]] * 102)
    # 2 and 98 % of 0, 0.01 ... 1; nothing about what no image has.
    assert found == {
        "images": 102,
        "noise": [0.02, 0.98],
        "median_level": [0.1, 0.1],
        "saturated": [0.0, 0.0],
        "levels": [100.0, 100.0],
    }
    assert json.loads(json.dumps(found)) == found
    # 4 / pi x 9 = 3.385 squared; an image of four granules is left out.
    sizes = training_statistics([image(0.1, 0.2)] * 2, [np.full(5, 9), np.full(4, 100)])
    assert sizes["diameter_px"] == [3.385, 3.385]
    assert training_statistics([], []) == {"images": 0}


def test_without_statistics_only_nothing_is_told() -> None:
    rng = np.random.default_rng(0)
    assert unlike({}, describe(rng.integers(0, 255, (64, 64), np.uint8), 9.0)) == ()
    (warning,) = unlike({}, describe(np.zeros((64, 64), np.uint8), None))
    assert warning.startswith("brightness: (nearly) all pixels have the same value")


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (2, 2), (3, 3), (23, 24), (24, 25), (9, 2000)])
def test_images_of_any_size(shape: tuple[int, int], statistics: dict[str, object]) -> None:
    rng = np.random.default_rng(0)
    for pixels in (rng.random(shape, dtype=np.float32), np.zeros(shape, np.uint16)):
        found = describe(pixels, 0.2)
        for value in vars(found).values():
            assert value is None or np.isfinite(value)
        unlike(statistics, found, [1.0] * 9)


def test_noise_is_that_which_was_added() -> None:
    # A ramp from 0 to 10,000: its 1st to 99.8th percentile are 9,880 apart.
    ramp = np.tile(np.linspace(0, 10_000, 400), (400, 1))
    noisy = ramp + np.random.default_rng(0).normal(0, 100, ramp.shape)
    found = describe(noisy.astype(np.float32), None)
    assert found.noise == pytest.approx(100 / 9_880, rel=0.03)
    assert found.median_level == pytest.approx(0.495, abs=0.01)


def test_a_large_image_is_sampled(
    fields: dict[str, list[tuple[Counts, NDArray[np.int64]]]], statistics: dict[str, object]
) -> None:
    image = fields["others"][-1][0]
    large = np.tile(image, (5, 6))
    whole, sampled = describe(image, 0.2), describe(large, 0.2)
    assert sampled.noise == pytest.approx(whole.noise, rel=0.1)
    assert sampled.focus == pytest.approx(whole.focus, rel=0.2)
    assert unlike(statistics, sampled) == ()


def test_as_the_network_sees_it() -> None:
    pixels = np.zeros((60, 80), np.uint16)
    # 0.2 um pixels at 0.1 um: twice as many on a side, of half the size.
    found, scale = as_seen(Preprocessing("zscore", target_pixel_size_um=0.1), pixels, 0.2)
    assert (found.pixel_size_um, scale) == (0.1, 2)
    found, scale = as_seen(Preprocessing("zscore"), pixels, 0.2)
    assert (found.pixel_size_um, scale) == (0.2, 1)
    found, scale = as_seen(Preprocessing("zscore", resize=(30, 40)), pixels, None)
    assert (found.pixel_size_um, scale) == (None, 0.5)
