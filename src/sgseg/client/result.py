"""What a server answers for one image, decoded."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray


@dataclass(frozen=True)
class Result:
    """What a server answers for one image (H, W).

    Parameters
    ----------
    labels
        (H, W) int32, 0 is background; None where not asked for, and with an `error`.
    n_granules, area_px, area_um2, area_fraction, uncertainty
        As in fields.csv; None where unknown.
    pixel_size_um
        Side of a pixel that areas were computed with.
    warnings
        In what the image is unlike those the model was trained on.
    model_version
        Name and version in the registry, else the digest of the model.
    error
        Why the image could not be segmented; None if it was.
    probability
        (H, W) float32 in [0, 1], in steps of 1 / 65535; None where not asked for.
    rois
        Content of a zip for Fiji's ROI Manager; None where not asked for.
    granules
        One mapping per granule, as in granules.csv; None where not asked for.
    maps
        Probability, and its standard deviation over the members if there are several: (1 or 2, H,
        W) float32, to the bit as they were computed; None where not asked for.
    """

    labels: NDArray[np.int32] | None
    n_granules: int | None
    area_px: int | None
    area_um2: float | None
    area_fraction: float | None
    uncertainty: float | None
    pixel_size_um: float | None
    warnings: tuple[str, ...]
    model_version: str
    error: str | None
    probability: NDArray[np.float32] | None = None
    rois: bytes | None = None
    granules: list[dict[str, Any]] | None = None
    maps: NDArray[np.float32] | None = None


def decoded(answer: Mapping[str, Any]) -> Result:
    """The result in one of `predictions`."""

    def image(name: str) -> NDArray[Any] | None:
        text = answer.get(name)
        return None if text is None else np.asarray(imagecodecs.png_decode(base64.b64decode(text)))

    labels, probability = image("mask"), image("probability")
    rois, maps = answer.get("rois"), answer.get("maps")
    return Result(
        labels=None if labels is None else labels.astype(np.int32),
        n_granules=answer["n_granules"],
        area_px=answer["area_px"],
        area_um2=answer["area_um2"],
        area_fraction=answer["area_fraction"],
        uncertainty=answer["uncertainty"],
        pixel_size_um=answer["pixel_size_um"],
        warnings=tuple(answer["warnings"]),
        model_version=answer["model_version"],
        error=answer["error"],
        probability=None
        if probability is None
        else probability.astype(np.float32) / np.float32(65_535),
        rois=None if rois is None else base64.b64decode(rois),
        granules=answer.get("granules"),
        maps=None if maps is None else _maps(base64.b64decode(maps)),
    )


def _maps(content: bytes) -> NDArray[np.float32]:
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        return np.stack([page.asarray() for page in islice(file.pages, 2)])
