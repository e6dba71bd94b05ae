"""A watch on inputs: says in what an image is unlike those that the model was trained on.

What does not change what the network sees is not looked at: gain, offset and bit depth drop out
with the normalisation. A model answers any image; a warning says that nobody knows how well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgseg.inference.preprocess import Preprocessing

FloatStack = NDArray[np.float32]
Areas = Sequence[float] | NDArray[np.floating]
SAMPLE_PX = 2**20
"""Of a larger image only parts are looked at: square fields on a grid."""
_FIELD_PX, _FIELDS = 256, 4
LOW, HIGH = 1.0, 99.8
"""Percentiles between which the brightness range lies."""
COMMON = (0.02, 0.98)
"""Quantiles of the training images: the few that are unlike the others set no limit."""
FEW_GRANULES = 5


@dataclass(frozen=True)
class ImageStatistics:
    """What an image is like; None where it cannot be said.

    Parameters
    ----------
    noise
        Standard deviation of the pixel noise over the brightness range (1st to 99.8th percentile),
        after Immerkaer 1996, doi:10.1006/cviu.1996.0060. In [0, 1] but for freaks.
    focus
        Detail of 4 px over detail of 8 px: root mean squares of the second differences of the image
        binned to such pixels, without the part of the noise. Blur takes the small before the large.
    median_level
        Where between the two percentiles the median lies, in [0, 1].
    saturated
        Share of pixels that have the highest value of the image, in [0, 1].
    levels
        Values that the camera or file could distinguish within the brightness range; None for
        fractions.
    pixel_size_um
        Side of a pixel as the network sees it.
    """

    noise: float | None
    focus: float | None
    median_level: float | None
    saturated: float
    levels: float | None
    pixel_size_um: float | None


def describe(pixels: NDArray[np.generic], pixel_size_um: float | None) -> ImageStatistics:
    """Statistics of an image (H, W) in camera counts."""
    fields = _fields(pixels)
    low, middle, high = (float(value) for value in np.percentile(fields, [LOW, 50, HIGH]))
    span = high - low
    saturated = float((fields == np.float32(pixels.max())).mean())
    if span <= 0 or min(fields.shape[1:]) < 3:
        return ImageStatistics(None, None, None, saturated, None, pixel_size_um)
    detail = np.abs(_second_differences(fields))
    return ImageStatistics(
        noise=_rounded(float(np.sqrt(np.pi / 2) / 6 * detail.mean()) / span),
        focus=_focus(fields, detail),
        median_level=_rounded((middle - low) / span),
        saturated=_rounded(saturated),
        levels=_rounded(span) if pixels.dtype.kind in "iu" else None,
        pixel_size_um=pixel_size_um,
    )


def as_seen(
    preprocessing: Preprocessing, pixels: NDArray[np.generic], pixel_size_um: float | None
) -> tuple[ImageStatistics, float]:
    """Statistics of an image, and how many times larger on a side the network sees it."""
    height, width = preprocessing.network_shape(pixels.shape, pixel_size_um)
    scale = float(np.sqrt(height * width / pixels.size))
    seen = None if pixel_size_um is None else _rounded(pixel_size_um / scale)
    return describe(pixels, seen), scale


def _rounded(value: float) -> float:
    # What is shown and compared says no more than it knows, and fits on a line of bundle.json.
    return float(f"{value:.4g}")


def _fields(pixels: NDArray[np.generic]) -> FloatStack:
    """(n, h, w): the image, or fields of a large one."""
    height, width = pixels.shape
    if pixels.size <= SAMPLE_PX:
        return pixels[None].astype(np.float32)
    side = [min(_FIELD_PX, height), min(_FIELD_PX, width)]
    rows, columns = (
        np.unique(np.linspace(0, size - part, _FIELDS).round().astype(int))
        for size, part in zip(pixels.shape, side, strict=True)
    )
    return np.stack(
        [pixels[y : y + side[0], x : x + side[1]] for y in rows for x in columns]
    ).astype(np.float32)


def _second_differences(fields: FloatStack) -> FloatStack:
    """Along rows and columns: Immerkaer's mask. White noise of deviation s comes out with 6 s."""
    return np.diff(np.diff(fields, 2, axis=1), 2, axis=2)


