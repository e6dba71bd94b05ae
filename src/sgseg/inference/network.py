"""Running an ONNX network on images of any size, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem

FloatImage = NDArray[np.float32]
CORE_PX = 1024
ORIENTATIONS = (1, 8)


class OnnxNetwork:
    """A network (1, h, w, 1) -> (1, h, w, 1) as ONNX Runtime runs it on the CPU.

    Parameters
    ----------
    path
        The ONNX file.
    margin_px
        How far the network sees. Images larger than a tile are run in tiles that overlap by this
        much on every side; a multiple of the network's stride keeps the pooling grid where it was,
        so that a tiled image equals the whole one. None for a network that sees the whole image:
        it is never run in tiles, and needs memory for all of it.
    threads
        Cores to use; 0 for all.
    """

    def __init__(self, path: Path, *, margin_px: int | None, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has no common base for its errors
            raise InputError(
                Problem(
                    str(path),
                    f"ONNX Runtime cannot load it ({str(error).splitlines()[0]})",
                    "a network written by `sgseg`",
                )
            ) from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[-1] != 1:
            raise InputError(
                Problem(
                    str(path),
                    f"takes {', '.join(str(item.shape) for item in inputs)}",
                    "a network that takes (1, height, width, 1)",
                )
            )
        self._input = inputs[0].name
        self._margin = margin_px

    def __call__(self, image: FloatImage) -> FloatImage:
        """Normalised image (h, w) -> probability of granule (h, w) in [0, 1]."""
        height, width = image.shape
        margin = self._margin
        if margin is None or max(height, width) <= CORE_PX + 2 * margin:
            return self._run(image)
        result = np.empty_like(image)
        for top in range(0, height, CORE_PX):
            for left in range(0, width, CORE_PX):
                bottom, right = min(top + CORE_PX, height), min(left + CORE_PX, width)
                y, x = max(0, top - margin), max(0, left - margin)
                tile = image[y : bottom + margin, x : right + margin]
                inner = self._run(tile)[top - y : bottom - y, left - x : right - x]
                result[top:bottom, left:right] = inner
        return result

    def _run(self, tile: FloatImage) -> FloatImage:
        output = self._session.run(None, {self._input: tile[None, ..., None]})[0]
        return np.asarray(output[0, ..., 0], dtype=np.float32)


def run_in_orientations(
    network: Callable[[FloatImage], FloatImage], image: FloatImage, orientations: int
) -> FloatImage:
    """Probability (h, w) of an image, as it is (1) or averaged over its 8 mirrorings and turns.

    A granule is one whichever way the camera was turned: what the network makes of the orientation
    is error, and averaging takes part of it away.
    """
    if orientations == 1:
        return network(image)
    total = np.zeros_like(image)
    for turns in range(4):
        turned = np.rot90(image, turns)
        total += np.rot90(network(np.ascontiguousarray(turned)), -turns)
        mirrored = network(np.ascontiguousarray(turned[:, ::-1]))
        total += np.rot90(mirrored[:, ::-1], -turns)
    return total / np.float32(8)
