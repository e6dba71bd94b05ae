"""Batches: what is in them, and that nothing but (seed, epoch, number) decides it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sgseg.training.augment import Augmentation
from sgseg.training.batches import Example, Sampling, batches, patches_of, steps_per_epoch

from .tiny import EVERYTHING, draw

NOTHING = Augmentation()
SAMPLING = Sampling(patch_size=16, coverage=1.28, batch_size=4, foreground_share=0.5)
Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


def epoch(
    examples: list[Example],
    *,
    sampling: Sampling = SAMPLING,
    augmentation: Augmentation = NOTHING,
    seed: tuple[int, ...] = (1, 0),
    number: int = 0,
) -> list[Batch]:
    return list(
        batches(examples, sampling=sampling, augmentation=augmentation, seed=seed, epoch=number)
    )


def covering(n_patches: int, example: Example) -> float:
    """The coverage that `n_patches` of 16 x 16 px make of an image."""
    return n_patches * 16**2 / example.labels.size


def constant(value: int, *, shape: tuple[int, int] = (20, 20)) -> Example:
    """An image that can be told from any patch of it."""
    return Example(
        str(value), np.full(shape, value, dtype=np.float32), np.zeros(shape, dtype=np.int32)
    )


@pytest.mark.parametrize(
    ("shape", "coverage", "patches"),
    [
        ((160, 160), 1.0, 100),  # 10 x 10 patches of 16 x 16 px
        ((160, 160), 0.4, 40),
        ((160, 320), 0.4, 80),
        ((20, 20), 0.4, 1),  # 0.4 * 400 / 256 = 0.6
        ((5, 5), 0.001, 1),  # never none
        ((20, 20), 3.0, 5),  # 3 * 400 / 256 = 4.7
    ],
)
def test_larger_images_give_more_patches(
    shape: tuple[int, int], coverage: float, patches: int
) -> None:
    sampling = replace(SAMPLING, coverage=coverage)
    assert patches_of(constant(1, shape=shape), sampling) == patches


@pytest.mark.parametrize(
    ("n_images", "per_image", "size", "steps"),
    [(4, 1, 4, 1), (5, 1, 4, 2), (3, 3, 4, 3), (1, 1, 8, 1), (16, 2, 8, 4)],
)
def test_number_and_size_of_the_batches(
    n_images: int, per_image: int, size: int, steps: int
) -> None:
    examples = [constant(value) for value in range(n_images)]
    coverage = covering(per_image, examples[0])
    sampling = replace(SAMPLING, coverage=coverage, batch_size=size)
    found = epoch(examples, sampling=sampling)
    assert len(found) == steps_per_epoch(examples, sampling) == steps
    assert [len(images) for images, _ in found[:-1]] == [size] * (steps - 1)
    assert sum(len(images) for images, _ in found) == n_images * per_image
    for images, masks in found:
        assert images.shape == masks.shape == (len(images), 16, 16, 1)
        assert images.dtype == masks.dtype == np.float32


@settings(max_examples=20)
@given(
    st.lists(st.integers(10, 60), min_size=1, max_size=9),
    st.floats(0.1, 3.0),
    st.integers(1, 5),
    st.integers(0, 5),
)
def test_every_image_gives_its_patches_in_every_epoch(
    heights: list[int], coverage: float, size: int, number: int
) -> None:
    sampling = replace(SAMPLING, coverage=coverage, batch_size=size)
    examples = [constant(value, shape=(height, 20)) for value, height in enumerate(heights)]
    found = epoch(examples, sampling=sampling, number=number)
    assert len(found) == steps_per_epoch(examples, sampling)
    seen = [int(image[0, 0, 0]) for images, _ in found for image in images]
    assert [seen.count(value) for value in range(len(examples))] == [
        patches_of(example, sampling) for example in examples
    ]


def test_epochs_have_another_order() -> None:
    examples = [constant(value) for value in range(8)]
    orders = {
        tuple(int(i[0, 0, 0]) for images, _ in epoch(examples, number=number) for i in images)
        for number in range(5)
    }
    assert len(orders) == 5


def test_a_batch_is_a_function_of_seed_epoch_and_number() -> None:
    examples = [draw(seed) for seed in range(4)]
    same = [epoch(examples, augmentation=EVERYTHING, number=3) for _ in range(2)]
    for (images, masks), (images_again, masks_again) in zip(*same, strict=True):
        np.testing.assert_array_equal(images, images_again)
        np.testing.assert_array_equal(masks, masks_again)
    # A later batch is the same without the ones before it having been made.
    later = next(
        itertools.islice(
            batches(examples, sampling=SAMPLING, augmentation=EVERYTHING, seed=(1, 0), epoch=3),
            1,
            None,
        )
    )
    np.testing.assert_array_equal(later[0], same[0][1][0])


def test_seed_fold_and_epoch_all_change_the_batches() -> None:
    examples = [draw(seed) for seed in range(4)]
    firsts = [
        epoch(examples, seed=seed, number=number)[0][0].tobytes()
        for seed, number in [((1, 0), 0), ((2, 0), 0), ((1, 1), 0), ((1, 0), 1), ((0, 1), 0)]
    ]
    assert len(set(firsts)) == len(firsts)


def test_masks_are_zero_or_one_and_belong_to_their_image() -> None:
    examples = [draw(seed) for seed in range(4)]
    for images, masks in epoch(examples, augmentation=Augmentation(flip=True, rotate90=True)):
        assert set(np.unique(masks)) <= {0.0, 1.0}
        np.testing.assert_array_equal(masks, images == 2)  # disks are drawn at 2


def lonely(row: int, column: int) -> Example:
    """A single granule of 2 x 2 px in 400 x 400: one patch in 600 would show it by chance."""
    labels = np.zeros((400, 400), dtype=np.int32)
    labels[row : row + 2, column : column + 2] = 7
    return Example("lonely", labels.astype(np.float32), labels)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_patches_with_a_granule(share: float) -> None:
    example = lonely(200, 100)
    sampling = replace(SAMPLING, coverage=covering(300, example), foreground_share=share)
    found = epoch([example], sampling=sampling, augmentation=EVERYTHING)
    with_granule = np.mean([mask.any() for _, masks in found for mask in masks])
    # binomial: 4 standard deviations are at most 4 * sqrt(0.3 * 0.7 / 300) = 0.106
    assert with_granule == pytest.approx(share, abs=0.11 if 0 < share < 1 else 0.01)


@pytest.mark.parametrize("place", [(0, 0), (0, 398), (398, 0), (398, 398), (200, 0)])
def test_granules_at_the_border_are_found_as_well(place: tuple[int, int]) -> None:
    example = lonely(*place)
    sampling = replace(SAMPLING, coverage=covering(50, example), foreground_share=1.0)
    found = epoch([example], sampling=sampling)
    assert all(mask.any() for _, masks in found for mask in masks)


def test_small_granules_are_shown_as_often_as_large_ones() -> None:
    labels = np.zeros((200, 400), dtype=np.int32)
    labels[50:150, 50:150] = 3  # 10,000 px
    labels[100:102, 350:352] = 9  # 4 px
    example = Example("two", (labels == 9).astype(np.float32), labels)
    sampling = replace(SAMPLING, coverage=covering(200, example), foreground_share=1.0)
    found = epoch([example], sampling=sampling)
    small = np.mean([image.any() for images, _ in found for image in images])
    # binomial: 4 * sqrt(0.5 * 0.5 / 200) = 0.14
    assert small == pytest.approx(0.5, abs=0.14)


def test_granules_are_listed_by_name() -> None:
    labels = np.array([[0, 5, 5], [2, 0, 5]], dtype=np.int32)
    example = Example("", labels.astype(np.float32), labels)
    assert [sorted(map(tuple, pixels.tolist())) for pixels in example.granules] == [
        [(1, 0)],
        [(0, 1), (0, 2), (1, 2)],
    ]
    np.testing.assert_array_equal(example.mask, labels > 0)
    assert constant(1).granules == []


def test_an_image_without_granules_gives_patches_all_the_same() -> None:
    sampling = replace(SAMPLING, foreground_share=1.0)
    found = epoch([constant(1), constant(2)], sampling=sampling)
    assert sum(len(images) for images, _ in found) == 4
    assert not any(masks.any() for _, masks in found)


def test_patches_stay_inside_and_reach_everywhere() -> None:
    image = np.arange(40 * 50, dtype=np.float32).reshape(40, 50)
    example = Example("places", image, np.zeros((40, 50), np.int32))
    sampling = replace(SAMPLING, coverage=covering(2000, example), batch_size=2000)
    ((images, _),) = epoch([example], sampling=sampling)
    tops, lefts = np.divmod(images[:, 0, 0, 0].astype(int), 50)
    # corners at rows 0 to 40 - 16 and columns 0 to 50 - 16, none mirrored
    assert (tops.min(), tops.max(), lefts.min(), lefts.max()) == (0, 24, 0, 34)
    rows = (images[:, :, 0, 0] // 50).astype(int)
    assert np.all(np.diff(rows, axis=1) == 1)


@pytest.mark.parametrize("shape", [(16, 16), (15, 40), (3, 5), (1, 1)])
def test_images_no_larger_than_the_patch_are_centred(shape: tuple[int, int]) -> None:
    example = draw(0, shape=(16, 40))
    example = Example(
        "", example.image[: shape[0], : shape[1]], example.labels[: shape[0], : shape[1]]
    )
    for images, masks in epoch([example], augmentation=EVERYTHING):
        assert images.shape[1:] == masks.shape[1:] == (16, 16, 1)
        assert np.isfinite(images).all()
    if shape == (16, 16):
        images, _ = epoch([example])[0]
        np.testing.assert_array_equal(images[0, ..., 0], example.image)
