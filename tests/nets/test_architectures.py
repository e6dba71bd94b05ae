"""What every architecture must do: take any size, be saved, tiled, trained, refuse the unknown."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import sgseg.nets
from sgseg.inference.bundle import margin_px
from sgseg.inference.network import OnnxNetwork
from sgseg.nets import ARCHITECTURES, build_network, training_model
from sgseg.nets.metrics import PixelScores
from sgseg.training.export import export_onnx

Case = tuple[str, bool]
CASES: list[Case] = [
    ("unet", False),
    ("res_unet", False),
    ("attention_unet", False),
    ("unet_plus_plus", False),
    ("unet_plus_plus", True),
    ("linknet", False),
]
every_architecture = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: case[0] + "_supervised" * case[1]
)
# For what takes seconds: a supervised U-Net++ has all of a plain one.
each_architecture_once = pytest.mark.parametrize(
    "case", [case for case in CASES if case != ("unet_plus_plus", False)], ids=lambda case: case[0]
)


def build(
    case: Case,
    *,
    width: int = 2,
    depth: int = 2,
    dropout: float = 0.0,
    normalisation: str = "none",
) -> keras.Model:
    keras.utils.set_random_seed(0)  # whatever ran before: some weights let little through
    return build_network(
        architecture=case[0],
        width=width,
        depth=depth,
        dropout=dropout,
        normalisation=normalisation,
        deep_supervision=case[1],
    )


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def as_if_trained(network: keras.Model) -> keras.Model:
    """Fresh statistics and biases are 0 and 1 and hide what they do."""
    rng = np.random.default_rng(0)
    for variable in network.variables:
        if "norm" in variable.path or "bias" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape).astype(np.float32))
    return network


@pytest.fixture(scope="module")
def trained() -> Callable[[Case], keras.Model]:
    """Networks of depth 2 with batch normalisation, each built once."""
    known: dict[Case, keras.Model] = {}

    def get(case: Case) -> keras.Model:
        if case not in known:
            known[case] = as_if_trained(build(case, dropout=0.1, normalisation="batch"))
        return known[case]

    return get


def test_every_architecture_is_tested_here() -> None:
    assert {architecture for architecture, _ in CASES} == ARCHITECTURES.keys()


@every_architecture
@settings(max_examples=5)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
@example(height=1, width=1)
@example(height=3, width=5)
@example(height=16, width=17)
def test_the_output_has_the_size_of_the_input(
    trained: Callable[[Case], keras.Model], case: Case, height: int, width: int
) -> None:
    probability = np.asarray(trained(case)(5 * noise(2, height, width, 1)))
    assert probability.shape == (2, height, width, 1)
    assert probability.dtype == np.float32
    assert probability.min() >= 0
    assert probability.max() <= 1


@every_architecture
def test_shapes_are_known_before_anything_runs(case: Case) -> None:
    network = build(case, depth=3)
    assert network.input.shape == (None, None, None, 1)
    assert network.output.shape == (None, None, None, 1)
    assert network.output.dtype == "float32"
    assert network.name == case[0]


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_more_than_one_channel(architecture: str) -> None:
    network = ARCHITECTURES[architecture](
        width=2, depth=1, dropout=0.0, normalisation="none", channels=3
    )
    assert np.asarray(network(noise(1, 6, 7, 3))).shape == (1, 6, 7, 1)


def reach_of_two_convolutions_a_level(depth: int) -> int:
    """How far a changed pixel shows, in px, pixel by pixel along a line.

    A 3 x 3 convolution adds 1 px of its level on either side; pooling puts pixel p into p // 2,
    enlarging makes 2 p and 2 p + 1 of it. Everything beside the way to the bottom and back stays
    within it.
    """
    farthest = 0
    for place in range(1000 * 2**depth, 1001 * 2**depth):
        first, last = place, place
        for _ in range(depth):
            first, last = (first - 2) // 2, (last + 2) // 2
        first, last = first - 2, last + 2
        for _ in range(depth):
            first, last = 2 * first - 2, 2 * last + 1 + 2
        farthest = max(farthest, place - first, last - place)
    return farthest


def test_the_margin_bounds_what_two_convolutions_a_level_see() -> None:
    # By hand for depth 1: pixel 1 reaches -1 to 3, below 0 // 2 .. : -1 to 1, there -3 to 3, above
    # again -6 to 7 and -8 to 9: 9 px to the left of it, 8 to the right; pixel 0 mirrors it.
    assert reach_of_two_convolutions_a_level(1) == 9
    for depth in range(1, 7):
        margin = margin_px(depth, "batch")
        assert margin is not None
        assert reach_of_two_convolutions_a_level(depth) < margin
        assert margin % 2**depth == 0


@every_architecture
@pytest.mark.parametrize(("depth", "normalisation"), [(1, "batch"), (3, "none")])
def test_how_far_each_architecture_sees(case: Case, depth: int, normalisation: str) -> None:
    # Positive weights on an image of zeros: what a changed pixel reaches, it raises above 0.5, and
    # nothing cancels. The pixel is so bright because the farthest get 1e-9 of it.
    network = build(case, depth=depth, normalisation=normalisation)
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        if "kernel" in variable.path:
            fan_in = int(np.prod(variable.shape[:-1]))
            values = rng.uniform(0.5, 1.5, variable.shape) / fan_in
            variable.assign(values.astype(np.float32))
    places = 10 * 2**depth + np.arange(2**depth)  # one for each position on the pooling grid
    images = np.zeros((len(places), 21 * 2**depth, 21 * 2**depth, 1), np.float32)
    images[np.arange(len(places)), places, places] = 1e25
    seen = np.asarray(network(images))[..., 0]
    reach = 0
    for place, one in zip(places, seen, strict=True):
        noticed = np.argwhere(one != 0.5)
        reach = max(reach, int(np.abs(noticed - place).max()))
    assert reach == reach_of_two_convolutions_a_level(depth)


@every_architecture
def test_a_tile_with_its_margin_gives_what_the_whole_image_gives(
    trained: Callable[[Case], keras.Model], case: Case
) -> None:
    # An odd whole and an even tile: a grid that depends on the size would shift in one of them.
    network, image = trained(case), noise(1, 191, 37, 1)
    margin = margin_px(2, "batch")
    assert margin == 8 * 4
    whole = np.asarray(network(image))
    tile = np.asarray(network(image[:, 64 - margin : 128 + margin]))[:, margin : margin + 64]
    np.testing.assert_allclose(tile, whole[:, 64:128], atol=1e-6)
    assert float(np.ptp(whole)) > 1e-3  # or else anything would equal it


@every_architecture
def test_odd_sizes_do_not_shift_anything(case: Case) -> None:
    network = build(case)
    image = noise(1, 64, 64, 1)
    whole = np.asarray(network(image))
    cropped = np.asarray(network(image[:, :63, :61]))
    # It sees at most 23 px; see `reach_of_two_convolutions_a_level`.
    np.testing.assert_allclose(cropped[:, : 61 - 24, : 61 - 24], whole[:, :37, :37], atol=1e-6)
    assert np.abs(cropped[:, 62, :60] - whole[:, 62, :60]).max() > 1e-4


@every_architecture
def test_the_seed_determines_the_weights(case: Case) -> None:
    first, second = build(case), build(case)
    for one, other in zip(first.variables, second.variables, strict=True):
        assert one.path == other.path
        np.testing.assert_array_equal(one, other)


@every_architecture
def test_dropout_acts_in_training_only(case: Case) -> None:
    network, image = build(case, depth=1, dropout=0.5), noise(1, 16, 16, 1)
    first, second = (np.asarray(network(image, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-4
    first, second = (np.asarray(network(image, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@every_architecture
def test_without_dropout_nothing_is_random(case: Case) -> None:
    network, image = build(case, depth=1), noise(1, 16, 16, 1)
    np.testing.assert_array_equal(
        np.asarray(network(image, training=True)), np.asarray(network(image, training=False))
    )


@every_architecture
def test_groups_divide_any_number_of_channels(case: Case) -> None:
    network = build(case, width=12, depth=1, normalisation="group")
    assert np.asarray(network(noise(1, 9, 9, 1))).shape == (1, 9, 9, 1)


def test_saved_networks_load_where_only_the_networks_are_imported(
    trained: Callable[[Case], keras.Model], tmp_path: Path
) -> None:
    image = noise(1, 13, 10, 1)
    np.save(tmp_path / "image.npy", image)
    for number, case in enumerate(CASES):
        trained(case).save(tmp_path / f"{number}.keras")
    program = (
        "import sgseg.nets, keras, numpy as np\n"
        f"for number in range({len(CASES)}):\n"
        "    model = keras.models.load_model(f'{number}.keras')\n"
        "    np.save(f'{number}.npy', np.asarray(model(np.load('image.npy'))))\n"
        "    assert sgseg.nets.training_model(model).count_params() == model.count_params()\n"
        "    n_outputs = len(sgseg.nets.supervised_outputs(model))\n"
        "    assert n_outputs == (2 if number == 4 else 1), n_outputs\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    for number, case in enumerate(CASES):
        np.testing.assert_allclose(
            np.load(tmp_path / f"{number}.npy"), np.asarray(trained(case)(image)), atol=1e-6
        )


@each_architecture_once
def test_onnx_computes_the_same_at_any_size(case: Case, tmp_path: Path) -> None:
    normalisation = "group" if case[0] == "res_unet" else "batch"
    network = as_if_trained(build(case, width=8, dropout=0.1, normalisation=normalisation))
    network.predict_on_batch(noise(1, 8, 8, 1))  # Keras exports what has run
    export_onnx(network, tmp_path / "model.onnx")  # compares the two, on an odd size too
    onnx = OnnxNetwork(tmp_path / "model.onnx", margin_px=None, threads=1)
    for shape in ((15, 22), (5, 3), (1, 1)):
        image = noise(*shape)
        expected = np.asarray(network(image[None, ..., None]))[0, ..., 0]
        np.testing.assert_allclose(onnx(image), expected, atol=1e-5)


def blobs() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Four images and masks (4, 32, 32, 1): bright disks of 3 px in noise."""
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 32, 32, 1), np.float32)
    y, x = np.mgrid[:32, :32]
    for number in range(4):
        for row, column in rng.integers(5, 27, (3, 2)):
            masks[number, (y - row) ** 2 + (x - column) ** 2 <= 9, 0] = 1
    return 0.5 * noise(4, 32, 32, 1) + 2 * masks, masks


