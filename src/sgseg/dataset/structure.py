"""What images are compared by when copies are looked for: their structure, free of light and noise.

Arrays in, arrays out; `copies` decides what is a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels = NDArray[np.generic]
Structure = NDArray[np.float32]
T = TypeVar("T", bound=np.generic)

ORIENTATIONS = range(8)
# px, sd of Gaussians. Below lie noise and traces of JPEG; above, uneven light and the outline that
# all round cells share.
FINE, COARSE = 2.0, 8.0
LARGEST = 2048  # px; a larger image is shrunk before it is compared
SIDE, RIM = 32, 4  # of a descriptor, in its own pixels
DESCRIPTOR_FINE, DESCRIPTOR_COARSE = 1.5, 5.0
LIKENESS = 0.55  # of descriptors, to look closer: a shift of 3 % of the image leaves that much
BLANK = 1e-5  # of the largest value: rounding of 32-bit numbers
FEW = 50
_BLOCK = 512


def turn(pixels: NDArray[T], transform: int) -> NDArray[T]:
    """One of the 8 orientations of (H, W): from 4 on mirrored, then 0 to 3 quarter turns."""
    return np.rot90(pixels[:, ::-1] if transform >= 4 else pixels, transform % 4)


def structure(pixels: Pixels) -> tuple[Structure, int]:
    """Structure of an image (H, W) without its rim, and the factor by which it was shrunk.

    The band between 2 and 8 px, locally of equal contrast, of mean 0 and length 1; all 0 for a
    blank image. Turns as the image turns.
    """
    factor = -(-max(pixels.shape) // LARGEST)
    values = pixels.astype(np.float32)
    if factor > 1:
        values = _shrink(values, values.shape[0] // factor, values.shape[1] // factor)
    # Hot pixels, which all images of a camera share, would make all its empty fields copies.
    values = _without_hot_pixels(values)
    rim = min(int(COARSE), min(values.shape) // 8)
    return _band(values, fine=FINE, coarse=COARSE, rim=rim), factor


def _without_hot_pixels(pixels: Structure) -> Structure:
    """No pixel brighter or darker than all of its eight neighbours."""
    height, width = pixels.shape
    padded = np.pad(pixels, 1, mode="edge")
    steps = [(dy, dx) for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    around = [padded[dy : dy + height, dx : dx + width] for dy, dx in steps]
    low, high = around[0], around[0]
    for neighbour in around[1:]:
        low, high = np.minimum(low, neighbour), np.maximum(high, neighbour)
    return np.asarray(np.clip(pixels, low, high))


def descriptor(pixels: Pixels) -> Structure:
    """A small picture (32, 32) of an image's structure, to find candidates among thousands."""
    size = SIDE + 2 * RIM
    small = _shrink(pixels.astype(np.float32), size, size)
    if small.max() - small.min() <= BLANK * np.abs(small).max():
        return np.zeros((SIDE, SIDE), dtype=np.float32)
    surfaces = _surfaces(size)
    small -= (surfaces @ (surfaces.T @ small.ravel())).reshape(size, size)
    return _band(small, fine=DESCRIPTOR_FINE, coarse=DESCRIPTOR_COARSE, rim=RIM)


def unit(values: Structure) -> Structure:
    """The same with mean 0 and length 1; all 0 where nothing varies."""
    centred: Structure = values - values.mean()
    length = float(np.linalg.norm(centred))
    return centred / np.float32(length) if length > 0 else centred


def _band(pixels: Structure, *, fine: float, coarse: float, rim: int) -> Structure:
    if pixels.max() - pixels.min() <= BLANK * np.abs(pixels).max():
        inner = tuple(slice(rim, side - rim) for side in pixels.shape)
        return np.zeros_like(pixels[inner])
    band = ndimage.gaussian_filter(pixels, fine) - ndimage.gaussian_filter(pixels, coarse)
    # At the rim the filters see mirrored pixels: uneven light would look like structure there.
    band = band[rim : band.shape[0] - rim, rim : band.shape[1] - rim]
    contrast = band.std()
    # Few bright spots must not decide alone.
    local = np.sqrt(np.maximum(ndimage.gaussian_filter(band * band, coarse), 0))
    return unit(band / np.maximum(local + contrast, np.finfo(np.float32).tiny))


def _shrink(pixels: Structure, height: int, width: int) -> Structure:
    rows, columns = _averages(pixels.shape[0], height), _averages(pixels.shape[1], width)
    return np.asarray(rows @ pixels @ columns.T)


@lru_cache(maxsize=64)
def _averages(length: int, parts: int) -> Structure:
    """Matrix (parts, length) that averages `length` pixels over `parts` equal stretches."""
    edges = np.linspace(0, length, parts + 1)
    start, stop = edges[:-1, None], edges[1:, None]
    pixel = np.arange(length)[None]
    overlap = np.minimum(stop, pixel + 1) - np.maximum(start, pixel)
    return np.asarray(np.clip(overlap, 0, None) * parts / length, dtype=np.float32)


@lru_cache(maxsize=1)
def _surfaces(size: int) -> Structure:
    """Polynomials of degree 4, orthonormal over a square (size^2, 15): the shapes of uneven light.

    Empty fields are all alike in it, and thousands of them would all be candidates.
    """
    y, x = np.meshgrid(*2 * [np.linspace(-1, 1, size)], indexing="ij")
    terms = [x**i * y**j for i in range(5) for j in range(5 - i)]
    basis, _ = np.linalg.qr(np.stack([term.ravel() for term in terms], axis=1))
    return np.asarray(basis, dtype=np.float32)


def candidates(
    descriptors: Structure, shapes: Sequence[tuple[int, int]]
) -> Iterator[tuple[float, int, int, int]]:
    """(likeness, a, b, transform) of pairs a < b that are worth a look.

    Parameters
    ----------
    descriptors : (n, 32, 32), see `descriptor`
    shapes : n of (height, width); only images of one shape, after turning, are paired
    """
    special = _whiten(descriptors)
    flat = special.reshape(len(special), -1)
    size = np.asarray(shapes).reshape(-1, 2)
    for transform in ORIENTATIONS:
        turned = np.stack([turn(item, transform) for item in special]).reshape(flat.shape)
        turned_size = size[:, ::-1] if transform % 2 else size
        for start in range(0, len(flat), _BLOCK):
            rows = slice(start, start + _BLOCK)
            scores = np.triu(flat[rows] @ turned[start:].T, 1)
            scores[(size[rows, None] != turned_size[None, start:]).any(2)] = 0
            for row, column in np.argwhere(scores >= LIKENESS):
                yield float(scores[row, column]), start + int(row), start + int(column), transform


def _whiten(descriptors: Structure) -> Structure:
    """Play down what many images of the set have in common, such as the outline of a round cell.

    What is common is known only from many images: for few of them nothing is changed. It is taken
    over all orientations, so the result turns as the image turns.
    """
    n = len(descriptors)
    if n < FEW:
        return descriptors
    covariance = np.zeros((SIDE * SIDE, SIDE * SIDE))
    for transform in ORIENTATIONS:
        turned = np.stack([turn(item, transform) for item in descriptors]).reshape(n, -1)
        covariance += turned.T @ turned
    variance, axes = np.linalg.eigh(covariance / (n * len(ORIENTATIONS)))
    floor = max(float(variance.mean()), 1e-12) * (10 + 10_000 / n)
    weights = (axes / np.sqrt(np.clip(variance, 0, None) + floor)) @ axes.T
    flat = descriptors.reshape(n, -1) @ weights.astype(np.float32)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.where(lengths > 0, lengths, 1)).reshape(descriptors.shape)
