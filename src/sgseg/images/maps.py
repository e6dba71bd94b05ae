"""Maps of numbers as TIFF files: probabilities, uncertainties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from sgseg.images.write import replacing


def write_map(path: Path, values: NDArray[np.float32], *, pixel_size_um: float | None) -> None:
    """Write a map (H, W) as float32 TIFF that Fiji opens with its scale."""
    scale: dict[str, Any] = {}
    if pixel_size_um is not None:
        scale = {
            "resolution": (1 / pixel_size_um, 1 / pixel_size_um),
            "metadata": {"unit": "um"},
        }
    with replacing(path) as temporary:
        tifffile.imwrite(temporary, values, imagej=True, compression="zlib", **scale)
