"""How long the networks take: measured, so never the same twice, and kept out of metrics.json."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgseg.evaluation.data import DataSet
from sgseg.inference.network import ORIENTATIONS, first_channel
from sgseg.inference.segmenter import Segmenter

PASSES = 5
MAX_PX = 2**16
"""Of the images that are timed; a large one is cut."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds per megapixel of raw image, from pixels to mean probability.

    Parameters
    ----------
    machine, cores
        Processor and number of its logical cores that could be used.
    images, megapixels
        How many were timed together, and how large they are in all.
    passes
        The value is the median of so many, in which all settings took turns.
    milliseconds_per_megapixel
        By `<members>_<orientations>`: one_1, one_8, all_1, all_8.
    """

    machine: str
    cores: int
    images: int
    megapixels: float
    passes: int
    milliseconds_per_megapixel: dict[str, float]


def measure(
    segmenter: Segmenter,
    data: DataSet,
    *,
    passes: int = PASSES,
    max_px: int = MAX_PX,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time the prediction of development images, as many as fit into `max_px` but at least one.

    One of the members stands for each of them: they differ in their weights only. All settings
    take turns, so that a machine that is busy for a while slows down all of them. The first pass,
    which finds nothing in any cache, does not reach the median.
    """
    images = few_pixels(
        ((data.shown(name), data.pixel_size_um(name)) for name in data.fold_of), max_px
    )
    settings = {
        f"{name}_{n}": (members, n)
        for name, members in (("one", [0]), ("all", None))
        for n in ORIENTATIONS
    }
    megapixels = sum(first_channel(pixels).size for pixels, _ in images) / 1e6
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(passes):
        for name, (members, orientations) in settings.items():
            start = clock()
            for pixels, size in images:
                segmenter.probability(
                    pixels, pixel_size_um=size, members=members, orientations=orientations
                )
            seconds[name].append(clock() - start)
    return Timing(
        machine(),
        _cores(),
        len(images),
        round(megapixels, 6),
        passes,
        {
            name: round(1e3 * statistics.median(values) / megapixels, 3)
            for name, values in seconds.items()
        },
    )


def few_pixels(
    images: Iterable[tuple[NDArray[np.generic], float | None]], max_px: int
) -> list[tuple[NDArray[np.generic], float | None]]:
    """The first images, (H, W) or (H, W, C) and pixel size, as many as fit but at least one.

    Of an image larger than that, the upper left part.
    """
    chosen: list[tuple[NDArray[np.generic], float | None]] = []
    left = max_px
    for pixels, size in images:
        part = pixels
        if first_channel(pixels).size > max_px:
            height = min(pixels.shape[0], int(max_px**0.5))
            part = pixels[:height, : max_px // height]
        area = first_channel(part).size
        if chosen and area > left:
            break
        chosen.append((part, size))
        left -= area
    return chosen


def machine() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
