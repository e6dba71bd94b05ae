"""Whether the members' disagreement tells right granules from wrong ones, on the test images.

Test images only: every development image was seen in training by all members but one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from sgseg.inference.uncertainty import disagreement
from sgseg.scores import count_pixels, pairwise_iou

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ImageDisagreement:
    """The disagreement on one image beside the truth.

    Parameters
    ----------
    image_id, group
        From the manifest; intervals are drawn over groups.
    uncertainty, iou
        Of the image: the members' disagreement, and the ensemble's foreground IoU with the truth.
    granules
        (n,) disagreement on each granule of the ensemble.
    is_right
        (n,) whether the granule is matched with a true one.
    """

    image_id: str
    group: str
    uncertainty: float
    iou: float
    granules: Floats
    is_right: Mask


def compare(
    image_id: str,
    group: str,
    *,
    truth: NDArray[np.int32],
    predicted: NDArray[np.int32],
    masks: Iterable[Mask],
    object_iou: float,
) -> ImageDisagreement:
    """Compare an ensemble's label image with its members' masks and the truth, all (H, W)."""
    found = disagreement(predicted, masks)
    return ImageDisagreement(
        image_id,
        group,
        found.image,
        count_pixels(truth > 0, predicted > 0).iou,
        found.granules,
        is_matched(pairwise_iou(truth, predicted), iou=object_iou),
    )


def is_matched(ious: Floats, *, iou: float) -> Mask:
    """Which predicted objects of a matrix (n_true, n_predicted) have a partner: (n_predicted,).

    The pairs that `match_counts` counts: most matches, among those the largest sum of IoU.
    """
    matched = np.zeros(ious.shape[1], dtype=np.bool_)
    allowed = ious >= iou
    # The assignment takes cubic time: objects without a candidate are left out of it.
    candidates = np.flatnonzero(allowed.any(axis=0))
    part = np.ix_(np.flatnonzero(allowed.any(axis=1)), candidates)
    worth = np.where(allowed[part], ious[part] + min(ious.shape) + 1, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    matched[candidates[columns[allowed[part][rows, columns]]]] = True
    return matched


def summarise_disagreement(
    images: Sequence[ImageDisagreement], *, resamples: int, seed: int
) -> dict[str, Any]:
    """What the numbers are worth, with 95 % intervals over groups (percentiles of resamples).

    Returns
    -------
    `granule_auc`: chance that of a wrong and a right granule, drawn at random, the wrong one has
    the higher disagreement (ties count half); 0.5 is worthless, 1 a perfect warning, None without a
    wrong or without a right one. `image_spearman`: rank correlation between the disagreement on an
    image and its foreground IoU; -1 is a perfect warning, None where either does not vary.
    `right_granules`, `wrong_granules` and `images` are how many there are of each.
    """
    if not images:
        return {}
    wrong = [~image.is_right for image in images]
    n_wrong = sum(int(w.sum()) for w in wrong)

    def granule_auc(chosen: NDArray[np.int64]) -> float | None:
        return auc(
            np.concatenate([images[i].granules for i in chosen]),
            np.concatenate([wrong[i] for i in chosen]),
        )

    uncertainty = np.array([image.uncertainty for image in images])
    iou = np.array([image.iou for image in images])

    def image_spearman(chosen: NDArray[np.int64]) -> float | None:
        return spearman(uncertainty[chosen], iou[chosen])

    groups = [image.group for image in images]
    return {
        "granule_auc": _with_interval(granule_auc, groups, resamples, seed),
        "image_spearman": _with_interval(image_spearman, groups, resamples, seed),
        "right_granules": sum(len(w) for w in wrong) - n_wrong,
        "wrong_granules": n_wrong,
        "images": len(images),
    }


def auc(values: Floats, is_positive: Mask) -> float | None:
    """Chance that a positive has the higher value than a negative; ties count half.

    From the sum of ranks, Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747. None where one
    of the two is missing.
    """
    n = int(is_positive.sum())
    m = len(values) - n
    if not n or not m:
        return None
    return float((rankdata(values)[is_positive].sum() - n * (n + 1) / 2) / (n * m))


def spearman(a: Floats, b: Floats) -> float | None:
    """Correlation of the ranks, in [-1, 1]; None where there is none."""
    if len(a) < 3 or not np.ptp(a) or not np.ptp(b):
        return None
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _with_interval(
    measure: Callable[[NDArray[np.int64]], float | None],
    groups: Sequence[str],
    resamples: int,
    seed: int,
) -> dict[str, float | None]:
    """Value for all images, and interval of data sets whose groups are drawn with replacement."""
    names, member = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(member == k) for k in range(len(names))]
    rng = np.random.default_rng(seed)
    value = measure(np.arange(len(groups)))
    found: list[float] = []
    if value is not None and len(names) > 1:
        for _ in range(resamples):
            drawn = rng.integers(len(names), size=len(names))
            again = measure(np.concatenate([members[k] for k in drawn]))
            found += [] if again is None else [again]
    low, high = np.percentile(found, [2.5, 97.5]) if found else (None, None)
    return {"value": _rounded(value), "low": _rounded(low), "high": _rounded(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)
