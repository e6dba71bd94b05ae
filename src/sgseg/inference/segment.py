"""From probabilities to granules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from sgseg.inference.tiles import strips

_EIGHT = np.ones((3, 3))


def to_labels(
    probability: NDArray[np.floating], *, threshold: float, min_area_px: int
) -> NDArray[np.int32]:
    """Label the granules in a probability map.

    Parameters
    ----------
    probability
        (H, W) in [0, 1].
    threshold
        A pixel belongs to a granule when its probability is above this.
    min_area_px
        Smaller connected components (8-connectivity) are dropped.

    Returns
    -------
    label image (H, W), 0 is background, labels 1..n without gaps
    """
    mask = probability > threshold
    labels: NDArray[np.int32]
    labels, n = label(mask, structure=_EIGHT)
    # Counting takes 8 bytes for each pixel: of a large image few are granule.
    areas = np.bincount(labels[mask], minlength=n + 1)
    keep = areas >= min_area_px
    keep[0] = False
    names = np.zeros(n + 1, dtype=np.int32)
    names[keep] = np.arange(1, np.count_nonzero(keep) + 1)
    # In place, strip by strip: a second label image would be the largest thing in memory.
    for rows in strips(labels.shape):
        labels[rows] = names[labels[rows]]
    return labels


def drop_small(mask: NDArray[np.bool_], *, min_area_px: int) -> NDArray[np.bool_]:
    """A mask (H, W), which is changed, without its connected components below an area."""
    labels, n = label(mask, structure=_EIGHT)
    keep = np.bincount(labels[mask], minlength=n + 1) >= min_area_px
    keep[0] = False
    for rows in strips(mask.shape):
        mask[rows] = keep[labels[rows]]
    return mask
