"""More images for a data set: all or nothing, and no old image changes its side."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lab_project import (
    IDENTITY,
    PARAMS,
    PLACES,
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
from PIL import Image

from sgseg.dataset import add as adding
from sgseg.dataset.add import Addition, carry_out, plan_addition
from sgseg.dataset.add_text import commit_message, names_line, table, trial_lines
from sgseg.dataset.difference import DataDifference
from sgseg.dataset.versions import listing
from sgseg.errors import InputError

SIDES = ["test"] + ["development"] * 7


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in IDENTITY.items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight images, `cell 1` to `cell 8`; no DVC, which takes seconds."""
    return make_project(tmp_path / "project", with_dvc=False)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("add") / "project", with_dvc=True)


@pytest.fixture
def versioned(kept: Path, tmp_path: Path) -> Path:
    """The same under git and DVC."""
    shutil.copytree(kept, tmp_path / "versioned", symlinks=True)
    return tmp_path / "versioned"


@pytest.fixture
def more(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "more", range(11, 13))


def plan(root: Path, folder: Path, **options: object) -> Addition:
    return plan_addition(folder, images="images", masks="masks", root=root, **options)


def problems(root: Path, folder: Path, **options: object) -> list[str]:
    """What a plan is refused for; the project is as it was."""
    before = tree(root)
    with pytest.raises(InputError) as caught:
        plan(root, folder, **options)
    assert tree(root) == before
    return [str(problem) for problem in caught.value.problems]


def text(addition: Addition) -> str:
    assert addition.trial is not None
    return "\n".join(trial_lines(addition.merged, addition.trial))


def assign(root: Path, addition: Addition, sides: list[str]) -> None:
    """Give the old images their sides, as an earlier `split` would have."""
    assert addition.trial is not None
    rows = addition.trial.manifest.iloc[: len(sides)][["image_id", "pixel_hash"]]
    rows = rows.assign(group="", set=sides)
    rows.to_csv(root / "splits" / "mine.csv", index=False, lineterminator="\n")


def sample_rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_plan_changes_nothing(root: Path, more: Path) -> None:
    before = tree(root.parent)
    addition = plan(root, more)
    assert [pair.id for pair in addition.merged.added] == ["cell 11", "cell 12"]
    assert tree(root.parent) == before


def test_the_new_images_come_in_byte_for_byte(root: Path, more: Path) -> None:
    raw = root / "data" / "raw" / "mine"
    before, inode = tree(raw), (raw / "images" / "cell 1.png").stat().st_ino
    outcome = carry_out(plan(root, more))
    new = {name: content for name, content in tree(more).items() if "cell 1" in name}
    assert tree(raw) == before | new
    # Old files are not written again.
    assert (raw / "images" / "cell 1.png").stat().st_ino == inode
    assert not outcome.with_dvc
    assert [path.name for path in raw.parent.iterdir()] == ["mine"]


def test_images_that_are_there_are_passed_over(root: Path, more: Path) -> None:
    write_folder(more, range(1, 4))
    addition = plan(root, more)
    assert addition.merged.there == ("cell 1", "cell 2", "cell 3")
    assert len(addition.merged.added) == 2
    shutil.rmtree(more)
    nothing = plan(root, write_folder(more, range(1, 4)))
    assert not nothing.merged
    assert nothing.trial is None


def test_the_same_pixels_in_another_file_are_the_same_image(root: Path, more: Path) -> None:
    Image.fromarray(picture(1)).save(more / "images" / "CELL 1.bmp")
    shutil.copy(
        root / "data" / "raw" / "mine" / "masks" / "cell 1.png", more / "masks" / "CELL 1.png"
    )
    assert plan(root, more).merged.there == ("cell 1",)


