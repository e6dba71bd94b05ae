"""A trained network as ONNX, which computes what Keras does."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from sgseg.inference.network import OnnxNetwork, noise_image
from sgseg.training.scoring import predict

EXPORT_TOLERANCE = 1e-4
CHECK_SHAPES = ((64, 64), (75, 102))
SIZES = ("n", "height", "width")


def export_onnx(model: keras.Model, path: Path) -> None:
    """Write a network as ONNX and make sure that ONNX Runtime computes the same.

    Whatever backend runs, TensorFlow writes it: the same weights are the same file.

    Raises
    ------
    RuntimeError
        The two differ by more than 1e-4 somewhere, or TensorFlow fails; no file is left.
    """
    partial = path.with_name(f".{path.name}")
    try:
        if keras.backend.backend() == "tensorflow":
            _convert(model, partial)
        else:
            _convert_elsewhere(model, partial)
        network = OnnxNetwork(partial, margin_px=0)
        for shape in CHECK_SHAPES:
            image = noise_image(shape, network.channels)
            difference = float(np.abs(network(image) - predict(model, image)).max())
            if not difference <= EXPORT_TOLERANCE:
                raise RuntimeError(
                    f"{path}: ONNX Runtime differs from Keras by {difference:.2g} on {shape} px, "
                    f"more than {EXPORT_TOLERANCE}"
                )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def main() -> None:
    """Convert a saved network: `python -m sgseg.training.export MODEL.keras MODEL.onnx`."""
    import sgseg.nets  # noqa: F401, PLC0415 - the layers that a saved network may have

    source, target = sys.argv[1:]
    _convert(keras.models.load_model(source, compile=False), Path(target))


def _convert_elsewhere(model: keras.Model, target: Path) -> None:
    """In a process with TensorFlow: a process has one backend, and a saved network fits all."""
    with TemporaryDirectory() as scratch:
        source = Path(scratch, "model.keras")
        model.save(source)
        done = subprocess.run(
            [sys.executable, "-m", "sgseg.training.export", str(source), str(target)],
            # The GPU is this process's own.
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{target}: TensorFlow could not write it:\n{done.stderr}")


def _convert(model: keras.Model, target: Path) -> None:
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    shape = (None, None, None, model.input_shape[-1])
    signature = [keras.InputSpec(dtype="float32", shape=shape, name="image")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras looks for what NumPy 2 removed
        _with_resizing(model).export(
            str(target), format="onnx", verbose=False, input_signature=signature
        )
    _name_the_resizing(target)
    onnx.save(in_order(onnx.load(str(target))), str(target))


def _with_resizing(model: keras.Model) -> keras.Model:
    """The network with its upsampling as one operation, which ONNX has as well.

    Keras repeats rows and columns. As ONNX that becomes transposed copies, a tenth of the time.
    """

    def call(layer: layers.Layer, *inputs: Any, **options: Any) -> Any:
        if isinstance(layer, layers.UpSampling2D):
            return _Resizing(layer)(*inputs)
        return layer(*inputs, **options)

    return keras.models.clone_model(model, call_function=call, clone_function=lambda layer: layer)


class _Resizing(layers.Layer):  # type: ignore[misc]
    """Nearest-neighbour upsampling (N, H, W, C) -> (N, f H, f W, C)."""

    def __init__(self, of: layers.UpSampling2D) -> None:
        super().__init__(name=of.name)
        self.factors = of.size

    def call(self, inputs: Any) -> Any:
        import tensorflow as tf  # noqa: PLC0415 - another backend may run without it

        return tf.image.resize(inputs, tf.shape(inputs)[1:3] * self.factors, method="nearest")

    def compute_output_shape(self, input_shape: Any) -> Any:
        n, height, width, channels = input_shape
        rows, columns = self.factors
        return (n, height and height * rows, width and width * columns, channels)


def _name_the_resizing(path: Path) -> None:
    # tf2onnx writes it in a way that ONNX has given up; for whole factors this one is the same.
    names = {"coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
    model = onnx.load(str(path))
    for node in model.graph.node:
        if node.op_type == "Resize":
            for attribute in node.attribute:
                if attribute.name in names:
                    attribute.s = names[attribute.name]
    onnx.save(model, str(path))


def in_order(model: ModelProto) -> ModelProto:
    """The same network, with nodes, weights and names in an order that depends on nothing else.

    tf2onnx goes through sets, and numbers unknown sizes on and on: of the same network it makes
    another file each time. With one order and one name, the same weights are the same bytes, and a
    model that was trained again is recognised.
    """
    nodes, weights = _as_reached(model.graph)
    names = {item.name: item.name for item in (*model.graph.input, *model.graph.output)}
    for number, node in enumerate(nodes, start=1):
        for place, output in enumerate(node.output):
            names.setdefault(output, f"{node.op_type}_{number}_{place}")
    names |= {weight.name: f"constant_{number}" for number, weight in enumerate(weights, start=1)}
    ordered = ModelProto()
    ordered.CopyFrom(model)
    # The exporter's words on a graph hold a number that counts what it has traced before.
    for field in ("node", "initializer", "value_info", "doc_string"):
        ordered.graph.ClearField(field)
    for number, node in enumerate(nodes, start=1):
        copy = ordered.graph.node.add()
        copy.CopyFrom(node)
        copy.name = f"{node.op_type}_{number}"
        copy.input[:] = [names.get(given, "") for given in node.input]
        copy.output[:] = [names[output] for output in node.output]
    for item in weights:
        weight = ordered.graph.initializer.add()
        weight.CopyFrom(item)
        weight.name = names[item.name]
    for item in (*ordered.graph.input, *ordered.graph.output):
        for size, name in zip(item.type.tensor_type.shape.dim, SIZES, strict=False):
            if size.dim_param:
                size.dim_param = name
    onnx.checker.check_model(ordered)
    return ordered


def _as_reached(graph: GraphProto) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes and weights in the order in which one comes to need them from the outputs.

    A node stands behind all that it takes.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    stored = {item.name: item for item in graph.initializer}
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    done: set[str] = set()
    waiting = [item.name for item in reversed(graph.output)]
    while waiting:
        name = waiting[-1]
        node = made_by.get(name)
        missing = [] if node is None else [given for given in node.input if given not in done]
        if missing and name not in done:
            waiting += reversed(missing)
            continue
        waiting.pop()
        if name in done:
            continue
        if node is not None:
            nodes.append(node)
            done.update(node.output)
        elif name in stored:
            weights.append(stored[name])
        done.add(name)
    return nodes, weights


if __name__ == "__main__":
    main()
