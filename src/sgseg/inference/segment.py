"""From probabilities to granules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label


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
    labels, n = label(probability > threshold, structure=np.ones((3, 3)))
    # Counting takes 8 bytes for each pixel: of a large image few are granule.
    areas = np.bincount(labels[labels > 0], minlength=n + 1)
    keep = areas >= min_area_px
    keep[0] = False
    names = np.zeros(n + 1, dtype=np.int32)
    names[keep] = np.arange(1, np.count_nonzero(keep) + 1)
    numbered: NDArray[np.int32] = names[labels]
    return numbered
