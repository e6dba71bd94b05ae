"""The classical method that a network must beat: a difference of Gaussians, tuned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sgseg.evaluation.operating import Quality, qualities_of_map
from sgseg.inference.segment import to_labels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BaselinePoint:
    """Gaussian widths and a threshold.

    Widths in px, the threshold in standard deviations of the filtered image above its mean.
    """

    sigma_small: float
    sigma_large: float
    deviations: float
    min_area_px: int


def difference_of_gaussians(
    pixels: NDArray[np.generic], sigma_small: float, sigma_large: float
) -> Floats:
    """Band-passed image (H, W), scaled to mean 0 and standard deviation 1.

    Marr & Hildreth 1980, doi:10.1098/rspb.1980.0020. A flat image gives 0 everywhere.
    """
    image = pixels.astype(np.float64)
    return _standardised(gaussian_filter(image, sigma_small) - gaussian_filter(image, sigma_large))


def _standardised(band: Floats) -> Floats:
    centred: Floats = band - band.mean()
    deviation = float(centred.std())
    return centred / deviation if deviation > 0 else centred


def segment_classically(pixels: NDArray[np.generic], point: BaselinePoint) -> NDArray[np.int32]:
    """Label image (H, W) of what stands out from its surroundings."""
    band = difference_of_gaussians(pixels, point.sigma_small, point.sigma_large)
    return to_labels(band, threshold=point.deviations, min_area_px=point.min_area_px)


def baseline_qualities(
    pixels: NDArray[np.generic],
    truth: NDArray[np.int32],
    *,
    sigmas_small: Sequence[float],
    sigmas_large: Sequence[float],
    deviations: Sequence[float],
    min_areas_px: Sequence[int],
    object_iou: float,
) -> dict[BaselinePoint, Quality]:
    """Quality of one image at every combination of the baseline's parameters."""
    image = pixels.astype(np.float64)
    blurred = {sigma: gaussian_filter(image, sigma) for sigma in {*sigmas_small, *sigmas_large}}
    table: dict[BaselinePoint, Quality] = {}
    for small, large in product(sigmas_small, sigmas_large):
        of_map = qualities_of_map(
            _standardised(blurred[small] - blurred[large]),
            truth,
            thresholds=deviations,
            min_areas_px=min_areas_px,
            object_iou=object_iou,
        )
        for point, quality in of_map.items():
            table[BaselinePoint(small, large, point.threshold, point.min_area_px)] = quality
    return table
