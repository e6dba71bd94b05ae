"""`sgseg compare`: what it prints, writes and refuses."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage

from sgseg.commands import compare as command
from sgseg.comparison.compare import compare, conditions
from sgseg.comparison.text import all_notes, said, same_data
from sgseg.errors import InputError

from .conftest import Lab
from .lab import A, B, Image, params, write


def call(lab: Lab | Path, *arguments: str) -> int:
    main = argparse.ArgumentParser()
    command.add_parser(main.add_subparsers())
    root = lab if isinstance(lab, Path) else lab.root
    given = main.parse_args(["compare", *arguments, "--root", str(root)])
    return int(given.run(given))


def test_the_page(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(lab, "aaaa111", "bbbb222") == 0
    page = capsys.readouterr().out
    assert "4 images in 4 groups, out of fold" in page
    # A: TP 19, FP 7, FN 11. B: TP 23, FP 4, FN 7.
    (row,) = [line for line in page.splitlines() if line.startswith("object F1")]
    assert row.split()[2:5] == [f"{38 / 56:.3f}", f"{46 / 57:.3f}", f"{46 / 57 - 38 / 56:+.3f}"]
    assert "By image: B is better in 2, A in 1, equal in 1." in page
    most = page.split("Images that differ most")[1].splitlines()
    assert most[3].split() == ["e1", "1.000", "0.000", "-1.000"]
    assert "w2" not in page  # equal
    differs = page.split("What differs")[1]
    assert "train.epochs" in differs
    assert "evaluate.object_iou" not in differs
    assert "the same" in differs
    assert "4 groups are few" in page


def test_for_programs(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    call(lab, "aaaa111", "bbbb222", "--json", "--score", "foreground_iou", "--part", "test")
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["part"], found["score"]) == (2, "test", "foreground_iou")
    # t1: 40 / 60 and 1; t2: 30 / 70 and 20 / 80.
    gains = {row["image_id"]: row["difference"] for row in found["differences"]}
    assert gains == {"t1": pytest.approx(1 / 3, abs=1e-6), "t2": pytest.approx(-0.178571)}
    expected = (1 / 3 + 0.25 - 3 / 7) / 2
    assert found["scores"]["foreground_iou"]["difference"] == pytest.approx(expected, abs=1e-6)
    assert found["verdict"] == "tie"
    assert found["parameters"] == {"train.epochs": ["60", "10"]}
    assert found["a"]["run_id"] == lab.a


def test_files(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = lab.root / "data/dataset/manifest.csv"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text("image_id,condition\nw1,control\nw2,$arsenite$\nw3,control\n")
    try:
        call(lab, "aaaa111", "bbbb222", "--out", str(tmp_path / "out"))
    finally:
        manifest.unlink()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"comparison.png", "by_image.csv", "scores.csv"}
    said_of = capsys.readouterr().out
    assert all(f"{tmp_path / 'out' / name}\n" in said_of for name in names)
    images = pd.read_csv(tmp_path / "out/by_image.csv").set_index("image_id")
    assert images.loc["w1", "condition"] == "control"
    assert images.loc["w3", "difference"] == pytest.approx(16 / 20 - 10 / 20)
    scores = pd.read_csv(tmp_path / "out/scores.csv").set_index("score")
    assert scores.loc["object_f1", "a"] == pytest.approx(38 / 56, abs=1e-6)
    with PillowImage.open(tmp_path / "out/comparison.png") as picture:
        assert picture.size[0] > 1000
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20  # something is drawn


def test_conditions_are_of_use_only_where_there_are_two(tmp_path: Path) -> None:
    assert conditions(tmp_path).empty
    manifest = tmp_path / "data/dataset/manifest.csv"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("image_id,condition\nw1,x\nw2,x\n")
    assert conditions(tmp_path).empty
    manifest.write_text("image_id,condition\nw1,x\nw2,y\n")
    assert dict(conditions(tmp_path)) == {"w1": "x", "w2": "y"}


def test_folds(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    call(lab, "aaaa111/1", "bbbb222/1")
    assert "2 images in 2 groups" in capsys.readouterr().out
    with pytest.raises(InputError, match="no image in common"):
        call(lab, "aaaa111/0", "aaaa111/1")
    with pytest.raises(InputError, match="a fold's own network has no scores per test image"):
        call(lab, "aaaa111/1", "bbbb222/1", "--part", "test")


def test_other_data_is_said(tmp_path: Path) -> None:
    old = write(tmp_path / "old", "aaaa111", A, data="d")
    new = write(tmp_path / "new", "bbbb222", [*B, Image("w4", 1, 0, 0)], data="e")
    found = compare(str(old), str(new), params(), part="out_of_fold", score="object_f1")
    assert not same_data(found.a, found.b)
    notes = "\n".join(all_notes(found))
    assert "1 left out: 1 not in the data of A (w4)." in notes
    assert "The data sets differ: images are taken for the same if name, area" in notes


def test_the_same_in_all_images(tmp_path: Path) -> None:
    sides = [str(write(tmp_path / name, "aaaa111", A)) for name in "ab"]
    found = compare(*sides, params(), part="out_of_fold", score="object_f1")
    assert "Every image has the same counts" in "\n".join(all_notes(found))
    assert said(found).startswith("A tie in object F1: the interval of B - A includes 0.")


def test_granules_found_at_another_iou_are_not_compared(tmp_path: Path) -> None:
    a = write(tmp_path / "a", "aaaa111", A)
    b = write(tmp_path / "b", "bbbb222", B, evaluate__object_iou=0.5)
    with pytest.raises(InputError, match=r"at an IoU of 0\.3, B at 0\.5"):
        compare(str(a), str(b), params(), part="out_of_fold", score="object_f1")
    found = compare(str(a), str(b), params(), part="out_of_fold", score="foreground_iou")
    names = {row.name for row in found.result.rows}
    assert "count_error" in names
    assert "object_recall" not in names
    assert "scores of granules are left out" in "\n".join(all_notes(found))


@pytest.mark.parametrize("runs", [[], ["aaaa111"], ["a", "b", "c"], ["a", "b", "--views"]])
def test_two_runs_are_needed(lab: Lab, runs: list[str]) -> None:
    with pytest.raises(InputError, match="expected two runs, or --views alone"):
        call(lab, *runs)


def test_a_score_that_nobody_knows(lab: Lab) -> None:
    with pytest.raises(InputError, match="'iou' is not known; expected one of object_f1"):
        call(lab, "aaaa111", "bbbb222", "--score", "iou")


def test_the_address_of_the_two(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    call(lab, "aaaa111", "bbbb222", "--ui", "--json")
    address = json.loads(capsys.readouterr().out)["ui"]
    assert address.startswith("http://127.0.0.1:5000/#/compare-runs?")
    asked = parse_qs(urlsplit(urlsplit(address).fragment).query)
    assert json.loads(asked["runs"][0]) == [lab.a, lab.b]
    assert len(json.loads(asked["experiments"][0])) == 1


def test_a_folder_has_no_address(lab: Lab, tmp_path: Path) -> None:
    folder = write(tmp_path, "dddd444", B)
    with pytest.raises(InputError, match=r"Leave out --ui"):
        call(lab, "aaaa111", str(folder), "--ui")
