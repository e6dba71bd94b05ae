"""A U-Net of any size with random weights, written without the framework that trains them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


class _Graph:
    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(seed)

    def add(self, kind: str, *inputs: str, **options: object) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **options))
        return name

    def constant(self, values: NDArray[np.generic]) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def convolution(self, given: str, into: int, out: int, side: int = 3) -> str:
        spread = np.sqrt(2 / (into * side**2))
        weights = self._rng.normal(0, spread, (out, into, side, side)).astype(np.float32)
        edge = [side // 2] * 4
        return self.add("Conv", given, self.constant(weights), pads=edge)

    def block(self, given: str, into: int, out: int) -> str:
        first = self.add("Relu", self.convolution(given, into, out))
        return self.add("Relu", self.convolution(first, out, out))

    def enlarged(self, given: str, like: str) -> str:
        sizes = self.add("Concat", self.add("Shape", given, end=2), self._size(like), axis=0)
        return self.add("Resize", given, "", "", sizes, mode="nearest")

    def _size(self, given: str) -> str:
        return self.add("Shape", given, start=2)


def write_unet(path: Path, *, width: int, depth: int, seed: int = 0) -> None:
    """ONNX network (1, h, w, 1) -> (1, h, w, 1) in [0, 1], of `width` channels at full size."""
    graph = _Graph(seed)
    now, channels = graph.add("Transpose", "image", perm=[0, 3, 1, 2]), 1
    skips: list[tuple[str, int]] = []
    for level in range(depth):
        now, channels = graph.block(now, channels, width * 2**level), width * 2**level
        skips.append((now, channels))
        now = graph.add("MaxPool", now, kernel_shape=[2, 2], strides=[2, 2])
    now, channels = graph.block(now, channels, 2 * channels), 2 * channels
    for skip, n_skip in reversed(skips):
        joined = graph.add("Concat", graph.enlarged(now, skip), skip, axis=1)
        now, channels = graph.block(joined, channels + n_skip, n_skip), n_skip
    logit = graph.convolution(now, channels, 1, side=1)
    probability = graph.add("Transpose", graph.add("Sigmoid", logit), perm=[0, 2, 3, 1])
    shape = ["n", "h", "w", 1]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        for name in ("image", probability)
    ]
    made = helper.make_graph(graph.nodes, "unet", *ends, graph.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
