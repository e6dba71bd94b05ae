"""A folder that is a model; and folders that are none, refused with all that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples import draw_field
from numpy.typing import NDArray

from sgseg.errors import InputError
from sgseg.inference.bundle import (
    BundleSpec,
    Segmenter,
    margin_px,
    read_spec,
    spec_preprocessing,
    write_spec,
)
from sgseg.inference.preprocess import Preprocessing
from sgseg.inference.segment import to_labels

MakeBundle = Callable[..., Path]
GRANULES = [(10, 10), (20, 30), (40, 12)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    spec = BundleSpec(
        members=["a.onnx", "b.onnx"],
        preprocessing={"normalise": "zscore", "target_pixel_size_um": 0.1, "resize": None},
        threshold=0.65,
        min_area_px=8,
        margin_px=None,
        orientations=8,
        pixel_size_um=0.108,
        facts={"commit": "c0ffee", "scores": {"µ": 1.5}},
    )
    write_spec(tmp_path, spec)
    assert read_spec(tmp_path) == spec
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.json"]


def test_preprocessing_from_its_json_form() -> None:
    settings = {"normalise": "minmax", "target_pixel_size_um": 0.2, "resize": [64, 32]}
    assert spec_preprocessing(settings) == Preprocessing("minmax", 0.2, (64, 32))
    assert spec_preprocessing({"normalise": "background"}) == Preprocessing("background")


@pytest.mark.parametrize(("depth", "expected"), [(1, 16), (3, 64), (7, 1024)])
def test_margin(depth: int, expected: int) -> None:
    # 8 x 2^d; at least the 6 x 2^d - 4 px of the convolutions, and a multiple of the stride 2^d.
    assert margin_px(depth, "batch") == margin_px(depth, "none") == expected


def test_bright_granules_are_found(make_bundle: MakeBundle) -> None:
    counts, truth = draw_field(GRANULES)
    found = Segmenter.load(make_bundle()).segment(counts)
    assert found.dtype == np.int32
    # The network looks at single pixels and the granules are twice as bright as its middle.
    assert np.array_equal(found > 0, truth > 0)
    assert found.max() == 3


def test_an_empty_field_holds_none(make_bundle: MakeBundle) -> None:
    segmenter = Segmenter.load(make_bundle())
    assert not segmenter.segment(draw_field([])[0]).any()
    noise = np.random.default_rng(0).normal(500, 20, (64, 64)).astype(np.float32)
    assert not segmenter.segment(noise).any()


def test_threshold_and_minimum_area_are_those_of_the_bundle(make_bundle: MakeBundle) -> None:
    counts, _ = draw_field(GRANULES)
    assert not Segmenter.load(make_bundle(min_area_px=10)).segment(counts).any()
    assert Segmenter.load(make_bundle(min_area_px=9)).segment(counts).max() == 3
    # 1 / (1 + exp(-10 (1 - 2))) = 4.5e-5 in the cell, the left 53 columns; nothing is above 1.
    whole_cell = Segmenter.load(make_bundle(threshold=1e-6)).segment(counts) == 1
    assert np.array_equal(whole_cell, np.broadcast_to(np.arange(80) < 53, (60, 80)))
    assert not Segmenter.load(make_bundle(threshold=1.0)).segment(counts).any()


def test_members_are_averaged(make_bundle: MakeBundle) -> None:
    counts, _ = draw_field(GRANULES)
    segmenter = Segmenter.load(make_bundle(1.5, 2.0, 2.5))
    maps = segmenter.probabilities(counts)
    assert maps.shape == (3, *counts.shape)
    mean = segmenter.probability(counts)
    # To the bit, so that `evaluate`, which keeps the maps, scores what `predict` shows.
    assert np.array_equal(mean, maps.mean(axis=0))
    assert mean.dtype == np.float32
    chosen = segmenter.probability(counts, members=[2])
    assert np.array_equal(chosen, maps[2])
    assert np.array_equal(segmenter.probabilities(counts, members=[2, 0]), maps[[2, 0]])
    expected = to_labels(mean, threshold=0.5, min_area_px=4)
    assert np.array_equal(segmenter.segment(counts), expected)


@pytest.mark.parametrize(
    ("preprocessing", "pixel_size_um"),
    [
        ({"normalise": "background", "resize": [90, 120]}, None),
        ({"normalise": "background", "target_pixel_size_um": 0.1}, 0.15),
        ({"normalise": "background", "target_pixel_size_um": 0.1}, 0.2),
    ],
)
def test_granules_come_back_at_the_image_s_own_size(
    preprocessing: dict[str, Any], pixel_size_um: float | None, make_bundle: MakeBundle
) -> None:
    # All three show the network an image half as large again, or twice as large.
    counts, truth = draw_field(GRANULES, brightness=4.0)
    segmenter = Segmenter.load(make_bundle(preprocessing=preprocessing))
    found = segmenter.segment(counts, pixel_size_um=pixel_size_um)
    assert found.shape == counts.shape
    assert found.max() == 3
    # The border of 3 x 3 px may move by a pixel, the middles may not.
    middles = tuple(np.transpose(GRANULES))
    assert sorted(found[middles]) == [1, 2, 3]
    both, either = ((found > 0) & (truth > 0)).sum(), ((found > 0) | (truth > 0)).sum()
    assert both / either > 0.5


def test_the_pixel_size_sets_the_scale_at_which_the_network_looks(make_bundle: MakeBundle) -> None:
    counts, _ = draw_field(GRANULES)
    settings = {"normalise": "background", "target_pixel_size_um": 0.1}
    segmenter = Segmenter.load(make_bundle(1.5, 2.0, preprocessing=settings))
    known = segmenter.probability(counts, pixel_size_um=0.2)
    assert np.array_equal(known, segmenter.probabilities(counts, pixel_size_um=0.2).mean(axis=0))
    assert not np.array_equal(known, segmenter.probability(counts))
    # At the target size, and where nothing is known, the network sees the image as it is.
    assert np.array_equal(
        segmenter.probability(counts, pixel_size_um=0.1), segmenter.probability(counts)
    )


def test_orientations_are_averaged_where_the_bundle_says_so(make_bundle: MakeBundle) -> None:
    # A network that knows nothing but left from right: 0 in the first column, 1 in the last.
    def ramp(image: NDArray[np.float32]) -> NDArray[np.float32]:
        columns = np.linspace(0, 1, image.shape[1], dtype=np.float32)
        return np.broadcast_to(columns, image.shape)

    field = np.zeros((9, 9), np.uint16)
    for orientations in (1, 8):
        spec = read_spec(make_bundle(orientations=orientations))
        segmenter = Segmenter(spec, [ramp], Preprocessing("background"))  # type: ignore[list-item]
        # From all sides alike, left and right cancel out: (c + (1 - c)) / 2.
        expected = ramp(field) if orientations == 1 else np.full((9, 9), 0.5)
        assert np.allclose(segmenter.probability(field), expected)


def test_members_of_a_moved_folder_are_found(make_bundle: MakeBundle, tmp_path: Path) -> None:
    counts, truth = draw_field(GRANULES)
    moved = make_bundle().rename(tmp_path / "elsewhere é")
    assert np.array_equal(Segmenter.load(str(moved)).segment(counts) > 0, truth > 0)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match=r"no model here .*Run `dvc repro`"):
            Segmenter.load(folder)
    file = tmp_path / "image.tif"
    file.write_bytes(b"II")
    with pytest.raises(InputError, match="no model here"):
        Segmenter.load(file)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "null", '"text"', "{}", "\x00"])
def test_a_description_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "bundle.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"bundle\.json: (unreadable|not the description)"):
        Segmenter.load(tmp_path)


def test_a_description_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes(b'{"format": 1, "facts": "\xe9"}')
    with pytest.raises(InputError, match=r"bundle\.json: unreadable"):
        Segmenter.load(tmp_path)


def change(folder: Path, changes: dict[str, Any]) -> None:
    path = folder / "bundle.json"
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {name: value for name, value in content.items() if value != "REMOVED"}
    path.write_text(json.dumps(kept), encoding="utf-8")


def test_a_newer_format_says_what_to_do(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    change(folder, {"format": 2, "what_only_format_2_has": True})
    with pytest.raises(InputError, match=r"format 2; expected format 1\. Update sgseg\."):
        Segmenter.load(folder)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("members", []),
        ("members", "member_0.onnx"),
        ("members", ["../member_0.onnx"]),
        ("members", ["/etc/passwd"]),
        ("members", [""]),
        ("members", [1]),
        ("preprocessing", {}),
        ("preprocessing", {"normalise": "histogram"}),
        ("preprocessing", {"normalise": ["background"]}),
        ("preprocessing", {"normalise": "background", "gamma": 2}),
        ("preprocessing", {"normalise": "background", "resize": [64]}),
        ("preprocessing", {"normalise": "background", "resize": [64, 0]}),
        ("preprocessing", {"normalise": "background", "target_pixel_size_um": 0}),
        ("threshold", "0.5"),
        ("threshold", 1.5),
        ("threshold", True),
        ("min_area_px", 0),
        ("min_area_px", 4.0),
        ("margin_px", -1),
        ("orientations", 4),
        ("orientations", True),
        ("orientations", [8]),
        ("pixel_size_um", -0.1),
        ("facts", []),
    ],
)
def test_a_wrong_value_is_named(name: str, wrong: Any, make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    change(folder, {name: wrong})
    with pytest.raises(InputError) as caught:
        Segmenter.load(folder)
    (problem,) = caught.value.problems
    assert problem.where == f"{folder / 'bundle.json'}: {name}"
    assert problem.what == f"got {wrong!r}"


def test_all_that_is_wrong_is_named_at_once(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    change(folder, {"threshold": None, "members": "REMOVED", "treshold": 0.5})
    with pytest.raises(InputError) as caught:
        Segmenter.load(folder)
    found = {p.where.rpartition(": ")[2]: p.what for p in caught.value.problems}
    assert found == {"threshold": "got None", "members": "missing", "treshold": "unknown key"}


def test_missing_and_damaged_members_are_all_named(make_bundle: MakeBundle) -> None:
    folder = make_bundle(1.5, 2.0, 2.5)
    (folder / "member_0.onnx").write_bytes(b"\x08\x07")
    (folder / "member_2.onnx").unlink()
    with pytest.raises(InputError) as caught:
        Segmenter.load(folder)
    named = [problem.where for problem in caught.value.problems]
    assert named == [str(folder / "member_0.onnx"), str(folder / "member_2.onnx")]
