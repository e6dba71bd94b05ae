"""A served model where a local one is expected."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from sgseg.client.images import array_file
from sgseg.client.result import Result, decoded
from sgseg.client.server import Server
from sgseg.errors import InputError, Problem
from sgseg.inference.segmenter import Prediction
from sgseg.inference.uncertainty import Disagreement


class RemoteSegmenter:
    """A served model in the place of a local `Segmenter` (the protocol `Predictor`).

    Parameters
    ----------
    url, retries, token
        See `Server`.
    """

    def __init__(self, url: str, *, retries: int = 8, token: str | None = None) -> None:
        self._server = Server(url, retries=retries, token=token)

    def predict(
        self,
        pixels: NDArray[np.generic],
        *,
        pixel_size_um: float | None = None,
        with_deviation: bool = False,
        threshold: float | None = None,
        min_area_px: int | None = None,
    ) -> Prediction:
        """As `Segmenter.predict`, with the same values to the bit."""
        content = base64.b64encode(array_file(pixels)).decode("ascii")
        params = {
            "threshold": threshold,
            "min_area_px": min_area_px,
            "pixel_size_um": pixel_size_um,
            "returns": "labels,granules,maps",
        }
        if pixels.ndim == 3:
            params |= {"channel": 0, "second_channel": 1}
        table = {"columns": ["image"], "data": [[content]]}
        (answer,) = self._server.ask({"dataframe_split": table, "params": params})
        result = decoded(answer)
        if result.error is not None or result.labels is None or result.maps is None:
            raise InputError(Problem(self._server.url, result.error or "no mask in the answer"))
        several = len(result.maps) > 1
        return Prediction(
            labels=result.labels,
            probability=result.maps[0],
            disagreement=_disagreement(result),
            deviation=result.maps[1] if several and with_deviation else None,
            warnings=result.warnings,
        )


def _disagreement(result: Result) -> Disagreement | None:
    if result.uncertainty is None:
        return None
    granules = [row["uncertainty"] for row in result.granules or ()]
    return Disagreement(np.array(granules, np.float64), result.uncertainty)
