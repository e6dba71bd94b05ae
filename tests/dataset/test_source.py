"""One line of params.yaml, and DVC."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sgseg.dataset.source import track, use_source
from sgseg.errors import InputError

PARAMS = """\
# Every tunable value.

other:
  source: not this one

data: # which images
  # a comment
  folds: [1, 2]
  source: simulated # a folder under data/raw: `simulated`, or a name

train:
  source: nor this one
"""


def params(tmp_path: Path, text: str = PARAMS) -> Path:
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_one_value_changes_and_nothing_else(tmp_path: Path, newline: str) -> None:
    text = PARAMS.replace("\n", newline)
    path = params(tmp_path, text)
    use_source("mine", params=path)
    assert path.read_bytes().decode() == text.replace("source: simulated", "source: mine")
    use_source("simulated", params=path)
    assert path.read_bytes().decode() == text


@pytest.mark.parametrize("old", ["'a b # c'", '"x"', "x", "x#y"])
def test_any_old_value(tmp_path: Path, old: str) -> None:
    path = params(tmp_path, f"data:\n  source: {old} # why\n")
    use_source("mine", params=path)
    assert path.read_text() == "data:\n  source: mine # why\n"


@pytest.mark.parametrize("name", ["1", "true", "1e3", "2024-01-01", "0x1F", "no"])
def test_a_name_that_yaml_takes_for_something_else_is_quoted(tmp_path: Path, name: str) -> None:
    path = params(tmp_path)
    use_source(name, params=path)
    assert yaml.safe_load(path.read_text())["data"]["source"] == name


@pytest.mark.parametrize(
    "text", ["train:\n  source: a\n", "data: {source: a}\n", "data:\n  deep:\n    source: a\n", ""]
)
def test_no_such_line(tmp_path: Path, text: str) -> None:
    path = params(tmp_path, text)
    with pytest.raises(InputError, match=r"Set data.source to mine by hand"):
        use_source("mine", params=path)
    assert path.read_text() == text


def test_no_such_file_and_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        use_source("mine", params=tmp_path / "none.yaml")
    with pytest.raises(InputError, match="not YAML"):
        use_source("mine", params=params(tmp_path, "a: [\n"))


def dvc(root: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, check=True, capture_output=True
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "data" / "raw" / "mine" / "images"
    images.mkdir(parents=True)
    (images / "1 (10) é.png").write_bytes(b"pixels")
    return images.parent


def test_without_dvc_a_message_says_what_to_do(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert track(folder, root=tmp_path) is False
    assert "dvc add data/raw/mine" in caplog.text


def test_dvc_keeps_versions_in_a_local_folder(tmp_path: Path, folder: Path) -> None:
    """Add, change, add again, push, lose everything, pull: the files come back."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    remote = tmp_path.parent / f"{tmp_path.name}-remote"
    dvc(tmp_path, "init")
    dvc(tmp_path, "remote", "add", "--default", "lab", str(remote))
    file = folder / "images" / "1 (10) é.png"
    pointer = tmp_path / "data" / "raw" / "mine.dvc"
    assert track(folder, root=tmp_path) is True
    first = pointer.read_text()
    file.write_bytes(b"other pixels")
    assert track(folder, root=tmp_path) is True
    assert pointer.read_text() != first
    assert (tmp_path / "data" / "raw" / ".gitignore").read_text() == "/mine\n"
    dvc(tmp_path, "push")
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    dvc(tmp_path, "pull")
    assert file.read_bytes() == b"other pixels"


def test_a_refusal_of_dvc_is_passed_on(tmp_path: Path, folder: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    dvc(tmp_path, "init")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: echo\n    outs:\n      - data/raw/mine\n"
    )
    with pytest.raises(InputError, match="run `dvc add data/raw/mine`") as caught:
        track(folder, root=tmp_path)
    assert "DVC refused it" in str(caught.value)
    assert folder.is_dir()
