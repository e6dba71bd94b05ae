from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from sgseg.inference.network import OnnxNetwork
from sgseg.nets import build_network
from sgseg.training.export import export_onnx
from sgseg.training.merge import merge_onnx
from sgseg.training.quantise import IMAGES, SIDE_PX, _Images, few, quantise


def images(count: int = 3, side: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((side, side), dtype=np.float32) for _ in range(count)]


@pytest.fixture(scope="module", params=["unet", "attention_unet", "res_unet", "unet_plus_plus"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = build_network(
        architecture=request.param, width=4, depth=2, dropout=0.0, normalisation="batch"
    )
    network.predict_on_batch(np.zeros((1, 16, 16, 1), np.float32))
    path = tmp_path_factory.mktemp("exported") / "float.onnx"
    export_onnx(network, path)
    return path


@pytest.fixture(scope="module")
def quantised(exported: Path) -> Path:
    target = exported.with_name("int8.onnx")
    quantise(exported, target, images())
    return target


def test_probabilities_stay_alike_on_images_of_any_size(exported: Path, quantised: Path) -> None:
    before, after = (OnnxNetwork(path, margin_px=None) for path in (exported, quantised))
    for shape in ((64, 64), (75, 102)):
        image = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
        found, expected = after(image), before(image)
        # Not the same: 8 bits are a grid of 1/127 of the largest weight of a channel.
        assert not np.array_equal(found, expected)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def test_most_convolutions_compute_with_8_bits_and_both_ends_do_not(quantised: Path) -> None:
    graph = onnx.load(str(quantised)).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    weights = [made_by.get(node.input[1], "") for node in graph.node if node.op_type == "Conv"]
    assert weights[0] == weights[-1] == ""
    assert set(weights[1:-1]) == {"DequantizeLinear"}
    stored = [onnx.numpy_helper.to_array(item) for item in graph.initializer]
    eight = [array for array in stored if array.dtype == np.int8 and array.ndim == 4]
    assert len(eight) == len(weights) - 2
    # Each output channel uses the whole range: its largest weight is 127.
    assert all((np.abs(array.astype(int)).max(axis=(1, 2, 3)) == 127).all() for array in eight)


def test_a_bundle_may_hold_it(quantised: Path, tmp_path: Path) -> None:
    merge_onnx([quantised], ["fold_0"], tmp_path / "model.onnx")  # checks itself


def test_the_same_images_give_the_same_file(
    exported: Path, quantised: Path, tmp_path: Path
) -> None:
    quantise(exported, tmp_path / "again.onnx", images())
    assert (tmp_path / "again.onnx").read_bytes() == quantised.read_bytes()


def test_without_images_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="training images"):
        quantise(tmp_path / "float.onnx", tmp_path / "int8.onnx", [])
    assert not list(tmp_path.iterdir())


def test_windows_of_large_images_are_enough() -> None:
    reader = _Images("image", images(count=2, side=SIDE_PX + 11))
    shapes = [feed["image"].shape for feed in iter(reader.get_next, None)]
    assert shapes == [(1, SIDE_PX, SIDE_PX, 1)] * 2


SIZES = ((200, 300), (256, 256), (64, 90), (400, 31))


def test_windows_are_as_large_as_the_smallest_image() -> None:
    rng = np.random.default_rng(0)
    given = [rng.standard_normal(size, dtype=np.float32) for size in SIZES]
    reader = _Images("image", given)
    windows = [feed["image"][0, ..., 0] for feed in iter(reader.get_next, None)]
    assert [window.shape for window in windows] == [(64, 31)] * 4
    # (200 - 64) / 2 = 68, (300 - 31) / 2 = 134.5.
    assert np.array_equal(windows[0], given[0][68:132, 134:165])


@pytest.mark.parametrize("sizes", [SIZES[:3], SIZES, [(5, 7), (9, 4)]], ids=str)
@pytest.mark.parametrize("exported", ["unet"], indirect=True)
def test_images_of_different_sizes(exported: Path, sizes: list[tuple[int, int]]) -> None:
    target = exported.with_name("int8.onnx")
    rng = np.random.default_rng(0)
    quantise(exported, target, [rng.standard_normal(size, dtype=np.float32) for size in sizes])
    image = rng.standard_normal((48, 61), dtype=np.float32)
    found = OnnxNetwork(target, margin_px=None)(image)
    assert found.shape == image.shape
    assert np.isfinite(found).all()


def test_few_are_spread_evenly() -> None:
    names = [f"{number:03}" for number in range(100)]
    # 99 / 11 = 9: every ninth, first and last included.
    assert few(names) == names[::9]
    assert len(few(names)) == IMAGES
    assert few(names[:3]) == names[:3]
    assert few([]) == []


def test_a_network_of_two_channels(tmp_path: Path) -> None:
    network = build_network(
        architecture="unet", width=4, depth=2, dropout=0.0, normalisation="batch", channels=2
    )
    network.predict_on_batch(np.zeros((1, 16, 16, 2), np.float32))
    export_onnx(network, tmp_path / "float.onnx")  # compares the two
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((40, 44, 2), dtype=np.float32) for _ in range(3)]
    quantise(tmp_path / "float.onnx", tmp_path / "int8.onnx", given)
    both = [tmp_path / f"{kind}.onnx" for kind in ("float", "int8")]
    merge_onnx(both, ["a", "b"], tmp_path / "merged.onnx")  # compares as well
    members = [OnnxNetwork(tmp_path / "merged.onnx", margin_px=None, member=name) for name in "ab"]
    exact, rounded = (member(given[0]) for member in members)
    assert exact.shape == (40, 44)
    assert np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.95
    # Both channels have a part in it.
    other = np.stack([given[0][..., 0], given[1][..., 1]], axis=-1)
    assert not np.array_equal(members[0](other), exact)
