"""Whether the integers of a mask can be the numbers of its objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

# A label whose largest piece holds at least this share of it is one object (with stray pixels).
ONE_PIECE = 0.8
# Of ten labels one may be in pieces: hand-drawn labels have such slips.
MAX_SCATTERED = 0.1
MAX_RIMS = 0.5


def why_not_labels(codes: NDArray[np.int64]) -> str:
    """The reason why values can not be one object each; '' if they can.

    Three things tell soft edges, compression and codes for kinds from labels. (1) Values are
    scattered: more than one in ten is not one compact piece. (2) At least half of the zones
    (connected pixels of one value) are rims: they touch a zone of another value and are one pixel
    thin. (3) In most objects of several values some zone never touches the background: it is the
    core of a blurred granule.

    Parameters
    ----------
    codes : (H, W), integer, 0 is background
    """
    # Dense and small: the filters below compute in floating point.
    foreground = codes != 0
    inside = codes[foreground]
    dense = np.zeros(codes.shape, dtype=np.int32)
    dense[foreground] = np.searchsorted(np.unique(inside), inside) + 1
    zones: NDArray[np.int32] = measure.label(dense, background=0, connectivity=2)
    count = int(zones.max())
    sizes = np.bincount(zones.ravel(), minlength=count + 1)[1:]
    # Any pixel of a zone tells its value; the last one written wins.
    value_of = np.zeros(count + 1, dtype=np.int32)
    value_of[zones.ravel()] = dense.ravel()
    values, inverse = np.unique(value_of[1:], return_inverse=True)
    largest, total = np.zeros(len(values)), np.bincount(inverse, sizes)
    np.maximum.at(largest, inverse, sizes)
    scattered = np.flatnonzero(largest < ONE_PIECE * total)
    if len(scattered) > int(MAX_SCATTERED * len(values)):
        pieces = int(np.bincount(inverse).max())
        return f"{len(scattered)} of {len(values)} are scattered, one over {pieces} places"
    touching = _touches_other(dense, zones)
    rims = int((touching & ~_thick(zones))[1:].sum())
    if rims >= MAX_RIMS * count:
        return f"{rims} of {count} areas of one value are the thin rim of another"
    objects = ndimage.label(dense != 0, structure=np.ones((3, 3)))[0]
    at_background = np.zeros(count + 1, dtype=bool)
    at_background[zones[ndimage.minimum_filter(dense, 3) == 0]] = True
    object_of = np.zeros(count + 1, dtype=np.int64)
    object_of[zones.ravel()] = objects.ravel()
    several = np.bincount(object_of[1:], minlength=2) > 1
    several[0] = False
    enclosed = np.zeros_like(several)
    enclosed[object_of[1:][~at_background[1:]]] = True
    if several.any() and (several & enclosed).sum() > MAX_RIMS * several.sum():
        return f"{int((several & enclosed).sum())} objects consist of nested levels"
    return ""


def _touches_other(codes: NDArray[np.int32], zones: NDArray[np.int32]) -> NDArray[np.bool_]:
    """For each zone, whether it has a neighbour (of 8) that is neither 0 nor of its value."""
    beyond = np.where(codes == 0, np.iinfo(np.int32).max, codes)
    other = ndimage.maximum_filter(codes, 3) != codes
    other |= ndimage.minimum_filter(beyond, 3) != beyond
    touching = np.zeros(int(zones.max()) + 1, dtype=bool)
    touching[zones[other & (codes != 0)]] = True
    return touching


def _thick(zones: NDArray[np.int32]) -> NDArray[np.bool_]:
    """For each zone, whether it holds a block of 2 x 2 pixels."""
    block = zones[1:, 1:]
    same = (block == zones[:-1, 1:]) & (block == zones[1:, :-1]) & (block == zones[:-1, :-1])
    thick = np.zeros(int(zones.max()) + 1, dtype=bool)
    thick[block[same]] = True
    return thick
