"""Coarse copies of an image and back: what is large is found where it costs less.

Nuclei and cells are tens of pixels wide; finding them at a tenth of the pixels changes nothing but
the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]


def block_mean(image: NDArray[Any], factor: int) -> Floats:
    """Mean of blocks of `factor` x `factor` pixels, (H, W) -> (ceil(H / f), ceil(W / f)).

    Blocks that reach beyond the image are filled up with its last row and column.
    """
    values = image.astype(np.float32)
    if factor == 1:
        return values
    height, width = (-(-side // factor) for side in image.shape)
    rows, columns = height * factor - image.shape[0], width * factor - image.shape[1]
    if rows or columns:
        values = np.pad(values, ((0, rows), (0, columns)), mode="edge")
    blocks = values.reshape(height, factor, width, factor)
    mean: Floats = blocks.mean(axis=(1, 3), dtype=np.float32)
    return mean


def repeat(coarse: NDArray[Any], factor: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Each value `factor` times along both axes, cut to `shape`: undoes `block_mean` for labels."""
    if factor == 1:
        return coarse[: shape[0], : shape[1]]
    wide = np.repeat(coarse, factor, axis=1)[:, : shape[1]]
    return np.repeat(wide, factor, axis=0)[: shape[0]]


def enlarge(coarse: Floats, factor: float, shape: tuple[int, ...]) -> Floats:
    """A smooth map (h, w) of blocks of `factor` pixels at each pixel of `shape`, linearly.

    The value of a block is that of its middle; beyond the outermost middles it stays the same.
    """
    rows, columns = (
        np.clip((np.arange(side, dtype=np.float32) + 0.5) / factor - 0.5, 0, count - 1)
        for side, count in zip(shape, coarse.shape, strict=True)
    )
    tall = _between(coarse, rows, axis=0)
    return _between(tall, columns, axis=1)


def _between(values: Floats, places: Floats, *, axis: int) -> Floats:
    """Linear interpolation along one axis."""
    low = np.minimum(places.astype(np.intp), max(values.shape[axis] - 2, 0))
    share = places - low
    share = share[:, None] if axis == 0 else share[None, :]
    high = np.minimum(low + 1, values.shape[axis] - 1)
    below, above = values.take(low, axis=axis), values.take(high, axis=axis)
    mixed: Floats = (below + share * (above - below)).astype(np.float32)
    return mixed


def local_background(image: Floats, *, scale: float, share: float, reach: float) -> Floats:
    """What lies under the objects of an image (H, W): a soft opening, of percentiles.

    Parameters
    ----------
    image : smoothed, so that a percentile of its pixels says nothing about noise.
    scale : typical diameter of the objects, px.
    share : the percentile, in [0, 100].
    reach : width of the surroundings, in diameters.
    """
    step = max(1, round(scale / 4))
    coarse = block_mean(image, step)
    size = max(3, 2 * round(reach * scale / step / 2) + 1)
    # At the border, where an opening sees one side only, a slope would be left: it goes first.
    slope = _plane(_opening(coarse, share, size), margin=size // 2)
    level = _opening(coarse - slope, share, size)
    smooth = ndimage.gaussian_filter(level, size / 8, mode="nearest") + slope
    return enlarge(smooth.astype(np.float32), step, image.shape)


def _opening(image: Floats, share: float, size: int) -> Floats:
    """A low percentile, brought up again by as much so that it does not lag behind a slope."""
    low = ndimage.percentile_filter(image, share, size=size, mode="nearest")
    opened: Floats = ndimage.percentile_filter(low, 100 - share, size=size, mode="nearest")
    return opened


def _plane(values: Floats, *, margin: int) -> Floats:
    """The plane (H, W) nearest to values (H, W), by least squares without their margin."""
    places: NDArray[np.int64] = np.indices(values.shape)
    inner = slice(margin, -margin)
    if min(values.shape) < 2 * margin + 2:
        inner = slice(None)
    known = values[inner, inner].ravel()
    down, right = places[0][inner, inner].ravel(), places[1][inner, inner].ravel()
    design = np.stack([np.ones(len(known)), down, right], axis=1)
    offset, *slopes = np.linalg.lstsq(design, known, rcond=None)[0]
    plane: Floats = (offset + slopes[0] * places[0] + slopes[1] * places[1]).astype(np.float32)
    return plane


def renumbered(labels: NDArray[np.integer], keep: NDArray[np.bool_]) -> Labels:
    """Labels with `keep[label]`, numbered from 1 in their order; others become background.

    Parameters
    ----------
    keep : (highest label + 1,); that of the background does not count.
    """
    names = np.zeros(len(keep), dtype=np.int32)
    kept = keep.copy()
    kept[0] = False
    names[kept] = np.arange(1, np.count_nonzero(kept) + 1)
    found: Labels = names[labels]
    return found


def at_border(labels: NDArray[np.integer], count: int) -> NDArray[np.bool_]:
    """For each label 0 to `count`, whether it has a pixel in an outermost row or column."""
    touching = np.zeros(count + 1, dtype=bool)
    if labels.size:
        for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            touching[edge] = True
    touching[0] = False
    return touching


def label_medians(values: Floats, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Median of the values under each label, (highest label + 1,); 0 for the background."""
    medians = np.zeros(int(labels.max(initial=0)) + 1)
    for label, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is not None:
            medians[label] = np.median(values[window][labels[window] == label])
    return medians
