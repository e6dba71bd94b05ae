"""`sgseg import` as a user types it."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgseg.commands import import_data
from sgseg.errors import InputError


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    import_data.add_parser(parser.add_subparsers())
    return parser.parse_args(["import", *arguments])


@pytest.fixture
def lab(tmp_path: Path) -> list[str]:
    pixels = np.zeros((9, 9), dtype=np.uint8)
    pixels[2:4, 2:4] = 255
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1 (1).png")
    (tmp_path / "params.yaml").write_text("data:\n  source: simulated # which\n")
    given = ["--images", "images", "--masks", "masks", "--name", "mine"]
    return [str(tmp_path), *given, "--root", str(tmp_path), "--no-dvc"]


def test_import_and_use(tmp_path: Path, lab: list[str]) -> None:
    arguments = parse(*lab, "--use", "--pixel-size-um", "0.2")
    assert arguments.run(arguments) == 0
    assert (tmp_path / "data" / "raw" / "mine" / "images" / "1 (1).png").is_file()
    assert (tmp_path / "params.yaml").read_text() == "data:\n  source: mine # which\n"
    assert (tmp_path / "splits" / "mine.csv").read_text() == "image_id,pixel_hash,group,set\n"


def test_importing_again_keeps_the_assignment_to_the_test_set(
    tmp_path: Path, lab: list[str]
) -> None:
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "mine.csv").write_text("kept")
    arguments = parse(*lab)
    arguments.run(arguments)
    assert (tmp_path / "splits" / "mine.csv").read_text() == "kept"


def test_without_use_the_source_stays(tmp_path: Path, lab: list[str]) -> None:
    arguments = parse(*lab)
    arguments.run(arguments)
    assert "simulated" in (tmp_path / "params.yaml").read_text()


def test_a_refused_import_changes_no_source(tmp_path: Path, lab: list[str]) -> None:
    (tmp_path / "images" / "1 (1).png").write_bytes(b"")
    arguments = parse(*lab, "--use")
    with pytest.raises(InputError):
        arguments.run(arguments)
    assert "simulated" in (tmp_path / "params.yaml").read_text()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("text", "channel"), [("1", 1), ("G3BP1", "G3BP1"), ("green", "green")])
def test_channel_by_number_or_name(
    monkeypatch: pytest.MonkeyPatch, lab: list[str], text: str, channel: int | str
) -> None:
    seen = {}
    monkeypatch.setattr(
        "sgseg.dataset.importer.import_folder", lambda *_, **options: seen.update(options)
    )
    arguments = parse(*lab, "--channel", text)
    arguments.run(arguments)
    assert seen["channel"] == channel


def test_table_and_pattern_exclude_each_other(
    lab: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(*lab, "--samples", "a.csv", "--pattern", "(?P<group>a)")
    assert "not allowed with" in capsys.readouterr().err