def test_everything_wrong_is_named_at_once(root: Path, more: Path) -> None:
    write_pair(more, "cell 1", picture(99))  # a name that is taken
    write_pair(more, "cell 2", picture(2), mask(2))  # another mask
    write_pair(more, "small", picture(20), mask(size=40))
    write_pair(more, "alone", picture(21))
    (more / "masks" / "alone.png").unlink()
    write_pair(more, "damaged", picture(22))
    (more / "images" / "damaged.png").write_bytes(b"")
    soft = np.linspace(0, 255, 48 * 48).reshape(48, 48).astype(np.uint8)
    write_pair(more, "soft", picture(23), soft)
    said = problems(root, more)
    assert len(said) == 6
    for name, what in (
        ("images/alone.png", "image without mask"),
        ("images/damaged.png", "empty file"),
        ("masks/small.png", "mask of 40 x 40 pixels; expected 48 x 48"),
        ("masks/soft.png", "no pixel is 0|different values|no mask"),
        ("images/cell 1.png", "other pixels than .*same name"),
        ("masks/cell 2.png", "another mask than .*--relabel"),
    ):
        (found,) = (line for line in said if line.startswith(f"{more / name}: "))
        assert pd.Series([found]).str.contains(what).all(), found


def test_a_new_mask_takes_the_place_of_the_old_one_if_asked(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corrected"
    write_pair(folder, "cell 2", picture(2), mask(3))
    (folder / "masks" / "cell 2.png").rename(folder / "masks" / "cell 2.bmp")
    addition = plan(root, folder, relabel=True)
    assert "cell 2: 1 -> 3 granules" in text(addition)
    carry_out(addition)
    masks = root / "data" / "raw" / "mine" / "masks"
    # The old one had another ending: it is gone, or the image would have two masks.
    assert [path.name for path in masks.glob("cell 2*")] == ["cell 2.bmp"]
    assert np.asarray(Image.open(masks / "cell 2.bmp")).sum() == len(PLACES) * 16 * 255


def test_a_copy_goes_with_its_group_and_old_images_stay(root: Path, more: Path) -> None:
    assign(root, plan(root, more), SIDES)
    write_pair(more, "mirrored", picture(1)[:, ::-1], mask(2)[:, ::-1])
    addition = plan(root, more)
    assert addition.trial is not None
    sides = addition.trial.sides
    assert sides["mirrored"] == "test"
    assert [sides[f"cell {number}"] for number in range(1, 9)] == SIDES
    # The old mask has 16 px, the new one 32, which hold them: IoU 0.5.
    expected = "mirrored: the same pixels, mirrored, as cell 1; masks agree to IoU 0.50 -> "
    assert f"{expected}group cell 1, test" in text(addition)


def test_an_image_that_would_tear_the_split_is_refused(root: Path, more: Path) -> None:
    assign(root, plan(root, more), SIDES)
    write_pair(more, "of both", picture(1))
    write_pair(more, "of both too", picture(2))
    names = ["cell 11", "cell 12", "of both", "of both too"]
    rows = "".join(f"{name},{'well' if 'both' in name else ''}\n" for name in names)
    (more / "samples.csv").write_text(f"image,group\n{rows}")
    said = problems(root, more, samples="samples.csv")
    assert len(said) == 1
    # The new ones have the sides of the images whose pixels they have.
    assert "test: cell 1, of both; development: cell 2, of both too" in said[0]
    assert "(to be added: of both, of both too)" in said[0]


def test_what_validation_refuses_is_named_by_the_user_s_own_file(root: Path, more: Path) -> None:
    full = np.zeros((48, 48), dtype=np.uint8)
    full[5:43, 5:45] = 255  # 1520 of 2304 pixels
    write_pair(more, "full", picture(30), full)
    (said,) = problems(root, more)
    assert said.startswith(f"{more / 'masks' / 'full.png'}: granules cover 66.0%")
    params = root / "params.yaml"
    # Known to be left out, it is not taken in either.
    params.write_text(params.read_text().replace("on_failure: stop", "on_failure: quarantine"))
    assert problems(root, more) == [said]


def test_a_data_set_that_stays_too_small_can_grow(root: Path, tmp_path: Path) -> None:
    raw = root / "data" / "raw" / "mine"
    for number in range(2, 9):
        for kind in ("images", "masks"):
            (raw / kind / f"cell {number}.png").unlink()
    addition = plan(root, write_folder(tmp_path / "one", range(11, 12)))
    assert "`dvc repro` will stop" in text(addition)
    carry_out(addition)
    assert list(listing(root, "mine").images) == ["cell 1", "cell 11"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("simulated", "made by the stage `simulate`.*sgseg import"),
        ("other", "no such data set; expected one of: mine. `sgseg import"),
    ],
)
def test_data_sets_that_cannot_be_extended(root: Path, more: Path, name: str, message: str) -> None:
    (root / "data" / "raw" / "simulated").mkdir()
    with pytest.raises(InputError, match=message):
        plan(root, more, name=name)


