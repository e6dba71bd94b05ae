"""One dye shown in a colour: which of red, green and blue holds it, and whether it is alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

NAMES = ("red", "green", "blue")
# JPEG keeps green best, so another channel has to be clearly stronger to be preferred.
GREEN_PREFERENCE = 0.9
# What another channel may hold that the dye does not explain, as a fraction of the dye's own
# standard deviation and of its range. In single-dye JPEGs up to 0.21 and 0.20 were seen; nuclei in
# a second colour a third as bright as the dye give 0.6, a few bright puncta 0.6 of the range.
MAX_UNEXPLAINED_STD = 0.3
MAX_UNEXPLAINED_RANGE = 0.35
# Below this fraction of full scale it is camera noise: an empty field is no second dye.
NOISE_FLOOR = 0.08


def dye_channel(rgb: NDArray[np.generic]) -> tuple[int, bool]:
    """The channel that shows the dye, and whether one dye explains the whole picture.

    The dye is in the channel with the largest standard deviation; green counts as largest if it
    comes within 10 %. One dye shown in any colour (green, cyan, olive, gray) makes the channels
    proportional to each other up to a constant; a second dye, a scale bar or false colours do not.
    Each other channel is fitted by the dye's (least squares, slope not negative), both smoothed
    over 3 x 3 pixels against the colour noise of JPEG, and what remains is compared with the dye.

    Parameters
    ----------
    rgb : (3, H, W), any range
        Red, green and blue.

    Returns
    -------
    channel, alone : int, bool
    """
    planes = [ndimage.uniform_filter(plane.astype(np.float32), 3) for plane in rgb]
    spread = [float(plane.std()) for plane in planes]
    dye = int(np.argmax(spread))
    if spread[1] >= GREEN_PREFERENCE * spread[dye]:
        dye = 1
    full = 255.0 if rgb.dtype == np.uint8 else float(max(plane.max() for plane in planes))
    centred = planes[dye] - planes[dye].mean()
    for channel, plane in enumerate(planes):
        if channel == dye:
            continue
        rest = plane - plane.mean()
        slope = max(float((centred * rest).mean()) / max(spread[dye] ** 2, 1e-30), 0.0)
        rest = rest - slope * centred
        largest = float(np.abs(rest).max())
        if largest <= NOISE_FLOOR * full:
            continue
        too_wide = float(rest.std()) > MAX_UNEXPLAINED_STD * spread[dye]
        too_high = largest > MAX_UNEXPLAINED_RANGE * float(np.ptp(planes[dye]))
        if too_wide or too_high:
            return dye, False
    return dye, True
