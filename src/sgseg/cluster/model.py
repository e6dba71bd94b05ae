"""A bundle as a worker uses it: loaded once by each process, from where `delivery` put it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sgseg.inference.segmenter import Prediction, Segmenter

if TYPE_CHECKING:
    from distributed import Worker

FOLDER = "sgseg"
_loading = threading.Lock()


@dataclass(frozen=True)
class Model:
    """A bundle, wherever it is used: a `Predictor` that can travel.

    Attributes
    ----------
    bundle
        Its digest.
    members, orientations, threads
        See `Segmenter.load`.
    """

    bundle: str
    members: str | int | None = None
    orientations: int | None = None
    threads: int = 1

    def predict(self, pixels: NDArray[np.generic], **options: Any) -> Prediction:
        """See `Segmenter.predict`."""
        from distributed import get_worker  # noqa: PLC0415

        folder = place_of(get_worker(), self.bundle)
        # Of two tasks at once on a worker only one loads.
        with _loading:
            segmenter = _load(folder, self)
        return segmenter.predict(pixels, **options)


@cache
def _load(folder: Path, model: Model) -> Segmenter:
    return Segmenter.load(
        folder, members=model.members, orientations=model.orientations, threads=model.threads
    )


def place_of(worker: Worker, bundle: str) -> Path:
    """Where a bundle lies on a worker: in its scratch folder, which goes with it."""
    return Path(worker.local_directory) / FOLDER / bundle
