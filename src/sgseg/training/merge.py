"""Trained networks in one ONNX file that computes exactly what each of them does alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, compose, helper

from sgseg.images.write import replacing
from sgseg.inference.network import INPUT, OnnxNetwork, noise_image, switch

MERGE_TOLERANCE = 1e-6
CHECK_SHAPES = ((64, 64), (75, 102))
_SIDES = ["n", "height", "width"]


def merge_onnx(sources: Sequence[Path], names: Sequence[str], target: Path) -> None:
    """Write networks (n, h, w, C) -> (n, h, w, 1) as the outputs `names` of one file.

    ONNX Runtime computes all of a graph, whichever outputs are asked for: its run option
    `only_execute_path_to_fetches` is without effect outside builds for training. So each network
    lies in a branch of its own, which the input `switch(name)` turns off; by default all are on.

    Raises
    ------
    RuntimeError
        A network of the merged file differs from its source; `target` is left as it was.
    ValueError
        Not as many names as sources, or a name twice.
    """
    if not 0 < len(sources) == len(names) == len(set(names)):
        raise ValueError(f"expected a name for each of {len(sources)} networks. Received: {names}")
    models = [onnx.load(str(source)) for source in sources]
    with replacing(target) as partial:
        onnx.save(_merged(models, names), str(partial))
        for source, name in zip(sources, names, strict=True):
            _check(source, partial, name)


def _merged(models: Sequence[ModelProto], names: Sequence[str]) -> ModelProto:
    (channels,) = {_channels(model) for model in models}
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [*_SIDES, channels])]
    outputs, nodes, defaults = [], [], []
    for model, name in zip(models, names, strict=True):
        inputs.append(helper.make_tensor_value_info(switch(name), TensorProto.BOOL, []))
        defaults.append(helper.make_tensor(switch(name), TensorProto.BOOL, [], [True]))
        nodes.append(_member(model, name))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [*_SIDES, 1]))
    graph = helper.make_graph(nodes, "sgseg", inputs, outputs, defaults)
    # The newest of each: all come from the same exporter, and a difference shows in the check.
    opsets: dict[str, int] = {}
    for item in (opset for model in models for opset in model.opset_import):
        opsets[item.domain] = max(item.version, opsets.get(item.domain, 0))
    merged = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*item) for item in opsets.items()],
        ir_version=max(model.ir_version for model in models),
    )
    onnx.checker.check_model(merged)
    return merged


def _channels(model: ModelProto) -> int:
    """How many channels of an image a network is shown."""
    return int(model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value)


def _member(model: ModelProto, name: str) -> onnx.NodeProto:
    """The network as a branch, beside one that computes nothing."""
    # Two networks give their layers the same names.
    network = compose.add_prefix(model, f"{name}/").graph
    (given,), (found,) = network.input, network.output
    for node in network.node:
        node.input[:] = [INPUT if used == given.name else used for used in node.input]
    result = helper.make_tensor_value_info(found.name, TensorProto.FLOAT, None)
    on = helper.make_graph(network.node, name, [], [result], network.initializer)
    nothing = f"{name}/nothing"
    empty = helper.make_tensor(nothing, TensorProto.FLOAT, [0, 0, 0, 1], [])
    off = helper.make_graph(
        [helper.make_node("Constant", [], [nothing], value=empty)],
        f"no {name}",
        [],
        [helper.make_tensor_value_info(nothing, TensorProto.FLOAT, None)],
    )
    return helper.make_node("If", [switch(name)], [name], then_branch=on, else_branch=off)


def _check(source: Path, merged: Path, name: str) -> None:
    alone = OnnxNetwork(source, margin_px=None)
    among = OnnxNetwork(merged, margin_px=None, member=name)
    for shape in CHECK_SHAPES:
        image = noise_image(shape, alone.channels)
        difference = float(np.abs(alone(image) - among(image)).max())
        if not difference <= MERGE_TOLERANCE:
            raise RuntimeError(
                f"{name}: after merging it differs from {source} by {difference:.2g} on {shape} "
                f"px, more than {MERGE_TOLERANCE}"
            )
