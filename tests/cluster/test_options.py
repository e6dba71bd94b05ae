from __future__ import annotations

from pathlib import Path

import pytest

from sgseg.cli import parser
from sgseg.errors import InputError

GIVEN = ("images", "--out", "out")


@pytest.mark.parametrize("command", ["predict", "quantify"])
def test_here_unless_asked_for(command: str) -> None:
    parsed = parser().parse_args([command, *GIVEN])
    assert (parsed.workers, parsed.scheduler) == (1, None)


@pytest.mark.parametrize(
    "wrong", [["--workers", "0"], ["--workers", "2", "--scheduler", "tcp://host:8786"]]
)
def test_wrong_options(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["predict", *GIVEN, *wrong])
    assert "--workers" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "quantify"])
@pytest.mark.parametrize("option", [["--workers", "2"], ["--scheduler", "tcp://host:8786"]])
def test_a_server_computes_by_itself(command: str, option: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    given = [command, str(tmp_path / "a.tif"), "--out", str(tmp_path / "out"), *option]
    parsed = parser().parse_args([*given, "--url", "http://127.0.0.1:1"])
    with pytest.raises(InputError, match=f"{option[0]}: the server computes"):
        parsed.run(parsed)
