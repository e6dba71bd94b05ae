"""The tables of a prediction: one row per image, one row per granule."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from sgseg.images.write import replacing
from sgseg.inference.segmenter import Prediction

FIELDS = (
    "image",
    "n_granules",
    "area_px",
    "area_um2",
    "pixel_size_um",
    "area_fraction",
    "uncertainty",
    "warnings",
)
GRANULES = (
    "image",
    "label",
    "area_px",
    "area_um2",
    "centroid_row",
    "centroid_col",
    "mean_probability",
    "uncertainty",
)
SEVERAL = " | "  # between the warnings of one image
Row = dict[str, object]


class ResultTables:
    """`fields.csv` and `granules.csv` in a folder, written when the `with` block ends.

    However it ends: an interrupted run keeps the rows it has. Without any image there is no file.
    Rows wait on disk, since a plate may have millions of granules.

    `fields.csv` has `image`, `n_granules`, `area_px`, `area_um2`, `pixel_size_um`, `area_fraction`
    (of the image, in [0, 1]), `uncertainty` and `warnings` (see `watch`); `granules.csv` has
    `image`, `label` (in the mask), `area_px`, `area_um2`, `centroid_row` and `centroid_col` (px
    from the middle of the first pixel), `mean_probability` and `uncertainty`. Areas in um2 are
    empty where the pixel size is unknown, uncertainties (see `Disagreement`) for a single member.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._waiting: dict[str, IO[str]] = {}
        self._n = 0

    def __enter__(self) -> ResultTables:
        for name, columns in (("fields.csv", FIELDS), ("granules.csv", GRANULES)):
            # `newline=""` as csv wants it: it ends its lines itself.
            file = tempfile.TemporaryFile("w+", newline="", encoding="utf-8")
            self._waiting[name] = file
            csv.writer(file).writerow(columns)
        return self

    def add(self, image: str, found: Prediction, pixel_size_um: float | None) -> None:
        """One image and its granules."""
        granules = granule_rows(image, found, pixel_size_um)
        self.add_rows(field_row(image, found, pixel_size_um), granules)

    def add_rows(self, field: Row, granules: Iterable[Row]) -> None:
        """The rows of one image, see `field_row` and `granule_rows`."""
        csv.DictWriter(self._waiting["granules.csv"], GRANULES).writerows(granules)
        csv.DictWriter(self._waiting["fields.csv"], FIELDS).writerow(field)
        self._n += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, file in self._waiting.items():
            with file:
                if not self._n:
                    continue
                file.seek(0)
                with (
                    replacing(self._out / name) as temporary,
                    temporary.open("w", newline="", encoding="utf-8") as result,
                ):
                    shutil.copyfileobj(file, result)


def field_row(image: str, found: Prediction, pixel_size_um: float | None) -> Row:
    """The row of an image."""
    area = int(np.count_nonzero(found.labels))
    return {
        "image": image,
        "n_granules": int(found.labels.max(initial=0)),
        "area_px": area,
        "area_um2": _area_um2(area, pixel_size_um),
        "pixel_size_um": "" if pixel_size_um is None else pixel_size_um,
        "area_fraction": round(area / found.labels.size, 8),
        "uncertainty": "" if found.disagreement is None else round(found.disagreement.image, 6),
        "warnings": SEVERAL.join(found.warnings),
    }


def granule_rows(image: str, found: Prediction, pixel_size_um: float | None) -> list[Row]:
    """The rows of an image's granules, by label."""
    rows, columns = np.nonzero(found.labels)
    labels = found.labels[rows, columns]
    n = int(found.labels.max(initial=0))
    areas = np.bincount(labels, minlength=n + 1)[1:]

    def mean(values: Any) -> list[float]:
        sums = np.bincount(labels, weights=values, minlength=n + 1)[1:]
        return [float(value) for value in sums / areas]

    disagreement = found.disagreement
    columns_of: Mapping[str, list[Any]] = {
        "label": list(range(1, n + 1)),
        "area_px": areas.tolist(),
        "area_um2": [_area_um2(area, pixel_size_um) for area in areas.tolist()],
        "centroid_row": [round(value, 3) for value in mean(rows)],
        "centroid_col": [round(value, 3) for value in mean(columns)],
        "mean_probability": [round(value, 6) for value in mean(found.probability[rows, columns])],
        "uncertainty": [""] * n
        if disagreement is None
        else [round(value, 6) for value in disagreement.granules.tolist()],
    }
    return [
        {"image": image, **dict(zip(columns_of, values, strict=True))}
        for values in zip(*columns_of.values(), strict=True)
    ]


def _area_um2(area_px: int, pixel_size_um: float | None) -> float | str:
    return "" if pixel_size_um is None else round(area_px * pixel_size_um**2, 6)
