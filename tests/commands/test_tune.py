"""`sgseg tune`: what it asks of the stage."""

from __future__ import annotations

import pytest

from sgseg.cli import parser
from sgseg.tuning import stage
from sgseg.tuning.stage import Wish


@pytest.mark.parametrize(
    ("arguments", "wish"),
    [
        ([], Wish()),
        (["--workers", "3", "--trials", "7"], Wish(trials=7, workers=3)),
        (["--budget", "full"], Wish(budget="full")),
        (["--storage", "postgresql://me@lab/db"], Wish(storage="postgresql://me@lab/db")),
    ],
)
def test_options(arguments: list[str], wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes: list[Wish] = []
    monkeypatch.setattr(stage, "tune", wishes.append)
    parsed = parser().parse_args(["tune", *arguments])
    assert parsed.run(parsed) == 0
    assert wishes == [wish]


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--trials", "-1"], ["--budget", "big"]])
def test_wrong_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["tune", *arguments])
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err
