"""A trained network with 8-bit arithmetic: 1.2 to 1.7 times as fast, and not quite the same.

The first convolution, which sees the image, and the last, which draws the outline, stay in 32 bits.
Sums of 8-bit products overflow on processors without instructions for them (VNNI): `Segmenter.load`
warns there. With 7 bits they would not, but that cost more in object F1 than it may.

Method: Jacob et al., CVPR 2018, doi:10.1109/CVPR.2018.00286, after training, with a scale per
channel of the weights.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from sgseg.images.write import replacing
from sgseg.inference.network import as_batch

FloatImage = NDArray[np.float32]
IMAGES, SIDE_PX = 12, 256
"""How many images the ranges of activations are found on, and how much of each: all that passes
through a network is held in memory meanwhile.
"""
OPERATIONS = ["Concat", "Conv", "MaxPool", "Resize"]


def few(names: Sequence[str]) -> list[str]:
    """At most `IMAGES` of them, evenly spread."""
    places = np.unique(np.linspace(0, len(names) - 1, IMAGES).round().astype(int))
    return [names[place] for place in places] if names else []


def quantise(source: Path, target: Path, images: Sequence[FloatImage]) -> None:
    """Write the 8-bit form of a network.

    Parameters
    ----------
    source, target
        ONNX files, (n, h, w, C) -> (n, h, w, 1).
    images
        Normalised training images of this network, (h, w) or (h, w, C), not many (`few`), from
        whose middle the ranges of activations are taken: a range ends at the 99.999th percentile.
        Of each as much is taken as the smallest of them has, side by side: the percentiles want one
        shape. It need be no multiple of anything, as a network takes any size; but little is found
        on few pixels.

    Raises
    ------
    ValueError
        No image.
    """
    if not images:
        raise ValueError("expected training images to find the ranges on. Received: none")
    with (
        TemporaryDirectory() as scratch,
        replacing(target) as partial,
        redirect_stdout(io.StringIO()),
    ):
        prepared = Path(scratch, "prepared.onnx")
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(str(prepared)).graph
        convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it tells of preparations that were made
        try:
            quantize_static(
                str(prepared),
                str(partial),
                _Images(graph.input[0].name, images),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=OPERATIONS,
                nodes_to_exclude=[convolutions[0], convolutions[-1]],
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                calibrate_method=CalibrationMethod.Percentile,
            )
        finally:
            root.setLevel(level)


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Windows of images, one after the other, as ONNX Runtime asks for them."""

    def __init__(self, name: str, images: Sequence[FloatImage]) -> None:
        # By side, as one image may be low and another narrow.
        height, width = (min(SIDE_PX, *(image.shape[axis] for image in images)) for axis in (0, 1))
        self._feeds = ({name: _window(image, height, width)} for image in images)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def _window(image: FloatImage, height: int, width: int) -> NDArray[np.float32]:
    """The middle of an image, which is at least as large, as a network takes it."""
    rows, columns = (
        slice((size - side) // 2, (size - side) // 2 + side)
        for size, side in zip(image.shape, (height, width), strict=False)
    )
    return np.ascontiguousarray(as_batch(image[rows, columns]))
