"""Scores against scikit-learn, against matching by trying everything, and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from sgseg.scores import (
    Confusion,
    ObjectCounts,
    count_objects,
    count_pixels,
    match_counts,
    pairwise_iou,
)

SIDES = st.integers(1, 6)
SHAPES = st.tuples(SIDES, SIDES)


@st.composite
def two_masks(draw: st.DrawFn) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    shape = draw(SHAPES)
    return draw(arrays(bool, shape)), draw(arrays(bool, shape))


@st.composite
def two_label_images(draw: st.DrawFn) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Up to four objects each, with gaps between their numbers."""
    shape = draw(SHAPES)
    names = st.sampled_from([0, 0, 1, 2, 7, 1000])
    return tuple(draw(arrays(np.int32, shape, elements=names)) for _ in range(2))  # type: ignore[return-value]


def ratio_or_1(score: float, part_of: int) -> float:
    """scikit-learn warns and gives 0 where a denominator is 0; ours is 1 by policy."""
    return score if part_of else 1.0


@given(two_masks())
@settings(max_examples=40)
def test_pixel_scores_equal_those_of_scikit_learn(
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    truth, predicted = masks
    a, b = truth.ravel(), predicted.ravel()
    counts = count_pixels(truth, predicted)
    either = int((a | b).sum())
    options = {"zero_division": 0}
    assert counts.iou == pytest.approx(ratio_or_1(jaccard_score(a, b, **options), either))
    assert counts.dice == pytest.approx(ratio_or_1(f1_score(a, b, **options), either))
    assert counts.precision == pytest.approx(
        ratio_or_1(precision_score(a, b, **options), int(b.sum()))
    )
    assert counts.recall == pytest.approx(ratio_or_1(recall_score(a, b, **options), int(a.sum())))
    assert counts.accuracy == pytest.approx(accuracy_score(a, b))


def test_pixel_scores_by_hand() -> None:
    # truth      1 1 0 0 0 0 0 0      TP: both         1
    # predicted  1 0 1 1 0 0 0 0      FN 1, FP 2, TN 4
    truth = np.array([[1, 1, 0, 0, 0, 0, 0, 0]], dtype=bool)
    predicted = np.array([[1, 0, 1, 1, 0, 0, 0, 0]], dtype=bool)
    counts = count_pixels(truth, predicted)
    assert counts == Confusion(tp=1, fp=2, fn=1, tn=4)
    assert counts.iou == 1 / (1 + 2 + 1)
    assert counts.dice == 2 * 1 / (2 * 1 + 2 + 1)
    assert counts.precision == 1 / (1 + 2)
    assert counts.recall == 1 / (1 + 1)
    assert counts.accuracy == (1 + 4) / 8


@given(two_masks(), two_masks())
def test_adding_counts_pools_the_images(
    first: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    second: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    together = [np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(first, second, strict=True)]
    assert count_pixels(*first) + count_pixels(*second) == count_pixels(*together)


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    # expected: IoU or panoptic quality, Dice or F1, precision, recall
    [
        # Nothing is and nothing is found: everything is right.
        (0, 0, (1.0, 1.0, 1.0, 1.0)),
        # Something is and nothing is found: nothing found is wrong, all is missed.
        (3, 0, (0.0, 0.0, 1.0, 0.0)),
        # Nothing is and something is found: all found is wrong, nothing is missed.
        (0, 3, (0.0, 0.0, 0.0, 1.0)),
    ],
)
def test_policy_for_empty_masks(truth: int, predicted: int, expected: tuple[float, ...]) -> None:
    row = np.arange(9)[None]
    pixels = count_pixels(row < truth, row < predicted)
    assert (pixels.iou, pixels.dice, pixels.precision, pixels.recall) == expected
    labels = [(row < n).astype(np.int32) for n in (truth, predicted)]
    found = count_objects(*labels, iou=0.5)
    assert (found.panoptic_quality, found.f1, found.precision, found.recall) == expected
    assert found.count_error == (predicted > 0) - (truth > 0)


def test_masks_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        count_pixels(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        pairwise_iou(np.zeros((2, 3), int), np.zeros((3, 2), int))


@given(two_label_images())
def test_iou_of_pairs_equals_that_of_their_pixel_masks(
    images: tuple[NDArray[np.int32], NDArray[np.int32]],
) -> None:
    truth, predicted = images
    names = [[name for name in np.unique(image) if name] for image in images]
    expected = [
        [(m & n).sum() / (m | n).sum() for b in names[1] for n in [predicted == b]]
        for a in names[0]
        for m in [truth == a]
    ]
    found = pairwise_iou(truth, predicted)
    assert found.shape == (len(names[0]), len(names[1]))
    assert np.allclose(found, np.reshape(expected, found.shape))


def best_matching(ious: NDArray[np.float64], iou: float) -> tuple[int, float]:
    """Most matches, then the largest sum of IoU, by trying every one-to-one assignment."""
    wide = ious if ious.shape[0] <= ious.shape[1] else ious.T
    best = (0, 0.0)
    for columns in itertools.permutations(range(wide.shape[1]), wide.shape[0]):
        matched = [v for v in wide[range(wide.shape[0]), columns] if v >= iou]
        best = max(best, (len(matched), math.fsum(matched)))
    return best


@given(two_label_images(), st.sampled_from([0.1, 0.3, 0.5, 0.75, 1.0]))
@settings(max_examples=200)
def test_objects_are_matched_as_by_trying_everything(
    images: tuple[NDArray[np.int32], NDArray[np.int32]], iou: float
) -> None:
    ious = pairwise_iou(*images)
    matches, iou_sum = best_matching(ious, iou)
    counts = count_objects(*images, iou=iou)
    assert counts.tp == matches
    assert counts.fn == ious.shape[0] - matches
    assert counts.fp == ious.shape[1] - matches
    assert counts.iou_sum == pytest.approx(iou_sum)


@given(
    arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 4)), elements=st.floats(0, 1)),
    st.sampled_from([0.2, 0.5]),
)
def test_any_matrix_is_matched_as_by_trying_everything(
    ious: NDArray[np.float64], iou: float
) -> None:
    matches, iou_sum = best_matching(ious, iou)
    counts = match_counts(ious, iou=iou)
    assert (counts.tp, counts.iou_sum) == (matches, pytest.approx(iou_sum))


