"""What a data set held, by what DVC and git keep; no image is fetched for that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lab_project import commit_all, dvc, make_project, mask, picture, run, write_folder, write_pair

from sgseg.dataset.difference import DataDifference, compare_versions
from sgseg.dataset.pointer import changed_files
from sgseg.dataset.source import add
from sgseg.dataset.versions import listing, manifest_at, md5_of, source_at, tracked_files
from sgseg.errors import InputError

NAMES = [f"cell {number}" for number in range(1, 9)]
STAGES = """\
stages:
  simulate:
    cmd: python simulate.py
    outs: [data/raw/simulated]
  ingest:
    cmd: python ingest.py
    outs: [data/dataset]
"""
SIMULATE = """\
from pathlib import Path
raw = Path("data/raw/simulated")
for name in ("images", "masks", "cells"):
    (raw / name).mkdir(parents=True)
    (raw / name / "a.tif").write_bytes(name.encode())
(raw / "dataset.yaml").write_text("name: simulated\\nchannel: 0\\n")
(raw / "samples.csv").write_text("image,condition\\na.tif,control\\n")
"""
INGEST = """\
from pathlib import Path
from sgseg.dataset.manifest import write_manifest
Path("data/dataset").mkdir(parents=True)
write_manifest("data/dataset", [{"image_id": "a", "source": "simulated", "n_objects": 3}])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images; then (v2) one is relabelled and one added; a stage makes a ninth data set."""
    root = make_project(tmp_path_factory.mktemp("versions") / "project", with_dvc=True)
    run(root, "git", "tag", "v1")
    # Set up later than the first version, which is fetched from it all the same.
    dvc(root, "remote", "add", "--default", "lab", str(root.with_name("remote")))
    dvc(root, "push", "--quiet")
    raw = root / "data" / "raw" / "mine"
    write_pair(raw, "cell 9", picture(9))
    # DVC may have made its files links to its cache: never write through one.
    (raw / "masks" / "cell 1.png").unlink()
    write_pair(raw, "cell 1", picture(1), mask(2))
    add(raw, root=root)
    (root / "dvc.yaml").write_text(STAGES)
    (root / "simulate.py").write_text(SIMULATE)
    (root / "ingest.py").write_text(INGEST)
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("source: mine", "source: simulated"))
    dvc(root, "repro", "--quiet")
    commit_all(root, "v2")
    dvc(root, "push", "--quiet")
    return root


def test_the_workspace(project: Path) -> None:
    here = listing(project, "mine")
    assert list(here.images) == [*NAMES, "cell 9"]
    image = here.images["cell 9"]
    assert (image.image, image.mask) == ("images/cell 9.png", "masks/cell 9.png")
    assert image.image_md5 == md5_of(project / "data/raw/mine/images/cell 9.png")


def test_a_revision_is_what_lay_there_then(project: Path) -> None:
    then, now = listing(project, "mine", "v1"), listing(project, "mine", "HEAD")
    assert list(then.images) == NAMES
    assert now.files == listing(project, "mine").files
    expected = DataDifference(new=("cell 9",), relabelled=("cell 1",))
    assert compare_versions(then, now) == expected


def test_the_output_of_a_stage(project: Path) -> None:
    then = listing(project, "simulated", "HEAD")
    assert then.settings.channel == 0
    assert then.images["a"].sample == {"condition": "control"}
    assert list(then.other) == ["cells/a.tif"]
    assert not compare_versions(then, listing(project, "simulated"))


def test_source_and_manifest_of_a_revision(project: Path) -> None:
    assert source_at(project, "v1") == "mine"
    assert source_at(project) == source_at(project, "HEAD") == "simulated"
    assert source_at(project, "nonsense") is None
    manifest = manifest_at(project, "HEAD")
    assert manifest is not None
    assert manifest[["image_id", "n_objects"]].to_numpy().tolist() == [["a", 3]]
    assert manifest_at(project, "v1") is None
    assert manifest_at(project, "nonsense") is None
    assert manifest_at(project.parent) is None


def test_errors_are_named(project: Path) -> None:
    for rev, source, message in (
        ("nonsense", "mine", "'nonsense': unknown git revision"),
        ("v1", "simulated", "v1 has no such data set; expected one of: mine"),
        ("HEAD", "other", "HEAD has no such data set; expected one of: mine, simulated"),
        (None, "other", "no such data set here"),
    ):
        with pytest.raises(InputError, match=message):
            listing(project, source, rev)
    with pytest.raises(InputError, match="expected a project under git and DVC"):
        listing(project.parent, "mine", "HEAD")


def test_of_a_clone_only_lists_are_fetched(project: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(project), "clone")
    then, now = listing(clone, "mine", "v1"), listing(clone, "mine", "HEAD")
    assert compare_versions(then, now).relabelled == ("cell 1",)
    assert not list(clone.rglob("*.png"))
    assert manifest_at(clone, "HEAD") is not None


def test_what_is_in_no_cache_and_no_remote_is_said(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DVC remembers lists outside of the project, for all that use this machine.
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(project), "clone")
    dvc(clone, "remote", "add", "--force", "--default", "lab", str(tmp_path / "empty"))
    commit_all(clone, "another remote")
    with pytest.raises(InputError, match=r"neither in the cache nor in a remote.*dvc fetch"):
        listing(clone, "mine", "HEAD")
    assert manifest_at(clone, "HEAD") is None


def test_files_that_dvc_has_not_seen(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, symlinks=True)
    raw = copy / "data" / "raw" / "mine"
    assert changed_files(copy, "mine") == {}
    (raw / ".DS_Store").write_bytes(b"a file manager's own")
    assert changed_files(copy, "mine") == {}
    (raw / "masks" / "cell 2.png").unlink()
    write_folder(raw, range(10, 11))
    before = tracked_files(copy, "mine")
    assert changed_files(copy, "mine") == {
        "images/cell 10.png": (None, md5_of(raw / "images" / "cell 10.png")),
        "masks/cell 10.png": (None, md5_of(raw / "masks" / "cell 10.png")),
        "masks/cell 2.png": (before["masks/cell 2.png"], None),
    }
    assert changed_files(copy, "never seen") == {}
    (raw.parent / "mine.dvc").write_text("outs: []\n")
    with pytest.raises(InputError, match=r"mine\.dvc: no file of DVC's"):
        changed_files(copy, "mine")
