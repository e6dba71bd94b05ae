"""`sgseg data add` and `sgseg data diff` as a user types them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from lab_project import (
    IDENTITY,
    commit_all,
    dvc,
    make_project,
    mask,
    picture,
    run,
    tree,
    write_folder,
    write_pair,
)

from sgseg.commands import data
from sgseg.dataset.manifest import write_manifest
from sgseg.dataset.versions import listing
from sgseg.errors import InputError


def execute(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    data.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["data", *map(str, arguments)])
    return int(parsed.run(parsed))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images at v1; one relabelled and two more, added by the command, at HEAD."""
    root = make_project(tmp_path_factory.mktemp("data") / "project", with_dvc=True)
    (root / ".gitignore").write_text("/data/dataset\n")
    commit_all(root, "data/dataset is made by a stage")
    run(root, "git", "tag", "v1")
    folder = write_folder(root.parent / "more", range(11, 13))
    write_pair(folder, "cell 1", picture(1), mask(3))
    given = ["add", folder, "--images", "images", "--masks", "masks", "--root", root, "--relabel"]
    with pytest.MonkeyPatch.context() as patch:
        for key, value in IDENTITY.items():
            patch.setenv(key, value)
        before = tree(root)
        assert execute(*given, "--dry-run") == 0
        assert tree(root) == before
        assert execute(*given) == 0
    return root


@pytest.fixture
def add(tmp_path: Path) -> list[object]:
    """A project without DVC and a folder of one image to add."""
    root = make_project(tmp_path / "project", with_dvc=False)
    folder = write_folder(tmp_path / "more", range(11, 12))
    return ["add", folder, "--images", "images", "--masks", "masks", "--root", root]


def test_a_dry_run_says_what_would_be(
    add: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(tmp_path)
    assert execute(*add, "--dry-run") == 0
    assert tree(tmp_path) == before
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("data/raw/mine: 1 new")
    # Eight old images with a granule of 4 x 4 px each, and one more.
    assert said[2:4] == [
        "condition   images before  after  granules before  after",
        "not stated              8      9                8      9",
    ]
    assert "area of a granule, px          16.0        16.0" in said
    assert "No image that was there changes its side." in said
    assert said[-1] == "Nothing was changed (--dry-run)."


def test_without_version_control_the_images_come_in_all_the_same(
    add: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(*add) == 0
    assert "there is no DVC" in capsys.readouterr().out
    assert len(listing(tmp_path / "project", "mine").images) == 9
    assert execute(*add) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing to add."


def test_add_makes_one_commit(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(project, "git", "log", "--format=%s", "v1..") == (
        "Data set mine: 2 added, 1 relabelled\n"
    )
    changed = run(project, "git", "diff", "--name-only", "v1", "HEAD")
    assert changed == "data/raw/mine.dvc\nsplits/mine.csv\n"
    assert execute("diff", "HEAD", "--root", project) == 0
    assert capsys.readouterr().out == (
        "mine: 10 images at HEAD, 10 images in the workspace\nNothing differs.\n"
    )


@pytest.mark.parametrize("new", [[], ["HEAD"]], ids=["workspace", "HEAD"])
def test_diff_names_the_images(
    project: Path, capsys: pytest.CaptureFixture[str], new: list[str]
) -> None:
    assert execute("diff", "v1", *new, "--root", project) == 0
    said = capsys.readouterr().out
    assert said == (
        f"mine: 8 images at v1, 10 images in {new[0] if new else 'the workspace'}\n"
        "      2 new\n"
        "      1 relabelled\n"
        "\nnew:\n  cell 11\n  cell 12\n"
        "\nrelabelled:\n  cell 1\n"
    )


def test_diff_counts_granules_where_the_data_set_was_made(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifests of both versions, each of the masks of its time."""
    last = run(project, "git", "rev-parse", "HEAD").strip()
    images = {rev: listing(project, "mine", rev).images["cell 1"] for rev in ("v1", last)}
    clone = project.with_name("counted")
    run(project.parent, "git", "clone", "--quiet", str(project), "counted")
    dvc(clone, "remote", "add", "--local", "--default", "cache", str(project / ".dvc" / "cache"))
    for branch, (rev, image), count in zip(("a", "b"), images.items(), (1, 3), strict=True):
        run(clone, "git", "checkout", "--quiet", "-b", branch, rev)
        folder = clone / "data" / "dataset"
        folder.mkdir(parents=True, exist_ok=True)
        row = {"image_id": "cell 1", "source": "mine", "mask_md5": image.mask_md5}
        write_manifest(folder, [row | {"n_objects": count}])
        (clone / ".gitignore").write_text("")
        dvc(clone, "add", "--quiet", "data/dataset")
        commit_all(clone, "counted")
    capsys.readouterr()
    assert execute("diff", "a", "b", "--root", clone) == 0
    assert "relabelled:\n  cell 1: 1 -> 3 granules\n" in capsys.readouterr().out


def test_diff_as_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert execute("diff", "v1", "HEAD", "--json", "--root", project) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["source"], said["from"], said["to"]) == ("mine", "v1", "HEAD")
    assert said["new"] == ["cell 11", "cell 12"]


def test_another_source_then_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = project / "params.yaml"
    text = params.read_text()
    try:
        params.write_text(text.replace("source: mine", "source: other"))
        write_folder(project / "data" / "raw" / "other", range(1, 3))
        (project / "data" / "raw" / "other" / "dataset.yaml").write_text("name: other\n")
        assert execute("diff", "HEAD", "--root", project) == 0
        said = capsys.readouterr().out
        with pytest.raises(InputError, match="HEAD has no such data set; expected one of: mine"):
            execute("diff", "HEAD", "--source", "other", "--root", project)
    finally:
        params.write_text(text)
    assert said.splitlines()[:3] == [
        "params.yaml used data.source mine at HEAD, and other in the workspace.",
        "other: not there at HEAD, 2 images in the workspace",
        "      2 new",
    ]


def test_an_unknown_revision(project: Path) -> None:
    with pytest.raises(InputError, match="'nonsense': unknown git revision"):
        execute("diff", "nonsense", "--root", project)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("add", "diff"):
        with pytest.raises(SystemExit):
            execute(action, "--help")
        assert "examples:\n  sgseg data" in capsys.readouterr().out
