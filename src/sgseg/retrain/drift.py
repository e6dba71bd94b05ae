"""Whether new images are unlike those of before, by the statistics in the manifest.

Tables in, findings out; the figure is in `drift_figure`.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from sgseg.dataset.manifest import read_canonical_image, read_canonical_labels
from sgseg.inference.bundle import BundleSpec, spec_preprocessing
from sgseg.inference.watch import as_seen, kind_of, unlike

NUMBERS = {
    "mean": "mean brightness",
    "p1": "1st percentile of brightness",
    "p50": "median brightness",
    "p99": "99th percentile of brightness",
    "saturated_fraction": "share of saturated pixels",
    "foreground_fraction": "share of pixels in granules",
    "n_objects": "granules per image",
    "height": "height (px)",
    "width": "width (px)",
    "pixel_size_um": "pixel size (um)",
}
KINDS = {
    "bit_depth": "bit depth",
    "channel": "channel",
    "mask_rule": "how masks were read",
    "condition": "condition",
}
FEWEST = 5
"""Images on either side, from which on distributions are compared."""
LEVEL, LEAST_DISTANCE = 0.05, 0.3
OUTSIDE = 0.5
UNKNOWN = "unknown"
TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, of normal values."""
MOST_READ = 200
"""New images that are read for the watch; it costs 10 ms each and more."""
RULE = (
    f"From {FEWEST} images on either side, a statistic is flagged if the two-sample "
    f"Kolmogorov-Smirnov distance D is at least {LEAST_DISTANCE:g} and its p-value, times the "
    f"number of statistics, is below {LEVEL:g}. With fewer images there is no test: it is flagged "
    f"if at least half of the new images lie outside the whole earlier range. What was the same in "
    f"all earlier images is flagged as soon as it differs in one. Images of one day resemble each "
    f"other, so p is too small rather than too large: a flag says *look*, not *wrong*. Gain and "
    f"offset drop out before the network sees an image, so brightness alone does little harm."
)


@dataclass(frozen=True)
class Shift:
    """One statistic of the images of before and of the new ones.

    Parameters
    ----------
    before, new
        Values of the images where it is known.
    unknown_before, unknown_new
        Number of images where it is not.
    distance, p
        Two-sample Kolmogorov-Smirnov D in [0, 1] (largest distance of the two cumulative
        distributions) and its p-value; None with too few images.
    moved
        Difference of the medians in robust standard deviations of before (1.4826 times the median
        absolute deviation); None where these do not vary.
    """

    name: str
    title: str
    before: tuple[float, ...]
    new: tuple[float, ...]
    unknown_before: int = 0
    unknown_new: int = 0
    distance: float | None = None
    p: float | None = None
    moved: float | None = None
    flagged: bool = False
    why: str = ""

    @property
    def constant(self) -> bool:
        """Whether all images have the same value."""
        return len({*self.before, *self.new}) == 1 and not self.flagged


@dataclass(frozen=True)
class Kind:
    """A property with a few values, such as the bit depth: number of images by value."""

    title: str
    before: Mapping[str, int]
    new: Mapping[str, int]

    @property
    def unseen(self) -> list[str]:
        """Values that no image had before."""
        return sorted(self.new.keys() - self.before.keys())


@dataclass(frozen=True)
class Drift:
    """New images against those of before.

    Parameters
    ----------
    names
        Image ids of the new ones.
    before
        Number of images of before.
    unlike
        Image ids by what the watch of the model in use says of them ("noise", "focus", ...).
    watched
        Number of new images that were held against its training images; 0 if there is no model.
    """

    names: list[str]
    before: int
    shifts: list[Shift] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    unlike: dict[str, list[str]] = field(default_factory=dict)
    watched: int = 0

    @property
    def flagged(self) -> list[str]:
        """Titles of what is flagged."""
        return [shift.title for shift in self.shifts if shift.flagged] + [
            kind.title for kind in self.kinds if kind.unseen
        ]

    @property
    def too_few(self) -> bool:
        """Whether there are too few images for a test."""
        return min(len(self.names), self.before) < FEWEST


