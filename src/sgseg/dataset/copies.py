"""Finds images that show the same twice: identical, mirrored, turned, re-encoded or nearly so.

Pixels in, pairs out. What follows from a pair, one group and the label ceiling, is for `ingest` and
`ceiling`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sgseg.dataset.groups import Groups
from sgseg.dataset.structure import (
    LARGEST,
    ORIENTATIONS,
    Pixels,
    Structure,
    T,
    candidates,
    structure,
    turn,
    unit,
)

MAX_SHIFT = 0.04  # of the shorter side
# How much better than in any other orientation (Fisher's z). Seen in single cells of 80 x 80 px:
# copies 0.7 and more, the same cell in another focal plane 0.96, cells that merely look alike 0.49.
STANDS_OUT = 0.6
LARGE_GROUP = 8
_CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Copy:
    """Two images that show the same: `a[y, x]` is `turn(b, transform)[y - dy, x - dx]`.

    `a` and `b` are positions in the sequence handed to `find_copies`, `shift` is (dy, dx) in px,
    `correlation` is that of their structure, in [-1, 1].
    """

    a: int
    b: int
    transform: int
    shift: tuple[int, int]
    correlation: float
    identical_pixels: bool


def pixel_hash(pixels: Pixels) -> str:
    """SHA-256 of pixels, type and shape, first 16 hex digits; the same in all 8 orientations."""
    return min(_digest(turn(pixels, transform)) for transform in ORIENTATIONS)


def _digest(pixels: Pixels) -> str:
    digest = hashlib.sha256(f"{pixels.dtype.str} {pixels.shape} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:16]


def find_copies(
    descriptors: Structure,
    shapes: Sequence[tuple[int, int]],
    hashes: Sequence[str],
    load: Callable[[int], Pixels],
    *,
    correlation: float,
) -> list[Copy]:
    """Every two images that show the same.

    Images of other shape (after turning) are never taken for copies, blank images neither.

    Parameters
    ----------
    descriptors : (n, 32, 32), as `structure.descriptor` makes them
    shapes : n of (height, width)
    hashes : n of `pixel_hash`
    load : gives the pixels (H, W) of an image by its position
    correlation : (0, 1]
        Structure correlated at least this much makes a pair; 1 leaves identical pixels only.

    Returns
    -------
    list of Copy, by `a`, then `b`. Within a group of more than 8 images, pairs that no longer
    change the groups may be missing: a film of one field would cost the square of its length.
    """
    copies = {(copy.a, copy.b): copy for copy in _identical(descriptors, hashes, load)}
    if correlation < 1 and len(descriptors) > 1:
        groups = Groups(len(descriptors))
        for a, b in copies:
            groups.join(a, b)
        found = sorted(candidates(descriptors, shapes), key=lambda item: (-item[0], *item))
        spectrum = _spectra(load, shapes)
        for _, a, b, transform in found:
            known = copies.get((a, b))
            if known is not None and known.identical_pixels:
                continue
            if groups.root(a) == groups.root(b) and groups.size(a) > LARGE_GROUP:
                continue
            copy = _compare(a, b, transform, spectrum, least=correlation)
            if copy.correlation < max(correlation, known.correlation if known else 0):
                continue
            if known is not None or _stands_out(copy, shapes[b], spectrum):
                copies[a, b] = copy
                groups.join(a, b)
    return [copies[key] for key in sorted(copies)]


def _identical(
    descriptors: Structure, hashes: Sequence[str], load: Callable[[int], Pixels]
) -> Iterator[Copy]:
    """Pairs of the same pixels in any orientation, blank images left out."""
    same: dict[str, list[int]] = {}
    for position, name in enumerate(hashes):
        if descriptors[position].any():
            same.setdefault(name, []).append(position)
    for group in same.values():
        images = [load(position) for position in group] if len(group) > 1 else []
        for index, image in enumerate(images):
            for other in range(index + 1, len(images)):
                fits = (np.array_equal(image, turn(images[other], item)) for item in ORIENTATIONS)
                transform = list(fits).index(True)
                yield Copy(group[index], group[other], transform, (0, 0), 1.0, True)


@dataclass(frozen=True)
class _Spectrum:
    values: Structure
    transformed: NDArray[np.complex64]
    factor: int


_Spectra = Callable[[int, int], _Spectrum]


def _spectra(load: Callable[[int], Pixels], shapes: Sequence[tuple[int, int]]) -> _Spectra:
    """Structure of image `position` in one orientation and its spectrum, the latest ones kept."""
    largest = max(height * width for height, width in shapes)
    keep = max(16, int(_CACHE_BYTES / (min(largest, LARGEST**2) * 12)))

    @lru_cache(maxsize=keep)
    def upright(position: int) -> tuple[Structure, int]:
        return structure(load(position))

    @lru_cache(maxsize=keep)
    def spectrum(position: int, transform: int) -> _Spectrum:
        values, factor = upright(position)
        turned = np.ascontiguousarray(turn(values, transform))
        return _Spectrum(turned, fft.rfft2(turned), factor)

    return spectrum


def _compare(a: int, b: int, transform: int, spectrum: _Spectra, *, least: float) -> Copy:
    """Correlation of `a` with `b` turned, at the shift where they fit best."""
    one, two = spectrum(a, 0), spectrum(b, transform)
    height, width = one.values.shape
    fit = fft.irfft2(one.transformed * two.transformed.conj(), s=(height, width))
    reach = max(2, int(min(height, width) * MAX_SHIFT))
    steps = np.arange(-reach, reach + 1)
    near = fit[np.ix_(steps % height, steps % width)]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    shift = int(steps[row]), int(steps[column])
    correlation = _correlation(one.values, two.values, shift)
    if correlation >= least - 0.2:
        shift, correlation = _climb(one.values, two.values, shift, reach)
    dy, dx = (step * one.factor for step in shift)
    return Copy(a, b, transform, (dy, dx), correlation, identical_pixels=False)


def _climb(
    one: Structure, two: Structure, shift: tuple[int, int], reach: int
) -> tuple[tuple[int, int], float]:
    """The best shift from `shift` on: what is cut off at the rim draws the first estimate to 0."""
    best = _correlation(one, two, shift)
    while True:
        around = [
            (shift[0] + dy, shift[1] + dx)
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if max(abs(shift[0] + dy), abs(shift[1] + dx)) <= reach
        ]
        scores = [_correlation(one, two, item) for item in around]
        if max(scores) <= best:
            return shift, best
        best = max(scores)
        shift = around[scores.index(best)]


def _correlation(one: Structure, two: Structure, shift: tuple[int, int]) -> float:
    mine, other = overlap(one, two, shift)
    return min(float((unit(mine) * unit(other)).sum()), 1.0)


def _stands_out(copy: Copy, shape: tuple[int, int], spectrum: _Spectra) -> bool:
    """Whether a pair fits far better than it does in every other orientation.

    Two round cells that merely look alike do so whichever way one of them is turned.
    """
    step = 1 if shape[0] == shape[1] else 2
    others = [
        item for item in ORIENTATIONS[copy.transform % step :: step] if item != copy.transform
    ]
    highest = float(np.tanh(_fisher(copy.correlation) - STANDS_OUT))
    # The quick look finds most of those that do not stand out; 2 is never reached, -1 always.
    return all(
        _compare(copy.a, copy.b, transform, spectrum, least=least).correlation <= highest
        for least in (2, -1)
        for transform in others
    )


def _fisher(correlation: float) -> float:
    """Fisher's z: on this scale correlations scatter evenly, however large they are."""
    return float(np.arctanh(min(correlation, 0.99999)))


def overlap(
    first: NDArray[T], second: NDArray[T], shift: tuple[int, int]
) -> tuple[NDArray[T], NDArray[T]]:
    """What both of two images (H, W) show when `first[y, x]` is `second[y - dy, x - dx]`."""
    dy, dx = shift
    height, width = first.shape
    mine = first[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)]
    other = second[max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)]
    return mine, other
