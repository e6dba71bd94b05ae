"""Scores of a network on whole images while it is trained; those that count are in `evaluation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from sgseg.inference.segment import to_labels
from sgseg.nets.losses import build_loss
from sgseg.nets.metrics import PixelScores
from sgseg.scores import ObjectCounts, count_objects
from sgseg.training.batches import Example

Scores = dict[str, float]

# Only for stopping: those in use are chosen later, on out-of-fold predictions.
STOPPING_THRESHOLD = 0.5
STOPPING_MIN_AREA_PX = 8


def predict(model: keras.Model, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of granule (h, w) in a prepared image (h, w)."""
    return np.asarray(model.predict_on_batch(image[None, ..., None]))[0, ..., 0]


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
    function, pixels, objects = build_loss(**loss), PixelScores(), ObjectCounts(0, 0, 0, 0.0)
    losses = []
    for example in examples:
        probability = predict(model, example.image)
        pixels.update_state(example.mask, probability)
        truth, predicted = example.mask[None, ..., None], probability[None, ..., None]
        losses.append(float(ops.mean(function(truth, predicted))))
        objects += count_objects(example.labels, stopping_labels(probability), iou=object_iou)
    return {
        "loss": float(np.mean(losses)),
        **as_floats(pixels.result()),
        "object_precision": objects.precision,
        "object_recall": objects.recall,
        "object_f1": objects.f1,
    }


def as_floats(scores: Mapping[str, Any]) -> Scores:
    """Scores of Keras as numbers."""
    return {name: float(value) for name, value in scores.items()}
