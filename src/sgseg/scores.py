"""Counts in, score out: how well a predicted mask agrees with a true one, by pixels and objects.

Pure arithmetic on arrays, below every other module. Which images are scored, with which threshold
and with what uncertainty is the business of `evaluation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of one or many images; adding two pools them."""

    tp: int
    fp: int
    fn: int
    tn: int

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def iou(self) -> float:
        """Foreground intersection over union, TP / (TP + FP + FN).

        1.0 where nothing is and nothing is found.
        """
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN); 1.0 where nothing is and nothing is found."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 1.0 where nothing is found."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN); 1.0 where nothing is."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all. Close to 1 for anything when granules are a hundredth of the pixels."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)


@dataclass(frozen=True)
class ObjectCounts:
    """Matched, superfluous and missed objects of one or many images; adding two pools them.

    `iou_sum` is the sum of the IoU of the matched pairs.
    """

    tp: int
    fp: int
    fn: int
    iou_sum: float

    def __add__(self, other: ObjectCounts) -> ObjectCounts:
        return ObjectCounts(
            self.tp + other.tp,
            self.fp + other.fp,
            self.fn + other.fn,
            self.iou_sum + other.iou_sum,
        )

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 1.0 where nothing is found."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN); 1.0 where nothing is."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1.0 where nothing is and nothing is found."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def panoptic_quality(self) -> float:
        """Sum of matched IoU / (TP + FP/2 + FN/2); 1.0 where nothing is and nothing is found.

        Kirillov et al. 2019, doi:10.1109/CVPR.2019.00963, where pairs match above an IoU of 0.5.
        """
        return _ratio(self.iou_sum, self.tp + 0.5 * self.fp + 0.5 * self.fn)

    @property
    def count_error(self) -> int:
        """Number predicted minus number true."""
        return self.fp - self.fn


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def count_pixels(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> Confusion:
    """Count agreeing and disagreeing pixels of two boolean masks of one shape."""
    if truth.shape != predicted.shape:
        raise ValueError(
            f"masks of one shape are needed. Received: {truth.shape} and {predicted.shape}"
        )
    tp = int(np.count_nonzero(truth & predicted))
    n_true, n_predicted = int(np.count_nonzero(truth)), int(np.count_nonzero(predicted))
    fp, fn = n_predicted - tp, n_true - tp
    return Confusion(tp, fp, fn, truth.size - tp - fp - fn)


def pairwise_iou(truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> NDArray[np.float64]:
    """IoU of every true object (rows) with every predicted one (columns).

    Parameters
    ----------
    truth, predicted
        Label images of one shape, 0 is background. Labels need not be consecutive.

    Returns
    -------
    array (n_true, n_predicted), in [0, 1]
    """
    if truth.shape != predicted.shape:
        raise ValueError(
            f"label images of one shape are needed. Received: {truth.shape} and {predicted.shape}"
        )
    # Sorting foreground pixels only, and filling only pairs that overlap: most pixels are
    # background, and most pairs are far apart.
    true_names, true_areas = np.unique(truth[truth != 0], return_counts=True)
    predicted_names, predicted_areas = np.unique(predicted[predicted != 0], return_counts=True)
    both = (truth != 0) & (predicted != 0)
    rows = np.searchsorted(true_names, truth[both])
    columns = np.searchsorted(predicted_names, predicted[both])
    pairs, overlap = np.unique(rows * len(predicted_names) + columns, return_counts=True)
    rows, columns = np.divmod(pairs, max(len(predicted_names), 1))
    iou = np.zeros((len(true_names), len(predicted_names)))
    iou[rows, columns] = overlap / (true_areas[rows] + predicted_areas[columns] - overlap)
    return iou


def count_objects(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], *, iou: float
) -> ObjectCounts:
    """Match true and predicted objects one to one and count.

    A pair may match when its IoU is at least `iou`, which is above 0. Below 0.5 an object can have
    several candidates; the assignment with most matches, and among those with the largest sum of
    IoU, is taken.
    """
    return match_counts(pairwise_iou(truth, predicted), iou=iou)


def match_counts(ious: NDArray[np.float64], *, iou: float) -> ObjectCounts:
    """`count_objects` from a matrix (n_true, n_predicted) of IoU."""
    n_true, n_predicted = ious.shape
    allowed = ious >= iou
    # The assignment takes cubic time: pairs that have no other candidate are left out of it.
    certain = allowed & (allowed.sum(1, keepdims=True) == 1) & (allowed.sum(0) == 1)
    open_pairs = allowed & ~certain
    part = np.ix_(open_pairs.any(axis=1), open_pairs.any(axis=0))
    # One match more outweighs any gain in IoU: each is worth a constant above the largest sum.
    worth = np.where(open_pairs[part], ious[part] + min(n_true, n_predicted) + 1, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    chosen = ious[part][rows, columns][open_pairs[part][rows, columns]]
    matched = np.concatenate([ious[certain], chosen])
    tp = len(matched)
    return ObjectCounts(tp, n_predicted - tp, n_true - tp, float(matched.sum()))
