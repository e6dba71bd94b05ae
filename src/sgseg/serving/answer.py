"""What is answered for one image: numbers, and files in base64. Only what JSON can hold."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem
from sgseg.inference.segmenter import Prediction
from sgseg.inference.tables import field_row, granule_rows
from sgseg.serving import encode
from sgseg.serving.options import Options

Answer = dict[str, Any]
MAX_LABEL = 65_535
MAX_MAP_PX = 25_000_000
LARGE = ("probability", "maps")
NUMBERS = ("n_granules", "area_px", "area_um2", "area_fraction", "uncertainty")


def answered(
    found: Prediction, pixel_size_um: float | None, options: Options, version: str
) -> Answer:
    """The answer for an image (H, W).

    Returns
    -------
    `mask`, `NUMBERS`, `pixel_size_um`, `warnings`, `model_version`, `error` (None), `retry` (False)
    and what else `options.returns` asks for.

    Raises
    ------
    InputError
        There are more granules than a mask can number, whether it is asked for or not.
    """
    refuse_too_many(found.labels)
    wanted = options.returns
    numbers = field_row("", found, pixel_size_um)
    answer: Answer = {"mask": None}
    if "labels" in wanted:
        answer["mask"] = encode.text(encode.labels_png(found.labels))
    answer |= {name: _plain(numbers[name]) for name in NUMBERS}
    answer |= {
        "pixel_size_um": pixel_size_um,
        "warnings": list(found.warnings),
        "model_version": version,
        "error": None,
        "retry": False,
    }
    if "probability" in wanted:
        answer["probability"] = encode.text(encode.probability_png(found.probability))
    if "rois" in wanted:
        answer["rois"] = encode.text(encode.roi_zip(found.labels))
    if "granules" in wanted:
        answer["granules"] = [
            {name: _plain(value) for name, value in row.items() if name != "image"}
            for row in granule_rows("", found, pixel_size_um)
        ]
    if "maps" in wanted:
        several = () if found.deviation is None else (found.deviation,)
        answer["maps"] = encode.text(encode.maps_tiff(found.probability, *several))
    return answer


def refuse_unanswerable(shape: tuple[int, ...], options: Options) -> None:
    """Refuse maps of large images before they are made: they hold several bytes per pixel."""
    pixels, maps = math.prod(shape), [name for name in LARGE if name in options.returns]
    if not maps or pixels <= MAX_MAP_PX:
        return
    raise InputError(
        Problem(
            "image",
            f"{pixels / 1e6:.1f} million pixels with {' and '.join(maps)}",
            f"at most {MAX_MAP_PX / 1e6:.0f} million, or an answer without them",
            "Cut the image, or segment it with `sgseg predict --model`.",
        )
    )


def refuse_too_many(labels: NDArray[np.integer]) -> None:
    """Refuse more granules than a 16-bit mask can number."""
    highest = int(labels.max(initial=0))
    if highest > MAX_LABEL:
        raise InputError(
            Problem(
                "image",
                f"{highest} granules",
                f"at most {MAX_LABEL}, as many as a 16-bit mask can number",
                "Cut the image, or segment it with `sgseg predict --model`.",
            )
        )


def refused(reason: str, version: str, *, retry: bool = False) -> Answer:
    """The answer for an image that cannot be segmented; `retry` if it could in a request alone."""
    return {
        "mask": None,
        **dict.fromkeys(NUMBERS),
        "pixel_size_um": None,
        "warnings": [],
        "model_version": version,
        "error": in_a_request(reason),
        "retry": retry,
    }


def in_a_request(message: str) -> str:
    """A message in which options are called as in a request, not as on the command line."""
    return re.sub(
        r"--(threshold|min-area-px|(?:second-)?channel|projection|pixel-size-um)\b",
        lambda match: match[1].replace("-", "_"),
        message,
    )


def _plain(value: Any) -> Any:
    """Empty cells of a table, and what is no number in JSON, as None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value == "" else value
