"""How well two masks of one picture agree."""

from __future__ import annotations

import numpy as np
import pytest

from sgseg.dataset.ceiling import Agreement, agreement, label_ceiling
from sgseg.dataset.copies import Copy
from sgseg.dataset.structure import ORIENTATIONS, turn


def copy(transform: int = 0, shift: tuple[int, int] = (0, 0)) -> Copy:
    return Copy(0, 1, transform, shift, 1.0, identical_pixels=False)


def labels(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    image = np.zeros(shape, np.int32)
    for number, (row, column, height, width) in enumerate(boxes, 1):
        image[row : row + height, column : column + width] = number
    return image


def test_by_hand() -> None:
    # First: 4 x 4 and 2 x 2 px. Second: the large one moved by 2 px, the small one missing.
    #   pixels: both 2 * 4 = 8, only first 8 + 4 = 12, only second 8: IoU 8 / 28, Dice 16 / 36
    #   objects at IoU 0.3: 8 / (16 + 16 - 8) = 1/3 matches: TP 1, FN 1, FP 0: F1 = 2 / 3
    found = agreement(
        labels((2, 2, 4, 4), (10, 10, 2, 2)), labels((4, 2, 4, 4)), copy(), object_iou=0.3
    )
    assert found == Agreement(
        pytest.approx(8 / 28), pytest.approx(16 / 36), pytest.approx(2 / 3), identical=False
    )


@pytest.mark.parametrize("transform", ORIENTATIONS)
def test_the_second_mask_is_turned_back(transform: int) -> None:
    first = labels((2, 2, 4, 4), (10, 20, 3, 5))
    inverse = next(
        item for item in ORIENTATIONS if np.array_equal(turn(turn(first, item), transform), first)
    )
    found = agreement(first, turn(first, inverse), copy(transform), object_iou=0.3)
    assert found == Agreement(1.0, 1.0, 1.0, identical=True)


def test_only_what_both_show_is_compared() -> None:
    # The second picture begins 5 rows lower: it does not show the first granule of the first.
    whole = labels((1, 3, 2, 2), (9, 3, 4, 4), shape=(25, 30))
    found = agreement(whole[:20], whole[5:], copy(shift=(5, 0)), object_iou=0.3)
    assert found == Agreement(1.0, 1.0, 1.0, identical=True)


def test_a_granule_cut_by_the_rim_is_the_same_number_of_objects_in_both() -> None:
    # A U whose bottom lies outside of the second picture: two objects are left of one label.
    whole = np.zeros((25, 30), np.int32)
    whole[10:20, 5:7] = whole[10:20, 9:11] = whole[18:20, 5:11] = 1
    second = whole[:17].copy()
    second[:, 9:11][second[:, 9:11] > 0] = 2
    found = agreement(whole[2:19], second, copy(shift=(-2, 0)), object_iou=0.5)
    assert found is not None
    assert found.object_f1 == 1.0


def test_other_shapes_are_not_compared() -> None:
    assert agreement(labels(), labels(), copy(transform=1), object_iou=0.3) is None


def test_one_mask_empty() -> None:
    found = agreement(labels((1, 1, 2, 2)), labels(), copy(), object_iou=0.3)
    assert found == Agreement(0.0, 0.0, 0.0, identical=False)


def test_ceiling_is_the_mean_over_masks_that_differ() -> None:
    pairs = [
        Agreement(0.5, 0.6, 0.8, identical=False),
        Agreement(0.7, 0.8, 1.0, identical=False),
        Agreement(1.0, 1.0, 1.0, identical=True),
    ]
    ceiling = label_ceiling(pairs, object_iou=0.3)
    assert ceiling == {
        "pairs": 2,
        "iou": pytest.approx(0.6),
        "dice": pytest.approx(0.7),
        "object_f1": pytest.approx(0.9),
        "object_iou": 0.3,
    }


def test_no_ceiling_without_masks_that_differ() -> None:
    assert label_ceiling([Agreement(1.0, 1.0, 1.0, identical=True)], object_iou=0.3) is None
