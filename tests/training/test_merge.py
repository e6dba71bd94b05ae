"""Several networks in one file: each computes what it did alone, and only when it is asked to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from examples import write_pointwise_network

from sgseg.inference.network import OnnxFile, switch
from sgseg.training import merge
from sgseg.training.merge import merge_onnx


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.onnx" for number in range(3)]
    for path, middle in zip(paths, (1.0, 2.0, 3.0), strict=True):
        write_pointwise_network(path, middle=middle)
    return paths


def test_each_is_what_it_was_alone(three: list[Path], tmp_path: Path) -> None:
    merge_onnx(three, ["fold_0", "fold_2", "other"], tmp_path / "out" / "model.onnx")
    merged = OnnxFile(tmp_path / "out" / "model.onnx", threads=1)
    assert merged.members == ["fold_0", "fold_2", "other"]
    pixels = np.linspace(0, 4, 12, dtype=np.float32).reshape(3, 4)
    for member, middle in zip(merged.members, (1, 2, 3), strict=True):
        expected = 1 / (1 + np.exp(-10 * (pixels - middle)))
        assert np.abs(merged.run(member, pixels) - expected).max() < 1e-6
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.onnx"]


def test_the_file_is_usable_without_knowing_of_switches(three: list[Path], tmp_path: Path) -> None:
    merge_onnx(three, "abc", tmp_path / "model.onnx")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(tmp_path / "model.onnx"), options)
    (given,) = session.get_inputs()
    assert (given.name, given.shape) == ("image", ["n", "height", "width", 1])
    image = np.ones((1, 3, 4, 1), np.float32)
    # All are on: at 1, the middle of the first, it says 1/2.
    a, b, c = session.run(None, {"image": image})
    assert [float(found[0, 0, 0, 0]) for found in (a, b, c)] == pytest.approx(
        [0.5, 4.54e-5, 2.06e-9], abs=1e-6
    )
    off = {switch("a"): np.array(False), switch("c"): np.array(False)}
    assert [f.shape for f in session.run(None, {"image": image, **off})] == [
        (0, 0, 0, 1),
        (1, 3, 4, 1),
        (0, 0, 0, 1),
    ]


def test_a_network_that_changed_is_named(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"the model before")
    merged = merge._merged

    def wrong(models: list[onnx.ModelProto], names: list[str]) -> onnx.ModelProto:
        # The second network's threshold slips from 2 to 1, where the third's check is not reached.
        models[1].graph.initializer[1].CopyFrom(models[0].graph.initializer[1])
        return merged(models, names)

    monkeypatch.setattr(merge, "_merged", wrong)
    with pytest.raises(RuntimeError, match=r"b: after merging it differs from .*1\.onnx by 0\.9"):
        merge_onnx(three, "abc", tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == b"the model before"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("names", [["a"], ["a", "b", "a"], []])
def test_names_that_do_not_fit(names: list[str], three: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a name for each of 3 networks"):
        merge_onnx(three, names, tmp_path / "model.onnx")
