"""How far the members of an ensemble disagree: for each pixel, each granule and each image.

Networks trained on different parts of the data agree where the data told them what to do, and
disagree where they guess (Lakshminarayanan et al. 2017, arXiv:1612.01474). All numbers are 0 where
the members agree, and none is defined for a single member.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from sgseg.inference.tiles import strips
from sgseg.scores import Confusion, count_pixels

FloatImage = NDArray[np.float32]
Mask = NDArray[np.bool_]


class RunningMoments:
    """Mean and standard deviation of maps (H, W) that come one after the other.

    Those of all members of a large image would not fit into memory.

    Parameters
    ----------
    with_deviation
        Whether `deviation` is wanted: it takes a map more.
    """

    def __init__(self, *, with_deviation: bool) -> None:
        self._n = 0
        self._total: FloatImage | None = None
        self._squares: FloatImage | None = None
        self._with_deviation = with_deviation

    def add(self, found: FloatImage) -> None:
        """Count one more map, float32."""
        self._n += 1
        if self._total is None:
            self._total = found.copy()
            self._squares = np.zeros_like(found) if self._with_deviation else None
            return
        self._total += found
        if self._squares is not None:
            # Youngs & Cramer 1971, doi:10.1080/00401706.1971.10488826: squared deviations from the
            # running mean. A plain sum of squares would drown small ones in rounding.
            step = np.float32(self._n) * found
            step -= self._total
            step *= step
            step /= np.float32(self._n * (self._n - 1))
            self._squares += step

    @property
    def mean(self) -> FloatImage:
        """(H, W); to the bit that of NumPy along the first axis of the stack."""
        if self._total is None:
            raise ValueError("no map has been added")
        mean: FloatImage = self._total / np.float32(self._n)
        return mean

    @property
    def deviation(self) -> FloatImage:
        """Standard deviation (H, W) of the maps, divided by their number n rather than n - 1.

        Of probabilities it is in [0, 0.5]: 0.5 where one half of the members says 0 and the other
        1. In units of probability, unlike the entropy of the mean, which is highest where all
        members agree on 0.5: that is doubt about the pixel, not disagreement about it.
        """
        if self._squares is None:
            raise ValueError("not kept")
        deviation: FloatImage = np.sqrt(self._squares / np.float32(self._n))
        return deviation


@dataclass(frozen=True)
class Disagreement:
    """What the members make of the ensemble's granules.

    Parameters
    ----------
    granules
        (n,) for the granules 1..n of the ensemble: 1 minus the mean over the members of the IoU
        between that granule and what the member calls granule there, which is all its connected
        components that touch it. In [0, 1]: 0 if all members draw the same outline, 1 - 1 / K if
        one of K draws it so and no other finds it.
    image
        1 minus the mean over the members of the IoU between their foreground and that of the
        ensemble; 0 where none finds anything.
    """

    granules: NDArray[np.float64]
    image: float


def disagreement(labels: NDArray[np.int32], masks: Iterable[Mask]) -> Disagreement:
    """Compare an ensemble's label image (H, W) with the masks (H, W) of its members.

    After the structure-wise uncertainty of Roy et al. 2019, doi:10.1016/j.neuroimage.2019.03.042,
    by the IoU with the outline in use rather than that between the samples: the number then
    belongs to the granule that is shown.

    Raises
    ------
    ValueError
        Fewer than two members.
    """
    n = int(labels.max(initial=0)) + 1
    areas = np.zeros(n, np.int64)
    for rows in strips(labels.shape):
        areas += _sizes(labels[rows], n)
    granules, images = np.zeros(n - 1), []
    for mask in masks:
        counts = (count_pixels(labels[rows] > 0, mask[rows]) for rows in strips(labels.shape))
        images.append(sum(counts, start=Confusion(0, 0, 0, 0)).iou)
        granules += _iou_with_components(labels, areas, mask)
        # Or it would live until the next one has been made.
        del mask
    if len(images) < 2:
        raise ValueError(f"at least two members can disagree. Received: {len(images)}")
    return Disagreement(1 - granules / len(images), 1 - sum(images) / len(images))


def _sizes(labels: NDArray[np.integer], n: int) -> NDArray[np.int64]:
    """Pixels (n,) of each label; none for the background, which would take memory to count."""
    return np.bincount(labels[labels > 0], minlength=n)


def _iou_with_components(
    labels: NDArray[np.int32], areas: NDArray[np.int64], mask: Mask
) -> NDArray[np.float64]:
    """IoU (n,) of each label with the union of the mask's components (8-connected) touching it."""
    components, number = label(mask, structure=np.ones((3, 3)))
    component_areas = np.zeros(number + 1, np.int64)
    pairs, overlaps = [], []
    for rows in strips(labels.shape):
        mine, theirs = labels[rows], components[rows]
        component_areas += _sizes(theirs, number + 1)
        both = (mine > 0) & (theirs > 0)
        found, counts = np.unique(
            mine[both].astype(np.int64) * (number + 1) + theirs[both], return_counts=True
        )
        pairs.append(found)
        overlaps.append(counts)
    pair, place = np.unique(np.concatenate(pairs), return_inverse=True)
    overlap = np.bincount(place, weights=np.concatenate(overlaps), minlength=len(pair))
    granule, component = np.divmod(pair, number + 1)
    n = len(areas)
    shared = np.bincount(granule, weights=overlap, minlength=n)
    reached = np.bincount(granule, weights=component_areas[component], minlength=n)
    iou: NDArray[np.float64] = (shared[1:] / (areas + reached - shared)[1:]).astype(np.float64)
    return iou