def test_two_matches_are_taken_rather_than_one_better_one() -> None:
    # True a fits found x with 0.9 and y with 0.4, true b fits x only, with 0.4.
    # Greedy would take a-x (0.9) and leave b; a-y and b-x are two matches: 0.4 + 0.4.
    counts = match_counts(np.array([[0.9, 0.4], [0.4, 0.0]]), iou=0.3)
    assert counts == ObjectCounts(tp=2, fp=0, fn=0, iou_sum=0.8)


def test_object_scores_by_hand() -> None:
    # Three true granules of 2, 2 and 1 px; found: the first, half of the second, one too many.
    truth = np.array([[1, 1, 0, 2, 2, 0, 3, 0, 0, 0]])
    predicted = np.array([[5, 5, 0, 6, 0, 0, 0, 0, 8, 8]])
    # IoU: 2/2 = 1 and 1/2 = 0.5. At 0.5 both match (at least, not above).
    counts = count_objects(truth, predicted, iou=0.5)
    assert counts == ObjectCounts(tp=2, fp=1, fn=1, iou_sum=1.5)
    assert counts.precision == 2 / (2 + 1)
    assert counts.recall == 2 / (2 + 1)
    assert counts.f1 == 2 * 2 / (2 * 2 + 1 + 1)
    assert counts.panoptic_quality == 1.5 / (2 + 0.5 * 1 + 0.5 * 1)
    assert counts.count_error == 3 - 3
    # At 0.6 the half one is both superfluous and missed.
    assert count_objects(truth, predicted, iou=0.6) == ObjectCounts(tp=1, fp=2, fn=2, iou_sum=1.0)


def test_adding_object_counts() -> None:
    total = ObjectCounts(1, 2, 3, 0.5) + ObjectCounts(4, 5, 6, 2.0)
    assert total == ObjectCounts(5, 7, 9, 2.5)
    assert total.count_error == 7 - 9


@given(two_label_images())
def test_names_and_number_types_of_labels_do_not_matter(
    images: tuple[NDArray[np.int32], NDArray[np.int32]],
) -> None:
    truth, predicted = images
    renamed = np.where(truth > 0, 40_000 - truth, 0).astype(np.uint16)
    before, after = (
        count_objects(truth, predicted, iou=0.3),
        count_objects(renamed, predicted.astype(np.int64), iou=0.3),
    )
    assert (after.tp, after.fp, after.fn) == (before.tp, before.fp, before.fn)
    assert after.iou_sum == pytest.approx(before.iou_sum)


def test_crowded_images_are_matched_at_once() -> None:
    # 10,000 specks found, every 16th of them true: the assignment would take cubic time.
    truth, predicted = np.zeros((200, 200), np.int32), np.zeros((200, 200), np.int32)
    predicted[::2, ::2] = np.arange(1, 10_001).reshape(100, 100)
    truth[::8, ::8] = np.arange(1, 626).reshape(25, 25)
    assert count_objects(truth, predicted, iou=0.5) == ObjectCounts(625, 9_375, 0, 625.0)
