"""How much slower one model is than another: timed in pairs, because machines are never quiet."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from sgseg.evaluation.timing import MAX_PX, few_pixels, machine
from sgseg.gate.decision import Latency
from sgseg.inference.network import first_channel
from sgseg.inference.segmenter import Segmenter

PASSES = 5
Pixels = NDArray[np.generic]


def compare_latency(
    challenger: Segmenter,
    champion: Segmenter,
    images: Iterable[tuple[Pixels, float | None]],
    *,
    most: float,
    passes: int = PASSES,
    max_px: int = MAX_PX,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time both on the same pixels, one right after the other, and take the median ratio.

    What slows the machine down for a while slows both; who goes first alternates. Both have to have
    run before: a first call finds nothing in any cache.

    Parameters
    ----------
    images
        Pixels (H, W) or (H, W, C) and pixel size in micrometres; as many as fit into `max_px` are
        timed, and of a large first one the upper left part.
    most
        The rule's limit.
    """
    chosen = few_pixels(images, max_px)
    pairs: list[tuple[float, float, int]] = []
    for turn in range(passes):
        for pixels, size in chosen:
            seconds = {}
            order = (challenger, champion) if turn % 2 else (champion, challenger)
            for model in order:
                start = clock()
                model.predict(model.shown(pixels), pixel_size_um=size)
                seconds[model is challenger] = clock() - start
            pairs.append((seconds[True], seconds[False], first_channel(pixels).size))
    return Latency(
        challenger=round(statistics.median(mine / (px / 1e6) for mine, _, px in pairs), 6),
        champion=round(statistics.median(theirs / (px / 1e6) for _, theirs, px in pairs), 6),
        ratio=round(statistics.median(mine / theirs for mine, theirs, _ in pairs), 6),
        most=most,
        pairs=len(pairs),
        machine=machine(),
    )
