from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import compose

from sgseg.inference.network import OnnxNetwork
from sgseg.nets import build_network
from sgseg.training import export
from sgseg.training.export import export_onnx, in_order

from .tiny import RECIPE


def test_upsampling_is_one_operation(tmp_path: Path) -> None:
    model = build_network(**RECIPE.network | {"width": 1, "depth": 2})
    export_onnx(model, tmp_path / "model.onnx")
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "model.onnx")).graph.node]
    assert kinds.count("Resize") == 2
    assert "Tile" not in kinds


def test_an_export_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(OnnxNetwork):
        def __call__(self, image: np.ndarray) -> np.ndarray:
            return super().__call__(image) + np.float32(2e-4)

    monkeypatch.setattr(export, "OnnxNetwork", Wrong)
    model = build_network(**RECIPE.network | {"width": 1})
    with pytest.raises(RuntimeError, match=r"differs from Keras by 0\.0002"):
        export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_without_numbers_is_not_exported(tmp_path: Path) -> None:
    model = build_network(**RECIPE.network | {"width": 1})
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(RuntimeError, match="differs from Keras by nan"):
        export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_same_network_is_the_same_file_however_the_exporter_went_through_it(
    tmp_path: Path,
) -> None:
    network = build_network(
        architecture="unet_plus_plus", width=2, depth=2, dropout=0.0, normalisation="batch"
    )
    network.predict_on_batch(np.zeros((1, 16, 16, 1), np.float32))
    export_onnx(network, tmp_path / "a.onnx")
    written = onnx.load(str(tmp_path / "a.onnx"))
    other = compose.add_prefix(written, "other/", rename_inputs=False, rename_outputs=False)
    chance = random.Random(0)
    nodes, weights = list(other.graph.node), list(other.graph.initializer)
    chance.shuffle(nodes)
    chance.shuffle(weights)
    for field, items in (("node", nodes), ("initializer", weights)):
        other.graph.ClearField(field)
        getattr(other.graph, field).extend(items)
    other.graph.doc_string = "converted from b'__inference___call___20272'"
    assert other.SerializeToString() != written.SerializeToString()
    assert in_order(other).SerializeToString() == written.SerializeToString()
