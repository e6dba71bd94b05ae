"""Shapes of known size and fields of known brightness, drawn pixel by pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

Labels = NDArray[np.int32]
LABELS = arrays(
    np.int32,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    # Labels with gaps, in several pieces, touching each other and the border.
    elements=st.sampled_from([0, 0, 0, 2, 5, 6, 300]),
)


def ellipse(
    shape: tuple[int, int],
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float = 0.0,
) -> NDArray[np.bool_]:
    """Pixels whose centre is inside; the first radius is along `angle` from the row axis."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    down, right = rows - centre[0], columns - centre[1]
    along = down * np.cos(angle) + right * np.sin(angle)
    across = -down * np.sin(angle) + right * np.cos(angle)
    return np.hypot(along / radii[0], across / radii[1]) <= 1


def disk(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """Pixels whose centre is inside."""
    return ellipse(shape, centre, (radius, radius))


def label_image(*masks: NDArray[np.bool_]) -> Labels:
    """Masks numbered from 1; a later one lies on those before."""
    labels = np.zeros(masks[0].shape, np.int32)
    for number, mask in enumerate(masks, 1):
        labels[mask] = number
    return labels