def test_images_that_are_elsewhere_have_to_be_fetched(root: Path, more: Path) -> None:
    (root / "data" / "raw" / "away.dvc").write_text("")
    with pytest.raises(InputError, match=r"dvc pull data/raw/away\.dvc"):
        plan(root, more, name="away")


def test_tables_are_united(tmp_path: Path, more: Path) -> None:
    old = "".join(f"cell {number},control,0.2\n" for number in range(1, 9))
    lab = tmp_path / "samples.csv"
    lab.write_text(f"image,condition,pixel_size_um\n{old}")
    root = make_project(tmp_path / "described", with_dvc=False, samples=lab)
    (said,) = problems(root, more)
    assert "2 new images are not in a sample table (cell 11.png, cell 12.png)" in said
    assert "image, condition, pixel_size_um" in said
    # Of an old image it may say what is known, of a new one more than was said so far.
    lines = ["image;Replicate;condition", "cell 11;2;arsenite", "cell 12;;", "cell 3;;control"]
    (more / "new.csv").write_text("\n".join(lines))
    carry_out(plan(root, more, samples="new.csv"))
    rows = sample_rows(root / "data" / "raw" / "mine" / "samples.csv")
    assert rows[0] == ["image", "condition", "pixel_size_um", "replicate"]
    assert rows[3] == ["cell 3.png", "control", "0.2", ""]
    assert rows[9:] == [["cell 11.png", "arsenite", "", "2"], ["cell 12.png", "", "", ""]]
    (more / "new.csv").write_text("image,condition\ncell 11,arsenite\ncell 12,\ncell 3,heat\n")
    (said,) = problems(root, more, samples="new.csv")
    assert "condition 'heat' for cell 3.png, which is in the data set with 'control'" in said


def test_a_pattern_fills_the_table_of_the_new(root: Path, more: Path) -> None:
    carry_out(plan(root, more, pattern="cell (?P<replicate>[0-9])"))
    rows = sample_rows(root / "data" / "raw" / "mine" / "samples.csv")
    assert rows[1] == ["cell 1.png", ""]
    assert rows[9:] == [["cell 11.png", "1"], ["cell 12.png", "1"]]


def test_the_data_set_s_own_pattern_is_used(tmp_path: Path, more: Path) -> None:
    own = "cell (?P<replicate>[0-9])"
    root = make_project(tmp_path / "named", with_dvc=False, pattern=own)
    addition = plan(root, more)
    assert addition.merged.samples is None
    assert addition.trial is not None
    assert set(addition.trial.manifest["replicate"]) == set("12345678")
    assert plan(root, more, pattern=own).merged.samples is None
    (more / "new.csv").write_text("image,condition\ncell 11,a\ncell 12,b\n")
    assert "leave out --samples" in problems(root, more, samples="new.csv")[0]
    write_pair(more, "nameless", picture(40))
    assert "the pattern does not fit its name" in problems(root, more)[0]


