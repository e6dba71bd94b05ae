"""Scores of a set of images with intervals: counts per image in, value and 95 % interval out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sgseg.scores import Confusion, ObjectCounts, count_pixels, match_counts, pairwise_iou

BINS = 1000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ImageCounts:
    """What one image contributes to every score.

    Parameters
    ----------
    image_id, group
        From the manifest; intervals are drawn over groups.
    pixels
        Pixel counts at the threshold in use.
    objects, objects_50
        Object counts at the IoU in use (`evaluate.object_iou`) and at 0.5.
    histogram
        (2, BINS) number of background and granule pixels per probability; None for a method that
        gives no probability.
    """

    image_id: str
    group: str
    pixels: Confusion
    objects: ObjectCounts
    objects_50: ObjectCounts
    histogram: NDArray[np.int64] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the truth holds no granule: an empty control."""
        return self.objects.tp + self.objects.fn == 0


def count_image(
    image_id: str,
    group: str,
    *,
    truth: NDArray[np.int32],
    predicted: NDArray[np.int32],
    object_iou: float,
    probability: NDArray[np.float32] | None = None,
) -> ImageCounts:
    """Compare true and predicted label images (H, W)."""
    ious = pairwise_iou(truth, predicted)
    return ImageCounts(
        image_id=image_id,
        group=group,
        pixels=count_pixels(truth > 0, predicted > 0),
        objects=match_counts(ious, iou=object_iou),
        objects_50=match_counts(ious, iou=0.5),
        histogram=None if probability is None else probability_histogram(truth > 0, probability),
    )


def probability_histogram(
    truth: NDArray[np.bool_], probability: NDArray[np.float32]
) -> NDArray[np.int64]:
    """(2, BINS): how many background (row 0) and granule (row 1) pixels got which probability."""
    bins = np.clip((probability * BINS).astype(np.int64), 0, BINS - 1)
    counts = np.bincount((truth * BINS + bins).ravel(), minlength=2 * BINS)
    return counts.reshape(2, BINS)


def operating_points(histogram: Floats) -> tuple[Floats, Floats]:
    """True and false positives (..., BINS) when all from bin i up is called granule, i falling."""
    tail = np.cumsum(histogram[..., ::-1], axis=-1)
    return tail[..., 1, :], tail[..., 0, :]


def roc_auc(histogram: Floats) -> Floats:
    """Area under the ROC curve of histograms (..., 2, BINS) by trapezoids; NaN for one class."""
    tp, fp = operating_points(histogram)
    zero = np.zeros_like(tp[..., :1])
    tp, fp = np.concatenate([zero, tp], -1), np.concatenate([zero, fp], -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        tpr, fpr = tp / tp[..., -1:], fp / fp[..., -1:]
    return np.asarray(np.trapezoid(tpr, fpr, axis=-1))


def average_precision(histogram: Floats) -> Floats:
    """Sum over operating points of precision times gain in recall; NaN without granule pixels."""
    tp, fp = operating_points(histogram)
    gain = np.diff(tp, prepend=0.0, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(tp / (tp + fp))
        return np.asarray((precision * gain).sum(-1) / tp[..., -1])


def score(counts: Sequence[ImageCounts], weights: Floats) -> dict[str, Floats]:
    """Every score of the images, each image counted `weights` times.

    Parameters
    ----------
    counts
        The n images.
    weights
        (B, n) number of times that each image occurs in each of B data sets.

    Returns
    -------
    name -> (B,)
        `foreground_iou` and `foreground_dice` are means over images (an image without granules in
        which none is found counts 1); all others pool the counts of all images. `count_error` is
        the mean absolute error of the number of granules per image; `false_per_empty` the mean
        number of granules found in an image that has none (NaN without such images). Pooled ratios
        without a denominator are 1, `roc_auc` and `average_precision` are NaN there.
    """

    def column(values: Sequence[float]) -> Floats:
        return weights @ np.asarray(values, dtype=np.float64)

    n = weights.sum(axis=1)
    pixels = {k: column([getattr(c.pixels, k) for c in counts]) for k in ("tp", "fp", "fn", "tn")}
    result = {
        "foreground_iou": column([c.pixels.iou for c in counts]) / n,
        "foreground_dice": column([c.pixels.dice for c in counts]) / n,
        "pooled_iou": _ratio(pixels["tp"], pixels["tp"] + pixels["fp"] + pixels["fn"]),
        "precision": _ratio(pixels["tp"], pixels["tp"] + pixels["fp"]),
        "recall": _ratio(pixels["tp"], pixels["tp"] + pixels["fn"]),
        "accuracy": _ratio(
            pixels["tp"] + pixels["tn"], pixels["tp"] + pixels["fp"] + pixels["fn"] + pixels["tn"]
        ),
    }
    for suffix, objects in (
        ("", [c.objects for c in counts]),
        ("_50", [c.objects_50 for c in counts]),
    ):
        tp, fp, fn = (column([getattr(o, k) for o in objects]) for k in ("tp", "fp", "fn"))
        result[f"object_precision{suffix}"] = _ratio(tp, tp + fp)
        result[f"object_recall{suffix}"] = _ratio(tp, tp + fn)
        result[f"object_f1{suffix}"] = _ratio(2 * tp, 2 * tp + fp + fn)
        if suffix:
            iou_sum = column([o.iou_sum for o in objects])
            result["panoptic_quality"] = _ratio(iou_sum, tp + 0.5 * fp + 0.5 * fn)
    result["count_error"] = column([abs(c.objects.count_error) for c in counts]) / n
    empty = column([c.is_empty for c in counts])
    false = column([c.objects.fp * c.is_empty for c in counts])
    result["false_per_empty"] = np.where(empty > 0, false / np.maximum(empty, 1), np.nan)
    histograms = [c.histogram for c in counts if c.histogram is not None]
    if counts and len(histograms) == len(counts):
        flat = np.stack(histograms).reshape(len(counts), -1).astype(np.float64)
        pooled = (weights @ flat).reshape(-1, 2, BINS)
        result["roc_auc"] = roc_auc(pooled)
        result["average_precision"] = average_precision(pooled)
    return result


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1e-300), 1.0)