def find_drift(before: pd.DataFrame, now: pd.DataFrame) -> Drift:
    """Compare the new images of a manifest with an earlier manifest.

    New is an image whose pixels no image of before has, so one with another name or another mask is
    not; nor is a mirrored or turned copy.

    Kolmogorov-Smirnov: Hodges 1958, doi:10.1007/BF02589501. Times the number of statistics
    (Bonferroni), as one of ten would be flagged by chance every other time otherwise.
    """
    before, now = before[before["problem"] == ""], now[now["problem"] == ""]
    new = now[~now["pixel_hash"].isin(set(before["pixel_hash"]))]
    names = [str(name) for name in new["image_id"]]
    if new.empty or before.empty:
        return Drift(names, len(before))
    columns = [name for name in NUMBERS if before[name].notna().any() or new[name].notna().any()]
    shifts = [_shift(name, before[name], new[name], tests=len(columns)) for name in columns]
    kinds = [
        Kind(title, _counts(before[name]), _counts(new[name])) for name, title in KINDS.items()
    ]
    return Drift(names, len(before), shifts, kinds)


def _counts(values: pd.Series) -> dict[str, int]:
    said = [UNKNOWN if value == "" or pd.isna(value) else _text(value) for value in values]
    return dict(Counter(said).most_common())


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _shift(name: str, before: pd.Series, new: pd.Series, *, tests: int) -> Shift:
    old, fresh = (values.dropna().to_numpy(dtype=float) for values in (before, new))
    distance, p = _distance(old, fresh)
    flagged, why = _judge(old, fresh, distance=distance, p=p, tests=tests)
    return Shift(
        name=name,
        title=NUMBERS[name],
        before=tuple(old.tolist()),
        new=tuple(fresh.tolist()),
        unknown_before=int(before.isna().sum()),
        unknown_new=int(new.isna().sum()),
        distance=distance,
        p=p,
        moved=_moved(old, fresh),
        flagged=flagged,
        why=why,
    )


def _distance(old: np.ndarray, new: np.ndarray) -> tuple[float | None, float | None]:
    if min(len(old), len(new)) < FEWEST:
        return None, None
    with warnings.catch_warnings():
        # It says so where ties keep it from the exact p-value, and takes the asymptotic one.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ks_2samp(new, old)
    return float(found.statistic), float(found.pvalue)


def _moved(old: np.ndarray, new: np.ndarray) -> float | None:
    if not (len(old) and len(new)):
        return None
    middle = float(np.median(old))
    spread = TO_SIGMA * float(np.median(np.abs(old - middle)))
    return (float(np.median(new)) - middle) / spread if spread > 0 else None


def _judge(
    old: np.ndarray, new: np.ndarray, *, distance: float | None, p: float | None, tests: int
) -> tuple[bool, str]:
    """Whether it is flagged, and by which part of the rule; see `RULE`."""
    if not len(new) or not len(old):
        return bool(len(old)), "unknown for all new images" if len(old) else "was never known"
    if old.min() == old.max():
        other = int((new != old[0]).sum())
        return other > 0, f"{old[0]:g} in all earlier images, another value in {other} new"
    if distance is not None and p is not None:
        return distance >= LEAST_DISTANCE and p * tests < LEVEL, ""
    outside = int(((new < old.min()) | (new > old.max())).sum())
    return outside >= OUTSIDE * len(new), f"{outside} of {len(new)} outside the earlier range"


def unlike_training(
    dataset: Path, images: pd.DataFrame, spec: BundleSpec
) -> tuple[dict[str, list[str]], int]:
    """In what images are unlike those that a model was trained on, and how many were looked at.

    Parameters
    ----------
    dataset
        data/dataset.
    images
        Rows of the manifest; of more than `MOST_READ` an even choice is read.
    spec
        Of the model's bundle; its watch is that of `sgseg predict`.

    Returns
    -------
    kind of warning -> image ids
    """
    if not spec.statistics:
        return {}, 0
    preprocessing = spec_preprocessing(spec.preprocessing)
    chosen = images.iloc[_evenly(len(images), MOST_READ)]
    found: dict[str, list[str]] = {}
    for name, size in zip(chosen["image_id"], chosen["pixel_size_um"], strict=True):
        known = None if pd.isna(size) else float(size)
        seen, scale = as_seen(preprocessing, read_canonical_image(dataset, name), known)
        areas = np.bincount(read_canonical_labels(dataset, name).ravel())[1:]
        for warning in unlike(spec.statistics, seen, areas[areas > 0] * scale**2):
            found.setdefault(kind_of(warning), []).append(str(name))
    return found, len(chosen)


def _evenly(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    chosen: list[int] = np.linspace(0, count - 1, most).round().astype(int).tolist()
    return chosen
