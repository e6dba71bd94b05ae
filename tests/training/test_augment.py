"""Image and mask change together, and by as much as was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, map_coordinates

from sgseg.training import augment
from sgseg.training.augment import Augmentation, change_intensity, cut_patch

from .tiny import EVERYTHING

NOTHING = Augmentation()
GEOMETRY = replace(EVERYTHING, brightness=0, contrast=0, gamma=0, blur=0, noise=0)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def cut(
    image: NDArray[np.float32],
    mask: NDArray[np.bool_] | None = None,
    *,
    strength: Augmentation = NOTHING,
    centre: tuple[float, float] = (50, 50),
    size: int = 40,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    mask = np.zeros(image.shape[:2], bool) if mask is None else mask
    return cut_patch(image, mask, centre=centre, size=size, augmentation=strength, rng=rng(seed))


def noise(shape: tuple[int, int] = (100, 110), seed: int = 0) -> NDArray[np.float32]:
    return rng(seed).standard_normal(shape, dtype=np.float32)


def disk(radius: float, centre: tuple[float, float] = (52, 47)) -> NDArray[np.bool_]:
    y, x = np.mgrid[:100, :110]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


# --- several channels


def test_all_channels_are_turned_and_bent_alike() -> None:
    image, other = noise(), noise(seed=1)
    both, mask = cut(np.stack([image, other], axis=-1), image > 1, strength=GEOMETRY)
    for channel, alone in enumerate((image, other)):
        patch, alone_mask = cut(alone, image > 1, strength=GEOMETRY)
        np.testing.assert_array_equal(both[..., channel], patch)
        np.testing.assert_array_equal(mask, alone_mask)


def test_each_channel_is_made_brighter_or_darker_on_its_own() -> None:
    light = Augmentation(brightness=0.5, contrast=0.2)
    both, _ = cut(np.stack([noise(), noise()], axis=-1), strength=light)
    crop, _ = cut(noise())
    shifts = [float((both[..., channel] - crop).mean()) for channel in (0, 1)]
    assert shifts[0] != shifts[1]
    # The first is changed as if it were alone.
    np.testing.assert_array_equal(both[..., 0], cut(noise(), strength=light)[0])


# --- nothing, flips and turns: no interpolation


@pytest.mark.parametrize(
    ("size", "centre", "top", "left"),
    [
        (40, (49.5, 49.5), 30, 30),  # rows 30 to 69: their middle is 49.5
        (40, (50.4, 50.4), 31, 31),  # the nearest grid of patches
        (41, (50, 50), 30, 30),  # rows 30 to 70
        (40, (19.5, 89.5), 0, 70),
    ],
)
def test_switched_off_it_is_an_exact_crop(
    size: int, centre: tuple[float, float], top: int, left: int
) -> None:
    image = noise()
    patch, mask = cut(image, image > 1, size=size, centre=centre)
    expected = image[top : top + size, left : left + size]
    np.testing.assert_array_equal(patch, expected)
    np.testing.assert_array_equal(mask, expected > 1)
    assert (patch.dtype, mask.dtype) == (np.float32, np.bool_)


def orientations(crop: NDArray[Any]) -> list[NDArray[Any]]:
    return [np.rot90(side, turns) for side in (crop, crop[:, ::-1]) for turns in range(4)]


@pytest.mark.parametrize(
    ("flip", "rotate90", "allowed"),
    [(True, False, {0, 4}), (False, True, {0, 1, 2, 3}), (True, True, set(range(8)))],
)
@pytest.mark.parametrize("size", [24, 25])
def test_flips_and_turns_only_move_pixels(
    flip: bool, rotate90: bool, allowed: set[int], size: int
) -> None:
    image = noise()
    crop, _ = cut(image, size=size)
    seen = set()
    for seed in range(60):
        strength = Augmentation(flip=flip, rotate90=rotate90)
        patch, mask = cut(image, image > 1, strength=strength, size=size, seed=seed)
        (which,) = (
            i for i, turned in enumerate(orientations(crop)) if np.array_equal(turned, patch)
        )
        np.testing.assert_array_equal(mask, patch > 1)
        seen.add(which)
    assert seen == allowed


def test_beyond_the_border_is_the_mirror_image() -> None:
    image = noise()
    mirrored = np.pad(image, 30, mode="reflect")
    patch, mask = cut(image, image > 1, centre=(0.5, 105.5))
    # rows -19 to 20 and columns 86 to 125, where the padded image begins 30 earlier
    np.testing.assert_array_equal(patch, mirrored[11:51, 116:156])
    np.testing.assert_array_equal(mask, mirrored[11:51, 116:156] > 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (39, 41)])
@pytest.mark.parametrize("strength", [NOTHING, EVERYTHING])
def test_an_image_smaller_than_the_patch_is_mirrored_again_and_again(
    shape: tuple[int, int], strength: Augmentation
) -> None:
    image = noise(shape)
    centre = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    patch, mask = cut(image, image > 0, strength=strength, centre=centre)
    assert patch.shape == mask.shape == (40, 40)
    assert np.isfinite(patch).all()
    if strength == NOTHING:
        # -19.5 to 19.5 about the centre, rounded to whole pixels; the padding begins 40 earlier.
        top, left = (int(np.floor(position - 19.5 + 0.5)) + 40 for position in centre)
        expected = np.pad(image, 40, mode="reflect")[top : top + 40, left : left + 40]
        np.testing.assert_array_equal(patch, expected)
        np.testing.assert_array_equal(mask, expected > 0)


# --- turning, zooming, bending: one interpolation


CHANGES = {
    "flip": Augmentation(flip=True),
    "rotate90": Augmentation(rotate90=True),
    "rotation": Augmentation(rotation=0.5),
    "zoom": Augmentation(zoom=0.3),
    "elastic": Augmentation(elastic=2.0),
    "all of them": replace(GEOMETRY, elastic=2.0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_image_and_mask_stay_aligned(name: str) -> None:
    mask = disk(6)
    image = mask.astype(np.float32)
    for seed in range(12):
        patch, cut_mask = cut(image, mask, strength=CHANGES[name], seed=seed)
        found = patch > 0.5
        union = np.count_nonzero(found | cut_mask)
        assert np.count_nonzero(found & cut_mask) / union > 0.85
        shift = np.subtract(center_of_mass(found), center_of_mass(cut_mask))
        assert np.abs(shift).max() < 0.35


def test_a_rotation_turns_about_the_centre_of_the_patch() -> None:
    # The disk is 8 px above the centre of the patch; the patch is turned, not moved.
    image = disk(3, centre=(42, 50)).astype(np.float32)
    angles = []
    for seed in range(40):
        patch, _ = cut(image, strength=Augmentation(rotation=0.5), size=41, seed=seed)
        row, column = np.subtract(center_of_mass(patch), 20)
        assert np.hypot(row, column) == pytest.approx(8, abs=0.2)
        angles.append(np.arctan2(column, -row))
    assert np.abs(angles).max() <= 0.5 + 0.03
    assert min(angles) < -0.3
    assert max(angles) > 0.3


def test_a_zoom_scales_areas() -> None:
    mask = disk(10, centre=(50, 50))
    areas = [
        np.count_nonzero(cut(noise(), mask, strength=Augmentation(zoom=0.2), seed=seed)[1])
        for seed in range(40)
    ]
    ratios = np.array(areas) / np.count_nonzero(mask)
    # A patch that spans 0.8 to 1.2 of its size shows areas of 1 / 1.2^2 = 0.69 to 1 / 0.8^2 = 1.56.
    assert ratios.min() > 0.69 - 0.04
    assert ratios.max() < 1.56 + 0.04
    assert ratios.min() < 0.8
    assert ratios.max() > 1.3


def test_bending_displaces_by_the_given_standard_deviation() -> None:
    y, x = (axis.astype(np.float32) for axis in np.mgrid[:100, :110])
    bent = Augmentation(elastic=1.5)
    # An image of its own row numbers shows where each pixel came from.
    rows, columns = cut(y, strength=bent)[0], cut(x, strength=bent)[0]
    shift_y = rows - cut(y)[0]
    shift_x = columns - cut(x)[0]
    assert shift_y.std() == pytest.approx(1.5, rel=0.02)
    assert shift_x.std() == pytest.approx(1.5, rel=0.02)
    assert abs(np.corrcoef(shift_y.ravel(), shift_x.ravel())[0, 1]) < 0.9
    # smooth over 40 / 8 = 5 px: neighbours differ by about 1.5 / 5 px
    assert np.abs(np.diff(shift_y, axis=0)).max() < 1.5


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0, 99), st.floats(0, 109))
def test_interpolation_agrees_with_a_spline_through_the_whole_image(
    seed: int, row: float, column: float
) -> None:
    image = noise(seed=seed)
    places = augment._source_coordinates((row, column), 24, GEOMETRY, rng(seed))
    expected = map_coordinates(image, places, order=3, mode="mirror")
    patch, _ = cut(image, strength=GEOMETRY, centre=(row, column), size=24, seed=seed)
    np.testing.assert_allclose(patch, expected, atol=5e-3)


def test_spots_of_three_pixels_keep_their_contrast() -> None:
    centres = (
        rng(1).uniform(-2, 2, (100, 2))
        + np.stack(np.mgrid[5:95:10, 5:105:10], -1).reshape(-1, 2)[:100].repeat(2, axis=0)[:100]
    )

    def spots(y: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
        sigma = 3 / 2.355  # full width at half maximum of 3 px
        distances = [(y - row) ** 2 + (x - column) ** 2 for row, column in centres]
        return np.exp(-np.array(distances) / (2 * sigma**2)).sum(axis=0)

    image = spots(*np.mgrid[:100, :110]).astype(np.float32)
    kept = []
    for seed in range(10):
        places = augment._source_coordinates((50, 50), 40, GEOMETRY, rng(seed))
        ideal = spots(*places)
        patch, _ = cut(image, strength=GEOMETRY, seed=seed)
        kept.append((patch * ideal).sum() / (ideal**2).sum())
    # 1: all of it; linear interpolation keeps 0.95
    assert np.mean(kept) == pytest.approx(1, abs=0.01)


# --- intensities


def with_range() -> NDArray[np.float32]:
    """A patch as normalised by z-score: negative values and values far above 1."""
    spot = disk(2, (20, 20))[:40, :40].astype(np.float32)
    return np.clip(noise((40, 40), seed=3), -2, 8) + 6 * spot


def changed(seed: int = 0, **strength: float) -> NDArray[np.float32]:
    return change_intensity(with_range(), Augmentation(**strength), rng(seed))


def test_intensities_switched_off_are_kept() -> None:
    np.testing.assert_array_equal(changed(), with_range())


def test_brightness_adds_the_same_to_every_pixel() -> None:
    patch = with_range()
    for seed in range(20):
        offset = changed(seed, brightness=0.3) - patch
        assert np.ptp(offset) < 1e-5
        assert abs(offset.mean()) <= 0.3 * patch.std() + 1e-5
    assert np.ptp([changed(seed, brightness=0.3).mean() for seed in range(20)]) > 0.2


def test_contrast_scales_about_the_mean() -> None:
    patch = with_range()
    factors = []
    for seed in range(20):
        after = changed(seed, contrast=0.2)
        factors.append(after.std() / patch.std())
        np.testing.assert_allclose(
            after - after.mean(), factors[-1] * (patch - patch.mean()), atol=1e-4
        )
        assert after.mean() == pytest.approx(patch.mean(), abs=1e-4)
    assert min(factors) >= 0.8 - 1e-5
    assert max(factors) <= 1.2 + 1e-5
    assert np.ptp(factors) > 0.2


def test_gamma_keeps_the_range_and_the_order() -> None:
    patch = with_range()
    for seed in range(20):
        after = changed(seed, gamma=0.2)
        assert after.min() == pytest.approx(patch.min(), abs=1e-5)
        assert after.max() == pytest.approx(patch.max(), abs=1e-5)
        order = np.argsort(patch, axis=None)
        assert np.all(np.diff(after.ravel()[order]) >= 0)
        low, span = patch.min(), np.ptp(patch)
        share = (patch - low) / span
        # share^1.2 <= result <= share^0.8
        assert np.all((after - low) / span <= share**0.8 + 1e-5)
        assert np.all((after - low) / span >= share**1.2 - 1e-5)


def test_blur_smooths_and_keeps_the_mean() -> None:
    patch = with_range()
    deviations = [changed(seed, blur=1.0).std() for seed in range(20)]
    assert min(deviations) < 0.7 * patch.std()
    assert max(deviations) <= patch.std()
    assert changed(0, blur=1.0).mean() == pytest.approx(patch.mean(), abs=0.02)


def test_noise_has_the_given_standard_deviation_at_most() -> None:
    patch = with_range()
    shares = [(changed(seed, noise=0.3) - patch).std() / patch.std() for seed in range(30)]
    assert max(shares) <= 0.3 * 1.1
    assert max(shares) > 0.2
    assert min(shares) < 0.1


@pytest.mark.parametrize("value", [0.0, -3.0, 1e4])
def test_a_flat_patch_stays_flat(value: float) -> None:
    flat = np.full((20, 20), value, dtype=np.float32)
    for seed in range(10):
        after = change_intensity(flat, EVERYTHING, rng(seed))
        np.testing.assert_allclose(after, flat, rtol=1e-5)


# --- all together


def test_the_mask_stays_a_mask_and_the_image_finite() -> None:
    for seed in range(20):
        patch, mask = cut(noise(), disk(5), strength=EVERYTHING, seed=seed)
        assert (patch.dtype, mask.dtype) == (np.float32, np.bool_)
        assert np.isfinite(patch).all()


def test_the_source_is_left_as_it_was() -> None:
    image, mask = noise(), disk(5)
    for strength in (NOTHING, EVERYTHING):
        patch, cut_mask = cut(image, mask, strength=strength)
        patch += 1
        cut_mask[:] = True
    np.testing.assert_array_equal(image, noise())
    np.testing.assert_array_equal(mask, disk(5))


def test_a_patch_is_a_function_of_the_random_state() -> None:
    one, same, other = (cut(noise(), strength=EVERYTHING, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_switching_one_change_off_leaves_the_others_as_drawn() -> None:
    # Otherwise two trainings that differ in one setting would differ in all random numbers.
    image = disk(3, centre=(42, 50)).astype(np.float32)
    turned, _ = cut(image, strength=replace(GEOMETRY, elastic=0, zoom=0), seed=4)
    zoomed, _ = cut(image, strength=replace(GEOMETRY, elastic=0), seed=4)
    directions = [np.subtract(center_of_mass(patch), 19.5) for patch in (turned, zoomed)]
    angles = [np.arctan2(*direction) for direction in directions]
    assert angles[0] == pytest.approx(angles[1], abs=0.05)
