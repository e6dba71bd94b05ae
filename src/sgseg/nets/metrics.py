"""Pixel scores over an epoch, from one histogram of probabilities."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

BINS = 512
HALF = BINS // 2
PER_LOGIT = 16
SMALLEST = 1e-7


class PixelScores(keras.metrics.Metric):  # type: ignore[misc]
    """Accuracy, IoU, Dice, precision, recall and ROC AUC of the foreground, pooled over all pixels.

    Every update counts how many granule and background pixels got which probability; the scores
    are arithmetic on these counts. A pixel is found when its probability is above 0.5. The bins are
    equal steps of the logit, so that the AUC still ranks pixels where granules are rare and all
    probabilities are small; it is exact up to ties within a bin, a step of 6 % in the odds.
    """

    def __init__(self, name: str = "pixel_scores", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        # 64 bits where the backend has them: whoever adds up more than a batch does it in NumPy.
        self.counts = self.add_weight(
            shape=(2 * BINS,), initializer="zeros", dtype="int", name="counts"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        del sample_weight
        if len(y_pred.shape) == 4:
            # A network that is supervised at several depths has an output for each.
            y_pred = ops.mean(y_pred, axis=-1)
        self.counts.assign(self.counts + pixel_counts(y_true, y_pred))

    def result(self) -> dict[str, Any]:
        counts = ops.cast(ops.reshape(self.counts, (2, BINS)), "float32")
        return histogram_scores(counts[0], counts[1])


def pixel_counts(truth: Any, probability: Any) -> Any:
    """Background pixels, then granule pixels, per bin of probability: integers (2 * BINS,)."""
    probability = ops.cast(ops.reshape(probability, (-1,)), "float32")
    # Of soft labels what any labeller says.
    truth = ops.cast(ops.cast(ops.reshape(truth, (-1,)), "bool"), "int32")
    place = truth * BINS + _bins(probability)
    # Not `bincount`: TensorFlow has no deterministic one for GPUs, and then refuses.
    return ops.segment_sum(ops.ones_like(place, dtype="int"), place, num_segments=2 * BINS)


def _bins(probability: Any) -> Any:
    """Bin of each probability, in [0, BINS): steps of the logit, the upper half for p > 0.5."""
    inner = ops.clip(probability, SMALLEST, 1 - SMALLEST)
    logit = ops.log(inner / (1 - inner))
    steps = ops.clip(ops.cast(ops.abs(logit) * PER_LOGIT, "int32"), 0, HALF - 1)
    return ops.where(probability > 0.5, HALF + steps, HALF - 1 - steps)


def histogram_scores(negatives: Any, positives: Any) -> dict[str, Any]:
    """Scores from the float32 counts (BINS,) of background and of granule pixels per bin.

    Where a score's denominator is 0 (nothing is, nothing is found) it is 1; the AUC of one class is
    0.5.
    """
    tp, fn = ops.sum(positives[HALF:]), ops.sum(positives[:HALF])
    fp, tn = ops.sum(negatives[HALF:]), ops.sum(negatives[:HALF])
    # Chance that a granule pixel gets a higher probability than a background pixel, ties half.
    below = ops.cumsum(negatives) - negatives
    # Shares before products: counts multiplied with counts would leave the exact range of float32.
    share_below = _ratio(below + 0.5 * negatives, ops.sum(negatives), 0.5)
    return {
        "accuracy": _ratio(tp + tn, tp + tn + fp + fn),
        "iou": _ratio(tp, tp + fp + fn),
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "auc": _ratio(ops.sum(positives * share_below), ops.sum(positives), 0.5),
    }


def _ratio(part: Any, whole: Any, if_empty: float = 1.0) -> Any:
    empty = ops.equal(whole, 0)
    return ops.where(empty, if_empty, part / ops.where(empty, 1.0, whole))
