from __future__ import annotations

import numpy as np
import pytest

from sgseg.nets import build_network
from sgseg.scores import count_objects, count_pixels
from sgseg.training.scoring import score_examples, stopping_labels

from .tiny import RECIPE, SCORING, VALIDATION


def test_scores_pool_whole_images() -> None:
    model = build_network(**RECIPE.network | {"width": 2})
    found = score_examples(model, VALIDATION, **SCORING)

    pixels, objects = None, None
    losses = []
    for example in VALIDATION:
        p = np.asarray(model(example.image[None, ..., None]))[0, ..., 0].astype(np.float64)
        truth = example.labels > 0
        bce = -np.where(truth, np.log(p), np.log1p(-p)).mean()
        dice = 1 - (2 * p[truth].sum() + 1) / (truth.sum() + p.sum() + 1)
        losses.append(bce + dice)
        counts = count_pixels(truth, p > 0.5)
        pixels = counts if pixels is None else pixels + counts
        matched = count_objects(example.labels, stopping_labels(p.astype(np.float32)), iou=0.3)
        objects = matched if objects is None else objects + matched
    assert pixels is not None
    assert objects is not None
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    for name in ("iou", "dice", "precision", "recall", "accuracy"):
        assert found[name] == pytest.approx(getattr(pixels, name), rel=1e-5)
    assert found["object_f1"] == objects.f1
    assert found["object_precision"] == objects.precision
    assert found["object_recall"] == objects.recall
