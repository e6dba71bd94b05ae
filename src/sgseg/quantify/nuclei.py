"""Nuclei from the nuclear channel, without a network: threshold, split, edge at half of the height.

The steps are those that cell biologists know from Fiji and CellProfiler. What is not here: cells
(`cells`), labels made elsewhere (`given`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from sgseg.quantify.grid import (
    Floats,
    Labels,
    at_border,
    block_mean,
    enlarge,
    label_medians,
    local_background,
    renumbered,
    repeat,
)

WORK_PX = 24  # diameter of a nucleus in the coarse image in which it is found
SEARCH_PX = 384  # side of the coarse image in which an unknown diameter is looked for
BACKGROUND_PERCENTILE = 10.0
BACKGROUND_REACH = 4.0  # diameters
SMOOTHING = 0.04  # standard deviation of the blur, in diameters
GROWTH = 0.15  # how far beyond the threshold an edge is looked for, in diameters
BORDER_SHARE = 0.25  # of the smallest area that is enough where the border cuts a nucleus
_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class NucleusOptions:
    """How nuclei are found.

    Attributes
    ----------
    diameter_um : float
        Typical diameter; in use where the pixel size is known.
    diameter_px : float, optional
        Typical diameter where the pixel size is not known; None: found in each image.
    min_area_share : float
        Of the area of a typical nucleus; smaller objects are debris.
    min_contrast : float
        How far a nucleus must stand out, in standard deviations of the smoothed background.
    split_neck : float
        In [0, 1]: objects that touch are separated where the neck between them is narrower than
        this share of the narrower one's width. 0 separates nothing.
    edge : float
        In (0, 1): the edge of a nucleus is where its brightness above background has fallen to this
        share of its median. Above one half, since out-of-focus light lies around a nucleus.
    """

    diameter_um: float = 12.0
    diameter_px: float | None = None
    min_area_share: float = 0.12
    min_contrast: float = 5.0
    split_neck: float = 0.8
    edge: float = 0.55


def segment_nuclei(
    image: NDArray[Any],
    *,
    pixel_size_um: float | None = None,
    options: NucleusOptions | None = None,
) -> Labels:
    """Label the nuclei in a nuclear channel.

    Parameters
    ----------
    image : (H, W), any range, nuclei bright.
    pixel_size_um : side of a pixel in um, None where unknown.
    options : defaults where None.

    Returns
    -------
    label image (H, W) int32, 0 is background, labels 1 ... n without gaps; nothing in a field
    without nuclei.

    Notes
    -----
    The background, a low percentile of the surroundings, is taken off. Otsu's threshold (Otsu 1979,
    doi:10.1109/TSMC.1979.4310076) of the square root, in which dim nuclei count as much as bright
    ones, makes objects; maxima of the logarithm of the distance to the background that are higher
    than `split_neck` says are the seeds of a watershed (Vincent & Soille 1991,
    doi:10.1109/34.87344); each nucleus then ends where its own brightness has fallen to `edge`.
    """
    options = options or NucleusOptions()
    diameter = nucleus_diameter_px(image, pixel_size_um=pixel_size_um, options=options)
    factor = max(1, int(diameter / WORK_PX))
    scale = diameter / factor
    smooth = _smooth(block_mean(image, factor), scale, hot_pixels=factor == 1)
    background = local_background(
        smooth, scale=scale, share=BACKGROUND_PERCENTILE, reach=BACKGROUND_REACH
    )
    flat = smooth - background
    mask = _within_edges(flat, _foreground(flat, options.min_contrast), scale, options.edge)
    seeds = _split(mask, scale, options.split_neck)
    level, noise = _levels(flat, seeds)
    found = renumbered(seeds, level > options.min_contrast * noise)
    level, _ = _levels(flat, found)

    wide = _grow(found, max(1.0, GROWTH * scale))
    labels = repeat(wide, factor, image.shape)
    if factor > 1:
        flat = _smooth(block_mean(image, 1), diameter) - enlarge(background, factor, image.shape)
    labels = np.where(flat > options.edge * level[labels], labels, 0)
    smallest = options.min_area_share * np.pi / 4 * diameter**2
    return _tidy(labels, len(level) - 1, smallest)


def nucleus_diameter_px(
    image: NDArray[Any],
    *,
    pixel_size_um: float | None = None,
    options: NucleusOptions | None = None,
) -> float:
    """The typical diameter of a nucleus in px that `segment_nuclei` goes by.

    Where neither pixel size nor diameter is known: twice the largest distance to the edge within an
    object, the median over objects weighted by area, so that neither debris nor clumps count much.
    """
    options = options or NucleusOptions()
    if pixel_size_um is not None:
        return max(2.0, options.diameter_um / pixel_size_um)
    if options.diameter_px is not None:
        return max(2.0, options.diameter_px)
    factor = max(1, -(-max(image.shape) // SEARCH_PX))
    smooth = ndimage.gaussian_filter(block_mean(image, factor), 1.5)
    root = np.sqrt(np.maximum(smooth - np.percentile(smooth, 5), 0))
    objects, count = ndimage.label(root > _otsu(root), structure=_EIGHT)
    if not count:
        return float(WORK_PX)
    numbers = np.arange(1, count + 1)
    depth = ndimage.maximum(ndimage.distance_transform_edt(objects), objects, numbers)
    area = np.bincount(objects.ravel())[1:]
    order = np.argsort(depth)
    middle = int(np.searchsorted(np.cumsum(area[order]), area.sum() / 2))
    radius = float(np.asarray(depth)[order][middle])
    return float(max(2.0, 2 * radius * factor))


def _smooth(image: Floats, scale: float, *, hot_pixels: bool = False) -> Floats:
    if hot_pixels:
        image = ndimage.median_filter(image, size=3, mode="nearest")
    blurred: Floats = ndimage.gaussian_filter(image, SMOOTHING * scale, mode="nearest")
    return blurred


def _otsu(values: Floats) -> float:
    return float(threshold_otsu(values)) if values.max() > values.min() else float(values.max())


def _foreground(flat: Floats, min_contrast: float) -> NDArray[np.bool_]:
    """Where a nucleus is, roughly; holes (nucleoli) filled."""
    threshold = _otsu(np.sqrt(np.maximum(flat, 0))) ** 2
    outside = flat[flat <= threshold]
    middle = float(np.median(outside))
    deviation = _deviation(outside)
    # Of few nuclei in a large field Otsu's threshold may fall into the noise.
    threshold = max(threshold, middle + min_contrast * deviation)
    above: NDArray[np.bool_] = flat > threshold
    return above


def _within_edges(
    flat: Floats, mask: NDArray[np.bool_], scale: float, edge: float
) -> NDArray[np.bool_]:
    """What is brighter than a share of the foreground around it, holes (nucleoli) filled.

    One threshold that keeps dim nuclei is so low that bright ones grow together.
    """
    weight = ndimage.gaussian_filter(mask.astype(np.float32), scale / 2)
    around = ndimage.gaussian_filter(np.where(mask, flat, 0), scale / 2)
    kept = mask & (flat * weight > edge * around)
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(kept)
    return filled


def _deviation(values: Floats) -> float:
    """Standard deviation from the median absolute deviation, blind to a few bright pixels."""
    if not values.size:
        return 0.0
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _split(mask: NDArray[np.bool_], scale: float, neck: float) -> Labels:
    """Objects of a mask, separated at their necks."""
    labels: Labels
    labels, count = ndimage.label(mask, structure=_EIGHT, output=np.int32)
    if not count or neck <= 0:
        return labels
    # Beyond the border a nucleus goes on: the border is no edge to measure a distance to.
    depth = ndimage.distance_transform_edt(mask).astype(np.float32)
    depth = ndimage.gaussian_filter(depth, SMOOTHING * scale) * mask
    # Ratios of widths are differences of logarithms. Below a tenth of a nucleus all is ragged edge.
    height = np.log(np.maximum(depth, 0.1 * scale))
    peaks = h_maxima(height, -np.log(min(neck, 0.999))) > 0
    seeds, _ = ndimage.label(peaks & mask, structure=_EIGHT)
    parted: Labels = watershed(-height, seeds, mask=mask).astype(np.int32)
    # An object below the floor has no maximum of its own.
    lost = mask & (parted == 0)
    extra, more = ndimage.label(lost, structure=_EIGHT)
    return np.where(extra > 0, extra + parted.max(), parted).astype(np.int32) if more else parted


def _levels(flat: Floats, labels: Labels) -> tuple[NDArray[np.float64], float]:
    """Median of each label (that of the background is 0), and the deviation of the background."""
    return label_medians(flat, labels), _deviation(flat[labels == 0])


def _grow(labels: Labels, distance: float) -> Labels:
    """Labels spread into the background, up to a distance in px."""
    away, (rows, columns) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    grown: Labels = np.where(away <= distance, labels[rows, columns], 0)
    return grown


def _tidy(labels: Labels, count: int, smallest: float) -> Labels:
    """The largest piece of each label without holes; what is too small goes."""
    clean = np.zeros_like(labels)
    for label, window in enumerate(ndimage.find_objects(labels, max_label=count), start=1):
        if window is None:
            continue
        pieces, n = ndimage.label(labels[window] == label)
        largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax() if n > 1 else pieces > 0
        clean[window][ndimage.binary_fill_holes(largest)] = label
    area = np.bincount(clean.ravel(), minlength=count + 1)
    needed = np.where(at_border(clean, count), BORDER_SHARE * smallest, smallest)
    return renumbered(clean, area >= needed)
