"""A field of one cell with granules, and a network that finds them, both easy to reason about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper


def draw_field(
    granules: list[tuple[int, int]],
    *,
    shape: tuple[int, int] = (60, 80),
    brightness: float = 3.0,
    seed: int = 0,
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """A cell over the left two thirds of a field with square granules of 3 x 3 px.

    Returns
    -------
    uint16 counts (H, W): 100 in the background, 300 in the cell (signal 200), and 100 + 200 x
    `brightness` in granules, with a noise of 4 counts; and the granules' label image.
    """
    rng = np.random.default_rng(seed)
    signal = np.zeros(shape)
    signal[:, : 2 * shape[1] // 3] = 1
    labels = np.zeros(shape, np.int32)
    for number, (row, column) in enumerate(granules, 1):
        place = np.s_[row - 1 : row + 2, column - 1 : column + 2]
        signal[place], labels[place] = brightness, number
    counts = 100 + 200 * signal + rng.normal(0, 4, shape)
    return np.rint(counts).astype(np.uint16), labels


def write_pointwise_network(
    path: Path, *, scale: float = 10.0, middle: float = 2.0, weights: tuple[float, ...] = (1.0,)
) -> None:
    """ONNX network whose probability at a pixel is 1 / (1 + exp(-scale (x - middle))).

    x is the sum of the image's channels times the weights, of which there is one for each.
    """
    shape = ["n", "h", "w", len(weights)]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    probability = helper.make_tensor_value_info(
        "probability", TensorProto.FLOAT, ["n", "h", "w", 1]
    )
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
        helper.make_tensor("middle", TensorProto.FLOAT, [], [middle]),
        helper.make_tensor("weights", TensorProto.FLOAT, [len(weights), 1], weights),
    ]
    nodes = [
        helper.make_node("MatMul", ["image", "weights"], ["x"]),
        helper.make_node("Sub", ["x", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    graph = helper.make_graph(nodes, "pointwise", [image], [probability], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
