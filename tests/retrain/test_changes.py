"""What changed since the last training: against the commit that trained, not the one after."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sgseg.dataset import versions
from sgseg.dataset.raw import RawSettings
from sgseg.dataset.versions import Listing
from sgseg.errors import InputError, Problem
from sgseg.retrain.changes import Changes, difference, find_changes, lock_params

WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@lab.example", "-c", "commit.gpgsign=false")
PARAMS = {"data": {"source": "few"}, "train": {"epochs": 3, "augment": {"flip": True}}}
STAGES = {"stages": {"train": {"cmd": "x", "deps": ["src/train.py", "src/nets", "data/dataset"]}}}


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *WHO, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(root: Path, subject: str) -> str:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", subject)
    return git(root, "rev-parse", "HEAD")


def write(root: Path, **files: Any) -> None:
    """Files by name, with `__` for a slash and `_` at the end for nothing."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_yaml", ".yaml").replace("_py", ".py")
        path = path.with_name(path.name.replace("dvc_lock", "dvc.lock"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))


def lock(**params: Any) -> dict[str, Any]:
    return {
        "stages": {
            "ingest": {"params": {"params.yaml": {"data.source": "few"}}},
            "train@0": {"params": {"params.yaml": params}},
        }
    }


def a_listing(where: str, **images: str) -> Listing:
    """Images of these contents, each with a mask of its own content."""
    files = {}
    for name, content in images.items():
        image, _, mask = content.partition("/")
        files |= {f"images/{name}.tif": image, f"masks/{name}.tif": mask or "m"}
    return Listing("few", where, files, RawSettings(name="few"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Trained once; the fakes of what DVC would say are set by `data`."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    write(
        tmp_path,
        params_yaml=PARAMS,
        dvc_yaml=STAGES,
        dvc_lock=lock(train=PARAMS["train"]),
        src__train_py="1",
        src__nets__unet_py="1",
        README="1",
    )
    commit(tmp_path, "trained")
    return tmp_path


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    def listing(root: Path, source: str, rev: str | None = None) -> Listing:
        if rev is None:
            return a_listing("now", a="1", b="2/other", new="9", moved="7")
        return a_listing(rev, a="1", b="2", gone="3", was="7")

    monkeypatch.setattr(versions, "listing", listing)


@pytest.mark.usefixtures("data")
def test_it_compares_with_the_last_training(project: Path) -> None:
    trained = git(project, "rev-parse", "HEAD")
    write(project, src__train_py="2")
    commit(project, "Faster, thanks to #3")
    write(
        project,
        src__nets__unet_py="2",
        README="2",
        params_yaml={**PARAMS, "train": {"epochs": 5, "augment": {"flip": True}, "seed": 1}},
    )
    base = commit(project, "Longer")

    found = find_changes(project, "HEAD")

    assert (found.base, found.since, found.source) == (base, trained, "few")
    assert found.params == {"train.epochs": ("3", "5"), "train.seed": (None, "1")}
    # params.yaml and README are no code of a stage.
    assert found.code == ["src/nets/unet.py", "src/train.py"]
    assert found.other_files == 2
    assert [subject for _, subject in found.commits] == ["Longer", "Faster, thanks to #3"]
    assert found.data is not None
    assert (found.data.new, found.data.removed) == (("new",), ("gone",))
    assert (found.data.relabelled, found.data.renamed) == (("b",), (("was", "moved"),))
    assert found.unknown == {}


@pytest.mark.usefixtures("data")
def test_nothing_changed_in_code_and_parameters(project: Path) -> None:
    found = find_changes(project, "HEAD")
    assert (found.params, found.code, found.other_files, found.commits) == ({}, [], 0, [])


@pytest.mark.usefixtures("data")
def test_a_lock_that_the_retrain_has_just_written_is_no_earlier_training(project: Path) -> None:
    write(project, params_yaml={**PARAMS, "train": {"epochs": 5, "augment": {"flip": True}}})
    commit(project, "Longer")
    write(project, dvc_lock=lock(train={"epochs": 5, "augment": {"flip": True}}))
    assert find_changes(project, "HEAD").params == {"train.epochs": ("3", "5")}


@pytest.mark.usefixtures("data")
def test_a_project_never_trained(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    write(tmp_path, params_yaml=PARAMS)
    base = commit(tmp_path, "first")
    found = find_changes(tmp_path, base)
    assert (found.base, found.since, found.params) == (base, "", {})
    assert found.data is not None
    assert found.data.new == ("a", "b", "moved", "new")


def test_what_cannot_be_had_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listing(*_: Any) -> Listing:
        raise InputError(Problem("data/raw/few", "neither in the cache nor in a remote"))

    monkeypatch.setattr(versions, "listing", listing)
    found = find_changes(project, "HEAD")
    assert found.data is None
    assert "neither in the cache" in found.unknown["data"]


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("base", ["", "nonsense", "--all"])
def test_without_a_commit_the_rest_is_found_all_the_same(tmp_path: Path, base: str) -> None:
    write(tmp_path, params_yaml=PARAMS)
    found = find_changes(tmp_path, base)
    assert (found.base, found.since) == ("", "")
    assert found.data is not None
    assert "no commit" in found.unknown["history"]


@pytest.mark.usefixtures("data")
def test_broken_files_are_no_error(project: Path) -> None:
    write(project, params_yaml="a: [", dvc_yaml="- 1", dvc_lock="\t")
    found = find_changes(project, "HEAD")
    # Of every parameter that dvc.lock named, params.yaml says nothing.
    assert found.params["train.epochs"] == ("3", None)


def test_parameters_of_all_stages() -> None:
    assert lock_params(lock(train={"epochs": 3})) == {"data.source": "few", "train": {"epochs": 3}}
    assert lock_params({"stages": {"x": {}}}) == {}


def test_a_difference_has_what_only_one_side_has() -> None:
    before, after = {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "4", "d": "5"}
    assert difference(before, after) == {"b": ("2", "4"), "c": ("3", None), "d": (None, "5")}
    assert difference(before, before) == {}


def test_the_recipe_of_before_comes_through_dvc(project: Path, data: None) -> None:
    # Not a project of DVC's: its recipe cannot be had, and the rest is found.
    write(project, reports__tuning__recipe_yaml={"train": {"learning_rate": 0.1}})
    found = find_changes(project, "HEAD")
    assert found.recipe == {}
    assert "cannot be had through DVC" in found.unknown["recipe"]
    assert isinstance(found, Changes)