def test_how_files_are_read_is_the_data_set_s(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", with_dvc=False, channel=0, pixel_size_um=0.25)
    folder = tmp_path / "more"
    write_pair(folder, "new", picture(50))
    addition = plan(root, folder)
    assert addition.trial is not None
    row = addition.trial.manifest.set_index("image_id").loc["new"]
    assert row["pixel_size_um"] == 0.25


def test_a_change_between_plan_and_deed_is_noticed(root: Path, more: Path) -> None:
    addition = plan(root, more)
    (root / "data" / "raw" / "mine" / "images" / "cell 1.png").write_bytes(b"changed meanwhile")
    before = tree(root)
    with pytest.raises(InputError, match="Give the command again"):
        carry_out(addition)
    assert tree(root) == before


def test_a_killed_placing_is_tidied_up(root: Path, more: Path) -> None:
    raw = root / "data" / "raw" / "mine"
    # Killed between its two renames: no process has this id.
    raw.rename(raw.with_name(".mine.old-4194305"))
    (raw.with_name(".mine.new-4194305")).mkdir()
    carry_out(plan(root, more))
    assert len(listing(root, "mine").images) == 10
    assert [path.name for path in raw.parent.iterdir()] == ["mine"]


def test_one_commit_of_the_data_and_of_nothing_else(versioned: Path, more: Path) -> None:
    (versioned / "params.yaml").write_text((versioned / "params.yaml").read_text() + "\n")
    (versioned / "notes.txt").write_text("staged by the user")
    run(versioned, "git", "add", "notes.txt")
    outcome = carry_out(plan(versioned, more))
    assert outcome.commit
    assert outcome.files == ("data/raw/mine.dvc", "splits/mine.csv")
    assert run(versioned, "git", "status", "--short") == "A  notes.txt\n M params.yaml\n"
    said = run(versioned, "git", "show", "--format=%B", "--name-only")
    assert said.startswith("Data set mine: 2 added\n\n10 images now.\n\nAdded:\n  cell 11\n")
    assert said.endswith("data/raw/mine.dvc\nsplits/mine.csv\n")
    assert not dvc(versioned, "status", "data/raw/mine.dvc", "--quiet")
    assert len(listing(versioned, "mine", "HEAD").images) == 10


@pytest.mark.parametrize("step", ["dvc", "git"])
def test_interrupted_it_is_finished_by_the_same_command(
    versioned: Path, more: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target = (adding.source, "add") if step == "dvc" else (adding, "commit_files")
        patch.setattr(*target, killed)
        with pytest.raises(KeyboardInterrupt):
            carry_out(plan(versioned, more))
    again = plan(versioned, more)
    assert again.unfinished
    assert not again.merged
    outcome = carry_out(again)
    assert outcome.commit
    assert "2 added" in run(versioned, "git", "log", "-1", "--format=%s")
    assert not plan(versioned, more).unfinished


def test_changes_of_other_images_are_not_swept_along(versioned: Path, more: Path) -> None:
    (versioned / "data" / "raw" / "mine" / "masks" / "cell 3.png").unlink()
    with pytest.raises(InputError, match=r"changed since DVC saw it last: masks/cell 3\.png"):
        plan(versioned, more)


def test_dvc_s_cache_is_not_written_through_its_links(versioned: Path, tmp_path: Path) -> None:
    dvc(versioned, "config", "cache.type", "symlink")
    dvc(versioned, "checkout", "--relink", "--quiet")
    raw = versioned / "data" / "raw" / "mine"
    assert (raw / "masks" / "cell 2.png").is_symlink()
    cache = tree(versioned / ".dvc" / "cache")
    write_pair(tmp_path / "corrected", "cell 2", picture(2), mask(3))
    carry_out(plan(versioned, tmp_path / "corrected", relabel=True), with_commit=False)
    assert cache.items() <= tree(versioned / ".dvc" / "cache").items()
    assert (raw / "masks" / "cell 2.png").read_bytes() == (
        tmp_path / "corrected" / "masks" / "cell 2.png"
    ).read_bytes()
    commit_all(versioned, "by hand")
    assert listing(versioned, "mine", "HEAD").files == listing(versioned, "mine").files


def test_without_a_commit_it_is_said_what_to_commit(
    versioned: Path, more: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addition = plan(versioned, more)
    run(versioned, "git", "rm", "--quiet", "--cached", "splits/mine.csv")
    run(versioned, "git", "commit", "--quiet", "-m", "no registry yet")
    for key in IDENTITY:
        monkeypatch.delenv(key)
    # A git that knows nobody, whoever runs this test.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    run(versioned, "git", "config", "user.useConfigOnly", "true")
    outcome = carry_out(addition)
    assert not outcome.commit
    assert "user.useConfigOnly" in outcome.commit.reason or "tell me who you are" in (
        outcome.commit.reason
    )
    assert outcome.files == ("data/raw/mine.dvc", "splits/mine.csv")
    # Nothing is left staged.
    assert run(versioned, "git", "diff", "--cached", "--name-only") == ""
    for key, value in IDENTITY.items():
        monkeypatch.setenv(key, value)
    again = carry_out(plan(versioned, more))
    assert again.commit
    assert again.files == ("data/raw/mine.dvc", "splits/mine.csv")


# One process for all three: each by itself would spend seconds on its imports.
SCRIPTS = """\
import runpy
for name in ("ingest", "validate", "split"):
    try:
        runpy.run_path("{folder}/" + name + ".py", run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
"""
STAGES = """\
stages:
  split:
    cmd: {python} scripts.py
    deps: [data/raw/mine, splits/mine.csv]
    outs: [data/dataset, data/validated, data/split]
"""


def with_stage(root: Path) -> None:
    """The project's own scripts up to `split`, as a stage of DVC."""
    scripts = SCRIPTS.format(folder=PARAMS.parent / "pipelines")
    (root / "scripts.py").write_text(scripts, encoding="utf-8")
    (root / "dvc.yaml").write_text(STAGES.format(python=sys.executable), encoding="utf-8")
    commit_all(root, "stages")


def test_the_sides_of_new_images_are_kept_at_once(versioned: Path, more: Path) -> None:
    with_stage(versioned)
    registry = versioned / "splits" / "mine.csv"
    # A plan, as with --dry-run, assigns nothing.
    addition = plan(versioned, more)
    assert len(pd.read_csv(registry)) == 0
    carry_out(addition)
    rows = pd.read_csv(registry).set_index("image_id")["set"]
    assert addition.trial is not None
    assert rows.to_dict() == dict(addition.trial.sides)
    assert {"cell 11", "cell 12"} <= set(rows.index)
    assert run(versioned, "git", "status", "--short") == ""
    before = registry.read_bytes()
    dvc(versioned, "repro", "--quiet", "split")
    roles = pd.read_csv(versioned / "data" / "split" / "roles.csv").set_index("image_id")["set"]
    assert roles.to_dict() == rows.to_dict()
    assert registry.read_bytes() == before
    # And no image that was there moves when the next ones come.
    carry_out(plan(versioned, write_folder(more.parent / "later", range(13, 23))))
    after = pd.read_csv(registry).set_index("image_id")["set"]
    assert len(after) == 20
    assert after[rows.index].to_dict() == rows.to_dict()


def test_a_side_that_is_given_meanwhile_is_not_lost(root: Path, more: Path) -> None:
    addition = plan(root, more)
    assign(root, addition, SIDES)
    before = tree(root)
    with pytest.raises(InputError, match="Give the command again"):
        carry_out(addition)
    assert tree(root) == before
    carry_out(plan(root, more))
    rows = pd.read_csv(root / "splits" / "mine.csv").set_index("image_id")["set"]
    assert [rows[f"cell {number}"] for number in range(1, 9)] == SIDES
    assert len(rows) == 10


def test_sides_are_not_given_while_split_gives_some(root: Path, more: Path) -> None:
    addition = plan(root, more)
    (root / ".dvc/tmp").mkdir(parents=True)
    (root / ".dvc/config").touch()
    place, info = root / "splits" / "mine.csv", {"pid": os.getpid(), "cmd": "dvc repro split"}
    (root / ".dvc/tmp/rwlock").write_text(json.dumps({"read": {str(place): [info]}}))
    before = tree(root / "data"), place.read_bytes()
    with pytest.raises(InputError, match=r"mine\.csv: is in use by `dvc repro split`"):
        carry_out(addition)
    assert (tree(root / "data"), place.read_bytes()) == before


def test_a_data_set_that_is_too_small_is_not_assigned(root: Path, tmp_path: Path) -> None:
    raw = root / "data" / "raw" / "mine"
    for number in range(2, 9):
        for kind in ("images", "masks"):
            (raw / kind / f"cell {number}.png").unlink()
    carry_out(plan(root, write_folder(tmp_path / "one", range(11, 12))))
    assert len(pd.read_csv(root / "splits" / "mine.csv")) == 0


def test_an_option_of_the_import_is_explained(root: Path, more: Path) -> None:
    soft = np.linspace(0, 255, 48 * 48).reshape(48, 48).astype(np.uint8)
    write_pair(more, "soft", picture(23), soft)
    (said,) = problems(root, more)
    settings = root / "data" / "raw" / "mine" / "dataset.yaml"
    assert f"--mask-rule is an option of `sgseg import`: {settings} says it" in said


def test_words() -> None:
    assert names_line(["a", "b", "c"], 2) == "a, b and 1 more"
    assert table([["name", "n"], ["a", 10]]) == ["name   n", "a     10"]
    many = DataDifference(new=tuple(f"cell {n}" for n in range(21)), relabelled=("a",))
    expected = "Data set mine: 21 added, 1 relabelled\n\n30 images now.\n\nRelabelled:\n  a\n"
    assert commit_message("mine", many, n_images=30) == expected