def summarise(
    counts: Sequence[ImageCounts], *, resamples: int, seed: int
) -> dict[str, dict[str, float | None]]:
    """Value and 95 % interval, of data sets whose groups are drawn with replacement (percentiles).

    Efron & Tibshirani 1993, doi:10.1007/978-1-4899-4541-9, chapter 13. A score that is not defined
    (NaN) is None, and so is the interval of a single group, which says nothing about others.
    """
    if not counts:
        return {}
    values = score(counts, np.ones((1, len(counts))))
    names, member = np.unique([c.group for c in counts], return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    resampled = score(counts, draws[:, member].astype(np.float64))
    summary = {}
    for name, value in values.items():
        finite = resampled[name][np.isfinite(resampled[name])]
        known = finite.size and len(names) > 1
        low, high = np.percentile(finite, [2.5, 97.5]) if known else (np.nan, np.nan)
        summary[name] = {
            "value": _number(value[0]),
            "low": _number(low),
            "high": _number(high),
        }
    return summary


def paired_difference(
    methods: Sequence[Sequence[ImageCounts]],
    others: Sequence[Sequence[ImageCounts]],
    *,
    names: Iterable[str],
    resamples: int,
    seed: int,
) -> dict[str, dict[str, float | None]]:
    """What some methods gain over others on the same images, with a 95 % interval over groups.

    In each resample all are scored on the same groups: that some groups are harder than others,
    which makes most of the interval of a single score, cancels out (Efron & Tibshirani 1993,
    doi:10.1007/978-1-4899-4541-9, chapter 13).

    Parameters
    ----------
    methods, others
        Counts of every image by each method; the difference is that of the mean scores.
    names
        Of the scores, see `score`; none that needs histograms.

    Raises
    ------
    ValueError
        They are not scores of the same images.
    """
    images = {c.image_id: c.group for c in others[0]}
    if any({c.image_id for c in counts} != images.keys() for counts in (*methods, *others)):
        raise ValueError("methods can be compared on the same images only")
    if not images:
        return {}
    groups, member = np.unique(list(images.values()), return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=resamples)
    # The first row counts each image once.
    weights = np.vstack([np.ones(len(images)), draws[:, member]])

    def scores_of(counts: Sequence[ImageCounts]) -> dict[str, Floats]:
        # Without the histograms: areas under curves are most of the work, and not asked for.
        by_image = {c.image_id: replace(c, histogram=None) for c in counts}
        return score([by_image[image] for image in images], weights)

    sides = [[scores_of(counts) for counts in side] for side in (methods, others)]
    result = {}
    for name in names:
        mine, theirs = (np.mean([scores[name] for scores in side], axis=0) for side in sides)
        value, *resampled = mine - theirs
        low, high = np.percentile(resampled, [2.5, 97.5]) if len(groups) > 1 else (np.nan, np.nan)
        result[name] = {"value": _number(value), "low": _number(low), "high": _number(high)}
    return result


def point_scores(counts: Sequence[ImageCounts]) -> dict[str, float | None]:
    """The scores without intervals."""
    return {k: _number(v[0]) for k, v in score(counts, np.ones((1, len(counts)))).items()}


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
