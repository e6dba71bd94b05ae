"""Scores of a network on whole images while it is trained; those that count are in `evaluation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from sgseg.inference.network import as_batch
from sgseg.inference.segment import to_labels
from sgseg.nets.losses import build_loss
from sgseg.nets.metrics import BINS, histogram_scores, pixel_counts
from sgseg.scores import ObjectCounts, count_objects
from sgseg.training.batches import Example

Scores = dict[str, float]

# Only for stopping: those in use are chosen later, on out-of-fold predictions.
STOPPING_THRESHOLD = 0.5
STOPPING_MIN_AREA_PX = 8


def predict(model: keras.Model, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of granule (h, w) in a prepared image (h, w) or (h, w, C)."""
    return np.asarray(model.predict_on_batch(as_batch(image)))[0, ..., 0]


def stopping_labels(probability: NDArray[np.float32]) -> NDArray[np.int32]:
    """Granules (h, w) in a probability (h, w), as counted to decide when to stop."""
    return to_labels(probability, threshold=STOPPING_THRESHOLD, min_area_px=STOPPING_MIN_AREA_PX)


def score_examples(
    model: keras.Model,
    examples: Sequence[Example],
    *,
    loss: Mapping[str, Any],
    object_iou: float,
) -> Scores:
    """Loss, pixel scores and object scores on whole images, at the threshold used for stopping."""
    measure, objects = _measuring(tuple(loss.items())), ObjectCounts(0, 0, 0, 0.0)
    losses, counts = [], np.zeros(2 * BINS, np.int64)
    for example in examples:
        probability = predict(model, example.image)
        value, pixels = measure(example.mask[None, ..., None], probability[None, ..., None])
        losses.append(float(value))
        counts += ops.convert_to_numpy(pixels)
        objects += count_objects(example.labels, stopping_labels(probability), iou=object_iou)
    return {
        "loss": float(np.mean(losses)),
        **pixel_scores(counts),
        "object_precision": objects.precision,
        "object_recall": objects.recall,
        "object_f1": objects.f1,
    }


def pixel_scores(counts: NDArray[np.int64]) -> Scores:
    """Scores from the sum (2 * BINS,) of any number of `pixel_counts`."""
    pair = (ops.convert_to_tensor(part) for part in counts.astype(np.float32).reshape(2, BINS))
    return {name: float(value) for name, value in histogram_scores(*pair).items()}


@cache
def _measuring(loss: tuple[tuple[str, Any], ...]) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Loss and pixel counts of an image; JAX compiles them once for each size of image."""
    function = build_loss(**dict(loss))

    def measure(truth: Any, probability: Any) -> tuple[Any, Any]:
        return ops.mean(function(truth, probability)), pixel_counts(truth, probability)

    if keras.backend.backend() != "jax":
        return measure
    import jax  # noqa: PLC0415 - another backend may run without it

    return jax.jit(measure)  # type: ignore[no-any-return]