@each_architecture_once
def test_it_learns_four_images_by_heart(case: Case) -> None:
    images, masks = blobs()
    network = build(case, width=4, normalisation="batch")
    training = training_model(network)
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(training.trainable_variables)  # or else the step is compiled twice
    training.compile(optimizer, "binary_crossentropy", jit_compile=False)
    truth = np.repeat(masks, training.output.shape[-1], axis=-1)
    for _ in range(100):
        training.train_on_batch(images, truth)
    scores = PixelScores()
    scores.update_state(masks, np.asarray(network(images)))
    assert float(scores.result()["iou"]) > 0.9


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_unknown_names_are_refused(architecture: str) -> None:
    with pytest.raises(ValueError, match=r"one of \['attention_unet', .*'unett'"):
        build(("unett", False))
    with pytest.raises(ValueError, match=r"one of \('none', 'batch', 'group'\).*'bacth'"):
        build((architecture, False), normalisation="bacth")


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES.keys() - {"unet_plus_plus"}))
def test_deep_supervision_is_refused_by_name(architecture: str) -> None:
    with pytest.raises(ValueError, match=rf"needs architecture 'unet_plus_plus'.*'{architecture}'"):
        build((architecture, True))


def test_no_backend_is_imported_by_name() -> None:
    allowed = sys.stdlib_module_names | {"keras", "sgseg"}
    for path in Path(sgseg.nets.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] in allowed, f"{path.name} imports {name}"
                assert not name.startswith("sgseg") or name.startswith("sgseg.nets"), path.name
