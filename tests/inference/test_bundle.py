"""A folder that is a model; and folders that are none, refused with all that is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sgseg.errors import InputError
from sgseg.inference.bundle import (
    BundleSpec,
    digest,
    margin_px,
    networks_digest,
    read_spec,
    spec_preprocessing,
    write_spec,
)
from sgseg.inference.preprocess import Preprocessing
from sgseg.inference.segmenter import Segmenter

MakeBundle = Callable[..., Path]
GRANULES = [(10, 10), (20, 30), (40, 12)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    spec = BundleSpec(
        members=["fold_0", "fold_1"],
        preprocessing={"normalise": "zscore", "target_pixel_size_um": 0.1, "resize": None},
        threshold=0.65,
        min_area_px=8,
        margin_px=None,
        orientations=8,
        members_in_use="one",
        points_at_orientations={"1": {"threshold": 0.6, "min_area_px": 12}},
        pixel_size_um=0.108,
        statistics={"images": 3, "noise": [0.01, 0.04]},
        trained_on=["19c215fdaf48a3d3", "131c71cc9e113d46"],
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
    (tmp_path / "bundle.json").write_bytes(b'{"format": 2, "facts": "\xe9"}')
    with pytest.raises(InputError, match=r"bundle\.json: unreadable"):
        Segmenter.load(tmp_path)


def change(folder: Path, changes: dict[str, Any]) -> None:
    path = folder / "bundle.json"
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {name: value for name, value in content.items() if value != "REMOVED"}
    path.write_text(json.dumps(kept), encoding="utf-8")


def test_another_format_says_what_to_do(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    change(folder, {"format": 3, "what_only_format_3_has": True})
    with pytest.raises(InputError, match=r"format 3; expected format 2\. Update sgseg\."):
        Segmenter.load(folder)
    change(folder, {"format": 1, "members": ["member_0.onnx"]})
    with pytest.raises(InputError, match=r"format 1; expected format 2\. Run `dvc repro`"):
        Segmenter.load(folder)


def test_statistics_that_watch_can_use(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    # `images` is a number, a quantity may be unknown, and a newer one is passed over.
    known = {"images": 3, "noise": [0.01, 0.1], "focus": None, "colour": "blue"}
    change(folder, {"statistics": known})
    assert read_spec(folder).statistics == known


def test_what_need_not_be_said(make_bundle: MakeBundle) -> None:
    folder = make_bundle(1.5, 2.0)
    unsaid = ("orientations", "members_in_use", "points_at_orientations", "statistics")
    change(folder, dict.fromkeys([*unsaid, "trained_on"], "REMOVED"))
    spec = read_spec(folder)
    assert (spec.orientations, spec.members_in_use, spec.points_at_orientations) == (1, "all", {})
    assert (spec.statistics, spec.trained_on) == ({}, [])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("members", []),
        ("members", "fold_0"),
        ("members", ["fold_0", "fold_0"]),
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
        ("members_in_use", "two"),
        ("members_in_use", 1),
        ("members_in_use", ["all"]),
        ("points_at_orientations", []),
        ("points_at_orientations", {"4": {"threshold": 0.5, "min_area_px": 4}}),
        ("points_at_orientations", {"1": {"threshold": 0.5}}),
        ("points_at_orientations", {"1": {"threshold": 0.5, "min_area_px": 0}}),
        ("points_at_orientations", {"1": [0.5, 4]}),
        ("pixel_size_um", -0.1),
        ("statistics", [1]),
        ("statistics", {"noise": 0.1}),
        ("statistics", {"focus": [0.1]}),
        ("statistics", {"levels": [1, "2"]}),
        ("statistics", {"saturated": [0.0, float("inf")]}),
        ("statistics", {"median_level": [None, 1.0]}),
        ("statistics", {"diameter_px": {"low": 1, "high": 2}}),
        ("trained_on", {}),
        ("trained_on", [1]),
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


def test_networks_that_are_missing_or_damaged(make_bundle: MakeBundle) -> None:
    folder = make_bundle(1.5, 2.0)
    change(folder, {"members": ["fold_0", "fold_2", "fold_3"]})
    said = r"no network fold_2, fold_3; expected those .* Found: fold_0, fold_1"
    with pytest.raises(InputError, match=said):
        Segmenter.load(folder)
    (folder / "model.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(InputError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        Segmenter.load(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        Segmenter.load(folder)


def test_the_digest_is_that_of_both_files(make_bundle: MakeBundle, tmp_path: Path) -> None:
    folder = make_bundle(1.5, 2.0)
    first = digest(folder)
    networks, spec = (folder / name for name in ("model.onnx", "bundle.json"))
    # MD5 of the two MD5s.
    both = b"".join(hashlib.md5(path.read_bytes()).digest() for path in (networks, spec))
    assert first == hashlib.md5(both).hexdigest()
    (folder / "notes.txt").write_text("is no part of it", encoding="utf-8")
    assert digest(folder.rename(tmp_path / "moved")) == first
    moved = tmp_path / "moved"
    for path in (moved / "model.onnx", moved / "bundle.json"):
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        assert digest(moved) != first
        path.write_bytes(before)
    assert digest(moved) == first
    (moved / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"no model here \(model\.onnx is missing\)"):
        digest(moved)


def test_networks_are_the_same_whatever_is_told_of_them(make_bundle: MakeBundle) -> None:
    folder = make_bundle(1.5, 2.0)
    both, networks = digest(folder), networks_digest(folder)
    change(folder, {"facts": {"commit": "another", "scores": {"test": {}}}})
    assert networks_digest(folder) == networks
    assert digest(folder) != both
    found = {networks}
    for name, value in {
        "threshold": 0.123,
        "members": ["fold_1", "fold_0"],
        "trained_on": ["0123456789abcdef"],
        "statistics": {"noise": [0.1, 0.2]},
    }.items():
        change(folder, {name: value})
        found.add(networks_digest(folder))
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    found.add(networks_digest(folder))
    assert len(found) == 6
    path.unlink()
    with pytest.raises(InputError, match=r"no model here \(model\.onnx is missing\)"):
        networks_digest(folder)
