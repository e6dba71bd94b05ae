"""What is answered for one image: numbers, and files in base64. Only what JSON can hold."""

from __future__ import annotations

import math
import re
from typing import Any

from sgseg.inference.segmenter import Prediction
from sgseg.inference.tables import field_row, granule_rows
from sgseg.serving import encode
from sgseg.serving.options import Options

Answer = dict[str, Any]
NUMBERS = ("n_granules", "area_px", "area_um2", "area_fraction", "uncertainty")


def answered(
    found: Prediction, pixel_size_um: float | None, options: Options, version: str
) -> Answer:
    """The answer for an image (H, W).

    Returns
    -------
    `mask`, `NUMBERS`, `pixel_size_um`, `warnings`, `model_version`, `error` (None), and what else
    `options.returns` asks for.

    Raises
    ------
    InputError
        There are more granules than a mask can number.
    """
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


def refused(reason: str, version: str) -> Answer:
    """The answer for an image that cannot be segmented."""
    return {
        "mask": None,
        **dict.fromkeys(NUMBERS),
        "pixel_size_um": None,
        "warnings": [],
        "model_version": version,
        "error": in_a_request(reason),
    }


def in_a_request(message: str) -> str:
    """A message in which options are called as in a request, not as on the command line."""
    return re.sub(
        r"--(threshold|min-area-px|channel|projection|pixel-size-um)\b",
        lambda match: match[1].replace("-", "_"),
        message,
    )


def _plain(value: Any) -> Any:
    """Empty cells of a table, and what is no number in JSON, as None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value == "" else value