def _binned(fields: FloatStack) -> FloatStack:
    """Means of 2 x 2 px."""
    height, width = (size // 2 * 2 for size in fields.shape[1:])
    fields = fields[:, :height, :width]
    columns = fields[:, ::2] + fields[:, 1::2]
    return (columns[..., ::2] + columns[..., 1::2]) * np.float32(0.25)


def _focus(fields: FloatStack, detail: FloatStack) -> float | None:
    if min(fields.shape[1:]) < 3 * 8:
        return None
    # The median, which granules do not move: 0.6745 is that of |x| for normal noise.
    noise = float(np.median(detail)) / 0.6745 / 6
    four = _binned(_binned(fields))
    eight = _binned(four)
    small, large = (
        max(float(np.mean(np.square(_second_differences(binned)))) / 36 - (noise / size) ** 2, 0.0)
        for binned, size in ((four, 4), (eight, 8))
    )
    return _rounded(float(np.sqrt(small / large))) if large > 0 else None


def _median_diameter(areas_px: Areas) -> float | None:
    """Of circles of an image's granules' areas; None of too few."""
    if len(areas_px) < FEW_GRANULES:
        return None
    return _rounded(float(np.sqrt(4 / np.pi * np.median(areas_px))))


def training_statistics(
    images: Sequence[ImageStatistics], areas_px: Sequence[Areas]
) -> dict[str, Any]:
    """What training images are like: of each quantity the range in which it commonly lies.

    Parameters
    ----------
    images
        From `describe`.
    areas_px
        Of the granules of each image, as the network sees them.

    Returns
    -------
    `images` (how many), and for each quantity [2 %, 98 %] quantile over the images that have it;
    none for what no image has.
    """
    rows = [
        asdict(image) | {"diameter_px": _median_diameter(areas)}
        for image, areas in zip(images, areas_px, strict=True)
    ]
    ranges: dict[str, Any] = {"images": len(rows)}
    for name in RULES:
        values = [row[name] for row in rows if row[name] is not None]
        if values:
            ranges[name] = [_rounded(float(value)) for value in np.quantile(values, COMMON)]
    return ranges


def _range(low: float, high: float) -> str:
    ends = f"{low:.2g}", f"{high:.2g}"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _noise(value: float, low: float, high: float, _: float) -> str:
    had = _range(100 * low, 100 * high)
    what = "granules may drown in it" if value > high else "was the image smoothed or denoised?"
    return (
        f"noise: {100 * value:.2g} % of the brightness range; the training images had {had} %: "
        f"{what}"
    )


def _blur(value: float, low: float, high: float, _: float) -> str:
    return (
        f"focus: detail of 4 px has {value:.2g} times the strength of that of 8 px; in the "
        f"training images it had {_range(low, high)} times: the image looks blurred"
    )


def _level(value: float, _low: float, high: float, _: float) -> str:
    return (
        f"brightness: half of the pixels lie above {100 * value:.0f} % of the brightness range; in "
        f"the training images above at most {100 * high:.0f} %: is it inverted or overexposed?"
    )


def _saturation(value: float, _low: float, high: float, _: float) -> str:
    return (
        f"saturation: {100 * value:.2g} % of the pixels have the highest value; in the training "
        f"images at most {100 * high:.2g} %: granules may have lost their shape"
    )


def _levels(value: float, low: float, _high: float, _: float) -> str:
    return (
        f"gray levels: {value:.2g} in the brightness range; the training images had at least "
        f"{low:.0f}: rounding looks like granules or hides them"
    )


def _pixel_size(value: float, low: float, high: float, ratio: float) -> str:
    look = "smaller" if value > high else "larger"
    return (
        f"pixel size: {value:.3g} um; the training images had {_range(low, high)} um: granules "
        f"look {ratio:.2g} times {look} to the model"
    )


def _granule_size(value: float, low: float, high: float, _: float) -> str:
    return (
        f"granule size: half of those found are more than {value:.2g} px across; in the training "
        f"images that was {_range(low, high)} px"
    )


@dataclass(frozen=True)
class Rule:
    """From where on a quantity is unlike the training images, and what is then said.

    Parameters
    ----------
    says
        The sentence, of the value, the lowest and highest common value of the training images, and
        how many times the value is beyond these.
    below, above
        The limit for that lowest and highest value; None: no limit.
    """

    says: Callable[[float, float, float, float], str]
    below: Callable[[float], float] | None = None
    above: Callable[[float], float] | None = None


# Augmentation shows the network somewhat more than the training images; few of them, from one
# microscope, do not show all that it can do. What was tried with these: tests/inference/test_watch.
RULES: dict[str, Rule] = {
    # A few frames averaged are no matter, a smoothed or denoised image is far below.
    "noise": Rule(_noise, below=lambda low: low / 3, above=lambda high: high * 1.25),
    "focus": Rule(_blur, below=lambda low: low / 1.3),
    "median_level": Rule(_level, above=lambda high: high + 0.15),
    "saturated": Rule(_saturation, above=lambda high: high + 0.005),
    # Above so many the steps drown in the camera's noise.
    "levels": Rule(_levels, below=lambda low: min(low / 2, 32.0)),
    "pixel_size_um": Rule(_pixel_size, lambda low: low / 1.5, lambda high: high * 1.5),
    "diameter_px": Rule(_granule_size, lambda low: low / 1.5, lambda high: high * 1.5),
}


def unlike(
    statistics: Mapping[str, Any],
    image: ImageStatistics,
    areas_px: Areas = (),
) -> tuple[str, ...]:
    """In what an image is unlike the training images: a sentence each, "<kind>: <numbers>".

    Parameters
    ----------
    statistics
        From `training_statistics`; with {} only a blank image is told.
    areas_px
        Of the granules that were found in it, as the network sees them.
    """
    return tuple(_sentences(statistics, image, areas_px))


def kind_of(warning: str) -> str:
    """What a sentence of `unlike` is about."""
    return warning.partition(":")[0]


def _sentences(
    statistics: Mapping[str, Any],
    image: ImageStatistics,
    areas_px: Areas,
) -> Iterator[str]:
    found = asdict(image) | {"diameter_px": _median_diameter(areas_px)}
    if image.median_level is None:
        yield "brightness: (nearly) all pixels have the same value; there is nothing to see"
        return
    for name, rule in RULES.items():
        value, common = found[name], statistics.get(name)
        if value is None or common is None:
            continue
        low, high = common
        if rule.below is not None and value < rule.below(low):
            yield rule.says(value, low, high, low / value)
        elif rule.above is not None and value > rule.above(high):
            yield rule.says(value, low, high, value / high if high else 0.0)
