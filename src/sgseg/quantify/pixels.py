"""The pixels of labelled objects as lists, so that work grows with them and not with the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Pixels:
    """The pixels of the n objects of a label image, object after object, each row by row.

    Attributes
    ----------
    labels : (H, W)
        The label image they were taken from.
    names : (n,)
        The labels, ascending; they need not be consecutive.
    owner : (m,)
        Index into `names` of each pixel.
    rows, columns : (m,)
        Where it is.
    """

    labels: NDArray[np.integer]
    names: IntArray
    owner: IntArray
    rows: IntArray
    columns: IntArray

    @classmethod
    def of(cls, labels: NDArray[np.integer]) -> Pixels:
        """List the pixels of a label image (H, W), 0 is background.

        Raises
        ------
        ValueError
            No label image: not (H, W), not of integers, or with negative labels.
        """
        if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
            raise ValueError(
                "a label image (H, W) of integers from 0 is needed. "
                f"Received: shape={labels.shape}, dtype={labels.dtype}"
            )
        rows, columns = np.nonzero(labels)
        names, owner = np.unique(labels[rows, columns], return_inverse=True)
        order = np.argsort(owner, kind="stable")
        return cls(labels, names.astype(np.int64), owner[order], rows[order], columns[order])

    @property
    def n(self) -> int:
        """Number of objects."""
        return len(self.names)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        height, width = self.labels.shape
        return height, width

    @property
    def area(self) -> IntArray:
        """Pixels (n,) of each object."""
        return np.bincount(self.owner, minlength=self.n)

    def mean(self, values: NDArray[np.generic]) -> FloatArray:
        """Mean (n,) over each object of one value (m,) per pixel."""
        sums = np.bincount(self.owner, weights=values.astype(np.float64), minlength=self.n)
        return sums / self.area

    def largest(self, values: NDArray[np.generic]) -> FloatArray:
        """Largest (n,) over each object of one value (m,) per pixel."""
        if self.n == 0:
            return np.zeros(0)
        return np.maximum.reduceat(values.astype(np.float64), starts_of(self.owner))

    def at(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Values (m,) of an image (H, W)."""
        return image[self.rows, self.columns]

    def ends_at(self, step: tuple[int, int]) -> NDArray[np.bool_]:
        """Whether (m,) the pixel a step (rows, columns) further is of another object or of none."""
        rows, columns = self.rows + step[0], self.columns + step[1]
        height, width = self.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        ends = ~inside
        ends[inside] = self.labels[rows[inside], columns[inside]] != self.at(self.labels)[inside]
        return ends

    def runs(self) -> Runs:
        """The pixels as horizontal runs."""
        first = np.ones(len(self.owner), np.bool_)
        first[1:] = (
            (np.diff(self.owner) != 0) | (np.diff(self.rows) != 0) | (np.diff(self.columns) != 1)
        )
        begin = np.flatnonzero(first)
        lengths = np.diff(begin, append=len(self.owner))
        start = self.columns[begin]
        return Runs(self.shape, self.owner[begin], self.rows[begin], start, start + lengths)


@dataclass(frozen=True)
class Runs:
    """Horizontal runs of pixels: columns `start` to before `stop` (k,) of a row, and whose."""

    shape: tuple[int, int]
    owner: IntArray
    rows: IntArray
    start: IntArray
    stop: IntArray

    def batches(self, size: int) -> Iterator[Runs]:
        """The runs of `size` objects at a time; they come object after object."""
        for low in range(0, int(self.owner[-1]) + 1 if len(self.owner) else 0, size):
            part = slice(*np.searchsorted(self.owner, [low, low + size]).tolist())
            yield Runs(
                self.shape, self.owner[part], self.rows[part], self.start[part], self.stop[part]
            )

    def grown(self, radius_px: float) -> tuple[IntArray, IntArray]:
        """Pixels within a distance of each object, its own among them.

        Exact: the union over the runs of runs lengthened on each row by half the chord of a disk.
        Each object grows by itself, over others; what would leave the image is left out.

        Returns
        -------
        owner, position : (k,)
            The object, and the index of the pixel in the flattened image; by object, then by
            position, each once.
        """
        height, width = self.shape
        reach = int(radius_px)
        starts, stops = [], []
        for step in range(-reach, reach + 1):
            half = int(np.sqrt(radius_px**2 - step**2))
            rows = self.rows + step
            inside = (rows >= 0) & (rows < height)
            line = (self.owner * height + rows)[inside] * width
            starts.append(line + np.maximum(self.start[inside] - half, 0))
            stops.append(line + np.minimum(self.stop[inside] + half, width))
        begin, position = np.concatenate(starts), np.concatenate(stops)
        order = np.argsort(begin)
        covered = spread(*_united(begin[order], position[order]))
        owner, place = np.divmod(covered, height * width)
        return owner, place


def _united(start: IntArray, stop: IntArray) -> tuple[IntArray, IntArray]:
    """Intervals [start, stop), sorted by start, with those that overlap or meet made one."""
    if not len(start):
        return start, stop
    reached = np.maximum.accumulate(stop)
    fresh = np.ones(len(start), np.bool_)
    fresh[1:] = start[1:] > reached[:-1]
    last = np.append(np.flatnonzero(fresh)[1:] - 1, len(start) - 1)
    return start[fresh], reached[last]


def spread(start: IntArray, stop: IntArray) -> IntArray:
    """All integers of intervals [start, stop), one interval after the other."""
    lengths = stop - start
    before = np.cumsum(lengths) - lengths
    every: IntArray = np.arange(int(lengths.sum())) + np.repeat(start - before, lengths)
    return every


def starts_of(owner: IntArray) -> IntArray:
    """Where each group of equal neighbours begins."""
    return np.flatnonzero(np.diff(owner, prepend=-1))


def median_of(owner: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Median (n,) of the values of each of n groups; NaN of a group without any."""
    values = values[np.lexsort((values, owner))]
    counts = np.bincount(owner, minlength=n)
    median = np.full(n, np.nan)
    some = counts > 0
    low = (np.cumsum(counts) - counts)[some]
    upper, lower = low + counts[some] // 2, low + (counts[some] - 1) // 2
    median[some] = (values[lower] + values[upper]) / 2
    return median
