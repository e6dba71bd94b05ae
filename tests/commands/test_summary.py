"""`sgseg summary`: the table that a run ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sgseg.cli import parser
from sgseg.commands.summary import SCORES
from sgseg.errors import InputError
from sgseg.evaluation.table import HEADLINE


def summary(folder: Path) -> int:
    arguments = parser().parse_args(["summary", "--report", str(folder)])
    return int(arguments.run(arguments))


def write(folder: Path, metrics: Any) -> None:
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")


def test_the_scores_and_where_the_pictures_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        tmp_path,
        {
            "cv": {"object_f1": {"mean": 0.8125, "std": 0.0625}},
            "out_of_fold": {"object_f1": {"value": 0.8, "low": 0.75, "high": 0.875}},
            "baseline_out_of_fold": {"object_f1": {"value": 0.7}},
            "label_ceiling": {"object_f1": 0.9, "iou": 0.5, "pairs": 3},
        },
    )
    assert summary(tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if line.startswith("object F1")]
    assert row.split()[2:] == ["0.812", "±", "0.062", "0.800", "[0.75,", "0.88]", "0.700", "0.900"]
    (row,) = [line for line in lines if line.startswith(HEADLINE["foreground_iou"])]
    assert row.split()[-1] == "0.500"
    assert str(tmp_path / "report.html") in "\n".join(lines)
    assert "mlflow ui" in lines[-1]


def test_its_scores_are_those_of_the_report() -> None:
    assert set(SCORES) <= set(HEADLINE)


def test_an_evaluation_that_says_little_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {})
    assert summary(tmp_path) == 0
    assert capsys.readouterr().out.lstrip().startswith("score")


@pytest.mark.parametrize("content", [None, "", "[1]", "{"])
def test_no_evaluation(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(InputError, match=r"metrics\.json: .*dvc repro"):
        summary(tmp_path)


def test_runs_on_a_server_are_named_without_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path, {"cv": {}})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@lab:5000")
    summary(tmp_path)
    said = capsys.readouterr().out
    assert "lab:5000" in said
    assert "secret" not in said
