"""A tiled image equals the whole one, whatever its height and width."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from examples import write_pointwise_network
from numpy.typing import NDArray
from onnx import TensorProto, helper

from sgseg.errors import InputError
from sgseg.inference import tiles
from sgseg.inference.bundle import margin_px
from sgseg.inference.network import OnnxFile, OnnxNetwork, computes_8_bits, run_in_orientations
from sgseg.training.merge import _merged

Unets = dict[tuple[int, str], Path]
CORE_PX = 32
SIZES = [
    (32, 32),
    (33, 150),
    (97, 64),
    (131, 203),
    (200, 40),
    (1, 170),
    (170, 1),
    (255, 31),
    (129, 128),
]


def margin_of(kind: tuple[int, str]) -> int:
    margin = margin_px(*kind)
    assert margin is not None
    return margin


def image(height: int, width: int) -> NDArray[np.float32]:
    """Noise with bright spots: something to see everywhere, up to the borders."""
    rng = np.random.default_rng([height, width])
    pixels = rng.standard_normal((height, width), dtype=np.float32)
    pixels[:: max(1, height // 5), :: max(1, width // 7)] += 8
    return pixels


@pytest.mark.parametrize("kind", [(1, "none"), (3, "batch")])
@pytest.mark.parametrize("size", SIZES)
def test_tiled_equals_whole(
    kind: tuple[int, str], size: tuple[int, int], unets: Unets, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = OnnxNetwork(unets[kind], margin_px=margin_of(kind), threads=1)
    pixels = image(*size)
    whole = net(pixels)  # no larger than CORE_PX = 1024: in one piece
    monkeypatch.setattr(tiles, "CORE_PX", CORE_PX)
    tiled = net(pixels)
    assert whole.shape == tiled.shape == size
    assert np.abs(tiled - whole).max() < 1e-5
    assert float(np.ptp(whole)) > 1e-3  # or else anything would equal it


@pytest.mark.parametrize("size", [(131, 203), (200, 129)])
def test_tiled_equals_whole_in_all_orientations(
    size: tuple[int, int], unets: Unets, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = OnnxNetwork(unets[3, "batch"], margin_px=margin_of((3, "batch")), threads=1)
    pixels = image(*size)
    whole = run_in_orientations(net, pixels, 8)
    monkeypatch.setattr(tiles, "CORE_PX", CORE_PX)
    found = np.zeros_like(pixels)
    for piece in tiles.pieces(size, 64, tiles.TURNS):
        piece.add(run_in_orientations(net._run, pixels[piece.window], 8), found)
    assert np.abs(found - whole).max() < 1e-5


def test_images_are_really_tiled(unets: Unets, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    net = OnnxNetwork(unets[1, "none"], margin_px=16, threads=1)
    run = net._run
    monkeypatch.setattr(net, "_run", lambda tile: seen.append(tile.shape) or run(tile))
    monkeypatch.setattr(tiles, "CORE_PX", CORE_PX)
    net(image(64, 64))
    assert seen == [(64, 64)]  # 32 + 2 x 16: a tile with its margins
    seen.clear()
    net(image(70, 64))
    # Rows 0-32, 32-64, 64-70, each with up to 16 more on either side; columns 0-32 and 32-64.
    assert seen == [(48, 48), (48, 48), (54, 48), (54, 48), (22, 48), (22, 48)]


def test_a_margin_below_what_the_network_sees_would_show(
    unets: Unets, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The control: 8 px are the stride of depth 3, and far less than the 6 x 8 - 4 = 44 px it sees.
    net = OnnxNetwork(unets[3, "batch"], margin_px=8, threads=1)
    pixels = image(131, 203)
    whole = net(pixels)
    monkeypatch.setattr(tiles, "CORE_PX", CORE_PX)
    assert np.abs(net(pixels) - whole).max() > 1e-5


@pytest.mark.parametrize("kind", [(1, "none"), (3, "batch")])
def test_how_far_the_network_sees(kind: tuple[int, str], unets: Unets) -> None:
    # Change one pixel: nothing beyond the margin may notice.
    net = OnnxNetwork(unets[kind], margin_px=margin_of(kind), threads=1)
    pixels = image(190, 190)
    before = net(pixels)
    reach = 0
    for place in ((95, 95), (88, 88), (87, 89)):
        changed = pixels.copy()
        changed[place] += 100
        noticed = np.argwhere(np.abs(net(changed) - before) > 0)
        reach = max(reach, int(np.abs(noticed - place).max()))
    assert 6 * 2 ** kind[0] - 4 - 2 ** kind[0] <= reach < margin_of(kind)


def test_a_network_that_sees_everything_has_no_margin() -> None:
    # Group normalisation takes its mean over all it is shown: tiles would differ from the whole.
    assert margin_px(3, "group") is None


def test_a_transposed_view_is_not_taken_for_its_original(unets: Unets) -> None:
    net = OnnxNetwork(unets[1, "none"], margin_px=16, threads=1)
    pixels = image(40, 50)
    assert np.array_equal(net(pixels.T), net(np.ascontiguousarray(pixels.T)))


def test_one_orientation_is_the_network_itself(unets: Unets) -> None:
    net = OnnxNetwork(unets[1, "none"], margin_px=16, threads=1)
    assert np.array_equal(run_in_orientations(net, image(20, 30), 1), net(image(20, 30)))


@pytest.mark.parametrize("size", [(24, 24), (21, 34)])
def test_eight_orientations_are_averaged(size: tuple[int, int], unets: Unets) -> None:
    net = OnnxNetwork(unets[3, "batch"], margin_px=64, threads=1)
    pixels = image(*size)
    # The same eight in other words: flips along rows and columns, with and without transposition.
    maps = []
    for rows in (1, -1):
        for columns in (1, -1):
            maps.append(net(pixels[::rows, ::columns])[::rows, ::columns])
            maps.append(net(pixels[::rows, ::columns].T).T[::rows, ::columns])
    found = run_in_orientations(net, pixels, 8)
    assert found.dtype == np.float32
    assert np.abs(found - np.mean(maps, axis=0)).max() < 1e-6
    assert np.abs(found - net(pixels)).max() > 1e-4


def test_with_eight_orientations_a_turned_image_gives_the_turned_result(unets: Unets) -> None:
    net = OnnxNetwork(unets[3, "batch"], margin_px=64, threads=1)
    pixels = image(27, 40)
    found = run_in_orientations(net, pixels, 8)
    for turned, expected in (
        (np.rot90(pixels), np.rot90(found)),
        (pixels[::-1], found[::-1]),
        (pixels.T, found.T),
    ):
        assert np.abs(run_in_orientations(net, turned, 8) - expected).max() < 1e-6


def test_probabilities(tmp_path: Path) -> None:
    write_pointwise_network(tmp_path / "a.onnx", scale=10, middle=2)
    net = OnnxNetwork(tmp_path / "a.onnx", margin_px=0)
    # 1 / (1 + exp(-10 (x - 2))): 1 / (1 + e^5), 1 / 2, 1 / (1 + e^-10)
    found = net(np.array([[1.5, 2, 3]], np.float32))
    assert found.dtype == np.float32
    assert found[0] == pytest.approx([0.0066929, 0.5, 0.9999546], rel=1e-5)


@pytest.mark.parametrize("content", [b"", b"not ONNX", b"\x08\x07truncated"])
def test_a_file_that_is_no_network(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "member.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="ONNX Runtime cannot load it") as caught:
        OnnxNetwork(path, margin_px=0)
    assert caught.value.problems[0].where == str(path)


def test_a_missing_network(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.onnx: ONNX Runtime cannot load it"):
        OnnxNetwork(tmp_path / "gone.onnx", margin_px=0)


@pytest.mark.parametrize("shape", [["n", "h", "w", 3], ["n", "features"]])
def test_a_network_for_something_else(tmp_path: Path, shape: list[str | int]) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", ends[:1], ends[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        str(tmp_path / "a.onnx"),
    )
    with pytest.raises(InputError, match=r"takes \['n', .*expected a network that takes"):
        OnnxNetwork(tmp_path / "a.onnx", margin_px=0)


def test_one_member_of_a_file_is_computed_alone(tmp_path: Path) -> None:
    # The second fails on any image but one of 8 x 8 px: it may not even be tried.
    write_pointwise_network(tmp_path / "a.onnx", middle=2)
    broken = onnx.load(str(tmp_path / "a.onnx"))
    del broken.graph.node[:]
    size = helper.make_tensor("size", TensorProto.INT64, [4], [1, 8, 8, 1])
    broken.graph.initializer.append(size)
    broken.graph.node.append(helper.make_node("Reshape", ["image", "size"], ["probability"]))
    merged = _merged([onnx.load(str(tmp_path / "a.onnx")), broken], ["a", "b"])
    onnx.save(merged, str(tmp_path / "model.onnx"))
    file = OnnxFile(tmp_path / "model.onnx", threads=1)
    pixels = image(20, 30)
    expected = OnnxNetwork(tmp_path / "a.onnx", margin_px=0)(pixels)
    assert file.members == ["a", "b"]
    assert np.array_equal(file.run("a", pixels), expected)
    with pytest.raises(Exception, match="Reshape"):
        file.run("b", pixels)
    file.shrink()
    assert np.array_equal(file.run("a", pixels), expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni\n", True),
        ("flags\t\t: fpu avx2 avx_vnni\n", True),
        ("flags\t\t: fpu avx2\n", False),
        ("Features\t: asimd\n", True),
        (None, True),
    ],
)
def test_processors_that_add_8_bit_products(
    tmp_path: Path, content: str | None, expected: bool
) -> None:
    if content is not None:
        (tmp_path / "cpuinfo").write_text(content)
    assert computes_8_bits(tmp_path / "cpuinfo") is expected
