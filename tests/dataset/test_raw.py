"""dataset.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgseg.dataset.raw import RawSettings, make_settings, read_settings, write_settings
from sgseg.errors import InputError


@pytest.mark.parametrize(
    "settings",
    [
        RawSettings(name="a"),
        RawSettings(name="1.b-C_d", channel=2, projection="max", pixel_size_um=0.1, bit_depth=12),
        RawSettings(name="a", channel="G3BP1 µ", masks="roi", pattern=r"(?P<group>\d+)"),
    ],
)
def test_written_and_read_again(tmp_path: Path, settings: RawSettings) -> None:
    write_settings(tmp_path, settings)
    assert read_settings(tmp_path) == settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\ncolour: red\n", "dataset.yaml: colour: unknown key; expected one of name"),
        ("channel: 1\n", "dataset.yaml: name: got None"),
        ("name: a\npixel_size_um: big\n", "pixel_size_um: got 'big'; expected micrometres"),
        ("name: a\nchannel: true\n", "channel: got True"),
        ("", "empty or no mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "dataset.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_settings(tmp_path)
    assert said in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sgseg import"):
        read_settings(tmp_path)


def test_every_wrong_value_is_named() -> None:
    with pytest.raises(InputError) as caught:
        make_settings(name="a b", bit_depth=99)
    assert [problem.where for problem in caught.value.problems] == ["bit_depth", "name"]
