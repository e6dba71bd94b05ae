"""From a name in the registry to a folder that holds exactly the bundle that was registered."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sgseg.errors import InputError
from sgseg.inference.bundle import digest
from sgseg.registry import bundle_of, bundles, roll_back
from sgseg.registry.models import find_version
from sgseg.tracking.store import StoreError

from .project import evaluate, reopen, score_of, submit


def test_by_alias_by_number_and_as_a_folder(two: Path) -> None:
    for name, score in {
        "models:/sgseg@champion": 0.8,
        "models:/sgseg@challenger": 0.8,
        "models:/sgseg/1": 0.6,
        str(two / "models/evaluated"): 0.8,
    }.items():
        assert score_of(bundle_of(name, root=two)) == score
    assert bundle_of(two / "gone", root=two) == two / "gone"
    roll_back(reopen(two))
    assert score_of(bundle_of("models:/sgseg@champion", root=two)) == 0.6


def test_it_is_fetched_once(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bundle_of("models:/sgseg/1", root=two)
    assert folder == bundles.cache_folder() / digest(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["bundle.json", "model.onnx"]
    monkeypatch.setattr(bundles, "_download", None)
    assert bundle_of("models:/sgseg/1", root=two) == folder
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_a_damaged_copy_is_fetched_again(two: Path) -> None:
    folder = bundle_of("models:/sgseg/1", root=two)
    known_as = digest(folder)
    for damage in (lambda path: path.write_text("x"), lambda path: path.unlink()):
        damage(folder / "model.onnx")
        assert bundles.cached(known_as) is None
        assert digest(bundle_of("models:/sgseg/1", root=two)) == known_as


def test_who_was_faster_is_believed_if_it_is_right(two: Path, tmp_path: Path) -> None:
    folder = bundle_of("models:/sgseg/1", root=two)
    mine = shutil.copytree(folder, tmp_path / "mine")
    before = (folder / "model.onnx").stat().st_mtime_ns
    bundles._put_in_place(mine, folder)
    assert (folder / "model.onnx").stat().st_mtime_ns == before


def test_other_files_than_those_registered_are_refused(root: Path) -> None:
    evaluate(root, 0.6)
    version = submit(root).challenger
    for damage in (lambda path: path.write_text("weights of another"), lambda path: path.unlink()):
        damage(Path(version.source) / "artifacts/evaluated/model.onnx")
        with pytest.raises(InputError, match=rf"models:/sgseg/1 .*digest {version.bundle}"):
            bundle_of("models:/sgseg@champion", root=root)
    assert bundles.cached(version.bundle) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("models:/sgseg", "not the name of a model; expected models:/sgseg@champion, "),
        ("models:/sgseg/latest", "not the name of a model"),
        ("models:/sgseg/7", r"no version 7; expected of .*: versions 1, 2; aliases challenger"),
        ("models:/sgseg@best", r"no alias 'best'; .*aliases .*champion \(version 2\)"),
        ("models:/other@champion", "no model 'other' is registered here. Run `dvc repro promote`"),
    ],
)
def test_names_of_nothing(two: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        bundle_of(name, root=two)


def test_a_version_of_somebody_else(two: Path) -> None:
    registry = reopen(two)
    registry.client.create_model_version("sgseg", find_version(registry, 1).source)  # type: ignore[union-attr]
    with pytest.raises(InputError, match="models:/sgseg/3: not registered by sgseg"):
        bundle_of("models:/sgseg/3", root=two)


@pytest.mark.parametrize("tag", ["../../somewhere", "A" * 32, "a" * 31])
def test_a_digest_that_is_none_becomes_no_path(two: Path, tag: str) -> None:
    reopen(two).client.set_model_version_tag("sgseg", "1", "sgseg.bundle", tag)
    with pytest.raises(InputError, match=r"models:/sgseg/1: its tag .* 32 hexadecimal digits"):
        bundle_of("models:/sgseg/1", root=two)
    assert bundles.cached(tag) is None


def test_no_store_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match=r"no such store; .*project's folder"):
        bundle_of("models:/sgseg@champion", root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(StoreError, match="cannot be used") as caught:
        bundle_of("models:/sgseg@champion", root=tmp_path)
    assert "secret" not in str(caught.value)
    assert "sgseg track" not in str(caught.value)
