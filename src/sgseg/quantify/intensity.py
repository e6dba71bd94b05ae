"""How bright granules are: by themselves, against the cell around them, and in probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgseg.quantify.per_cell import BACKGROUND_SHARE, background_level
from sgseg.quantify.pixels import FloatArray, IntArray, Pixels, median_of

BATCH = 2000  # granules whose surroundings are listed at once: some 10 MB
GAUSSIAN = 1.4826  # standard deviation of a normal distribution in median absolute deviations


@dataclass(frozen=True)
class Ring:
    """Which pixels around a granule are its local background; lengths in px.

    Attributes
    ----------
    gap
        A pixel this close to any granule is left out: blur puts light of the granule there.
    width
        How far the ring reaches beyond the gap.
    min_px
        With fewer pixels than this no local background is given.
    """

    gap: float
    width: float
    min_px: int


@dataclass(frozen=True)
class Intensities:
    """One number (n,) per granule and quantity, in camera counts; NaN where it does not exist.

    Attributes
    ----------
    mean, largest
        Over the granule's pixels, nothing removed.
    background
        Median over the ring around the granule. Median, not mean: filaments and granules that were
        not found leave it where it is while they cover less than half of the ring.
    integrated
        Sum over the granule's pixels of what exceeds `background`.
    contrast_to_noise
        (mean - background) / noise, noise being the standard deviation of the ring, taken as 1.4826
        times the median absolute deviation from its median (Rousseeuw & Croux 1993,
        doi:10.1080/01621459.1993.10476408). NaN where that is 0: most of the ring has one value.
    partition_coefficient
        (mean - outside) / (background - outside): granule over the cytoplasm around it, without
        camera offset and light from no cell; see `outside_level`. NaN for a granule in no cell, and
        where the ring is not brighter than the outside.
    """

    mean: FloatArray
    largest: FloatArray
    background: FloatArray
    integrated: FloatArray
    contrast_to_noise: FloatArray
    partition_coefficient: FloatArray


def measure_intensities(
    pixels: Pixels,
    image: NDArray[np.generic],
    *,
    ring: Ring,
    cell: IntArray | None,
    cells: NDArray[np.integer] | None,
    nuclei: NDArray[np.integer] | None,
    outside: float,
) -> Intensities:
    """Measure the granules in an image (H, W).

    Parameters
    ----------
    cell
        The cell (n,) that each granule is in; None where cells are not known.
    cells, nuclei
        Label images (H, W): a ring stays inside the granule's cell and outside all nuclei.
    outside
        Camera counts where there is no cell; NaN where that is not known.
    """
    values = pixels.at(image)
    mean = pixels.mean(values)
    background, noise = _surroundings(
        pixels, image, ring=ring, cell=cell, cells=cells, nuclei=nuclei
    )
    cytoplasm = background - outside
    known = cytoplasm > 0
    if cell is not None:
        known &= cell > 0
    return Intensities(
        mean=mean,
        largest=pixels.largest(values),
        background=background,
        integrated=(mean - background) * pixels.area,
        contrast_to_noise=_ratio(mean - background, noise, noise > 0),
        partition_coefficient=_ratio(mean - outside, cytoplasm, known),
    )


def _ratio(part: FloatArray, whole: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    ratio: FloatArray = np.divide(part, whole, out=np.full(len(part), np.nan), where=known)
    return ratio


def _surroundings(
    pixels: Pixels,
    image: NDArray[np.generic],
    *,
    ring: Ring,
    cell: IntArray | None,
    cells: NDArray[np.integer] | None,
    nuclei: NDArray[np.integer] | None,
) -> tuple[FloatArray, FloatArray]:
    """Median (n,) of the ring around each granule, and its robust standard deviation (n,)."""
    closed = _near(pixels, ring.gap)
    if nuclei is not None:
        closed |= (nuclei > 0).ravel()
    brightness = image.ravel()
    level, noise = np.full(pixels.n, np.nan), np.full(pixels.n, np.nan)
    for runs in pixels.runs().batches(BATCH):
        owner, place = runs.grown(ring.gap + ring.width)
        used = ~closed[place]
        if cell is not None and cells is not None:
            used &= cells.ravel()[place] == cell[owner]
        used &= np.bincount(owner[used], minlength=pixels.n)[owner] >= ring.min_px
        owner, values = owner[used], brightness[place[used]].astype(np.float64)
        if not len(owner):
            continue
        low, n = int(owner[0]), int(owner[-1] - owner[0]) + 1
        middle = median_of(owner - low, values, n)
        part = slice(low, low + n)
        level[part] = middle
        noise[part] = GAUSSIAN * median_of(owner - low, np.abs(values - middle[owner - low]), n)
    return level, noise


def _near(pixels: Pixels, radius_px: float) -> NDArray[np.bool_]:
    """Whether a pixel of the flattened image is in a granule or within a distance of one."""
    near = np.zeros(pixels.labels.size, np.bool_)
    for runs in pixels.runs().batches(BATCH):
        near[runs.grown(radius_px)[1]] = True
    return near


def outside_level(image: NDArray[np.generic], cells: NDArray[np.integer] | None) -> float:
    """Camera counts where there is no cell, `background_level`; NaN where that is not known.

    Camera offset, light from the medium, and what is scattered out of the cells. Not known without
    `cells`, nor where they cover all of the image but a two-hundredth: then it has to be given, for
    the darkest pixels of a confluent field are cell. Where cells are drawn too small it is too
    high.
    """
    if cells is None or np.count_nonzero(cells == 0) < BACKGROUND_SHARE * cells.size:
        return float("nan")
    return background_level(image, cells)
