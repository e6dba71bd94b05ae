"""A trial's own process: fold by fold to a result, whatever happens."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sgseg.config import Params
from sgseg.tuning.job import Job
from sgseg.tuning.trial import HISTORY, RESULT, FoldScore, Result, run

from . import fake
from .fake import changed, job_of, params_of, value_of


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    return params_of(tmp_path_factory.mktemp("params"))


def carry_out(folder: Path, job: Job, *, go_on: Any = lambda score: True) -> Result:
    folder.mkdir(exist_ok=True)
    result = run(job, folder, go_on)
    assert json.loads((folder / RESULT).read_text()) == json.loads(json.dumps(vars(result)))
    return result


def test_a_trial_that_is_carried_to_its_end(tmp_path: Path, params: Params) -> None:
    job, value = job_of(tmp_path, params=params), value_of(params)
    seen: list[FoldScore] = []
    result = carry_out(tmp_path / "0", job, go_on=lambda score: seen.append(score) or True)
    assert [(score.fold, score.value) for score in seen] == [(0, value), (1, value - 0.01)]
    assert result.state == "COMPLETE"
    assert result.value == value - 0.01
    assert result.scores == {"object_f1": value - 0.01, "roc_auc": None}
    assert result.folds == {"0": {"object_f1": value}, "1": {"object_f1": value - 0.01}}
    with (tmp_path / "0" / HISTORY).open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["fold"], row["epoch"], row["loss"]) for row in rows] == [
        ("0", "1", "1.0"),
        ("0", "2", "0.5"),
        ("1", "1", "1.0"),
        ("1", "2", "0.5"),
    ]


def test_a_trial_that_is_given_up(tmp_path: Path, params: Params) -> None:
    job = job_of(tmp_path, params=params)
    result = carry_out(tmp_path / "0", job, go_on=lambda score: False)
    assert result.state == "PRUNED"
    assert result.value == value_of(params)
    assert list(result.folds) == ["0"]
    # After the last fold there is nothing to give up.
    result = carry_out(tmp_path / "1", job, go_on=lambda score: score.fold == 0)
    assert result.state == "COMPLETE"


@pytest.mark.parametrize(
    ("objective", "depth", "ends"),
    [
        ("fails", 1, "FAIL: ValueError: no such network"),
        ("fails", 4, "FAIL: the score after fold 0 is nan"),
        ("broken", 3, "FAIL: RuntimeError: out of order"),
        ("refuses", 3, "REFUSED: FileNotFoundError: [Errno 2] No such file or directory"),
        ("nothing", 3, "FAIL: AttributeError"),
    ],
)
def test_a_trial_that_fails(
    tmp_path: Path, params: Params, objective: str, depth: int, ends: str
) -> None:
    recipe = changed(params, network__depth=depth)
    result = carry_out(tmp_path / "0", job_of(tmp_path, params=recipe, objective=objective))
    assert f"{result.state}: {result.error}".startswith(ends)
    assert result.value is None
    assert (tmp_path / "0" / HISTORY).read_text().startswith("fold,epoch")


def test_a_cost_that_is_asked_for(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_cost(job: Job, folder: Path) -> Iterator[FoldScore]:
        yield FoldScore(fold=0, value=0.5)

    monkeypatch.setattr(fake, "without_cost", without_cost, raising=False)
    recipe = changed(params, tune__cost="multiply_adds")
    job = job_of(tmp_path, params=recipe, objective="without_cost")
    assert carry_out(tmp_path / "0", job).error == "multiply_adds after fold 0 is None"
    assert carry_out(tmp_path / "1", job_of(tmp_path, params=recipe)).cost == 2**3
