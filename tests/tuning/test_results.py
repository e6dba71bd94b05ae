"""What a search leaves: recipe, tables, report, importances, and what is drawn."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from PIL import Image

from sgseg.config import Bounds, Choice, Range, Variants, load_params
from sgseg.tuning.axes import Axis, axes_of
from sgseg.tuning.decision import decide
from sgseg.tuning.importances import importances
from sgseg.tuning.job import Job
from sgseg.tuning.ledger import slots
from sgseg.tuning.record import read_trials
from sgseg.tuning.report import Sources, without_search
from sgseg.tuning.results import write_recipe, write_results
from sgseg.tuning.study import all_slots, open_study
from sgseg.tuning.worker import Worker

from .fake import job_of
from .test_decision import trial

pytestmark = pytest.mark.usefixtures("in_this_process")
NO_FIGURES = "sgseg.tuning.results._write_figures"
FIGURES = ["optimisation_history", "importances", "slice", "parallel_coordinates"]


def results(folder: Path, *, sources: Sources | None = None, **options: Any) -> tuple[Job, Path]:
    """Search, and write what it leaves."""
    job = job_of(folder, **options)
    study = open_study(job)
    Worker(job, study).run()
    out, trials = folder / "out", read_trials(job, study)
    out.mkdir()
    write_results(
        out,
        job,
        slots=all_slots(study),
        trials=trials,
        decision=decide(trials, job.params.tune.min_gain),
        sources=sources or Sources((), job.searched, ()),
    )
    return job, out


def test_everything_a_search_leaves(tmp_path: Path) -> None:
    _, out = results(
        tmp_path,
        trials=8,
        objective="fails",
        space={"network.depth": {"start": 3, "low": 3, "high": 4}},
        sources=Sources(("network.dropout",), ("network.depth",), ("network.width",)),
    )
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "number",
        "state",
        "value",
        "cost",
        "seconds",
        "network.depth",
        "error",
    ]
    for row in rows:
        content = json.loads((out / "trials" / f"{row['number']}.json").read_text())
        assert (row["state"], row["error"]) == (content["state"], content["error"])
        assert content["params"] == {"network.depth": int(row["network.depth"])}
        assert (out / "trials" / f"{row['number']}.csv").read_text().startswith("fold,epoch")
    assert {row["state"] for row in rows} == {"COMPLETE", "FAIL"}
    report = (out / "report.md").read_text()
    assert "| network.dropout | 0 | written in params.yaml, not searched |" in report
    assert "| network.depth | 3 | searched |" in report
    assert "| network.width | 16 | not searched, stays at its start |" in report
    assert "the score after fold 0 is nan" in report
    assert not (out / "pareto.png").exists()
    for name in FIGURES:
        assert f"({name}.png)" in report
        # Not blank.
        assert np.asarray(Image.open(out / f"{name}.png").convert("L")).std() > 5


def test_the_recipe_is_what_params_yaml_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NO_FIGURES, lambda *arguments: None)
    _, out = results(tmp_path, trials=6, min_gain=0.0)
    best = max(
        (json.loads(path.read_text()) for path in (out / "trials").glob("*.json")),
        key=lambda content: float(content["value"]),
    )
    params = load_params(tmp_path / "params.yaml", tuned=out / "recipe.yaml")
    assert params.train.learning_rate == best["params"]["train.learning_rate"]
    assert params.network.depth == best["params"]["network.depth"]
    assert params.train.loss.name == best["params"]["train.loss.name"]
    assert best["number"] > 0


def test_a_start_that_stays_is_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NO_FIGURES, lambda *arguments: None)
    _, out = results(tmp_path, trials=4, min_gain=5.0)
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    assert recipe["train"]["learning_rate"] == 0.003
    assert recipe["train"]["loss"] == {"name": "bce_dice", "positive_weight": 1.0}


def test_values_that_stay_are_a_comment_of_the_recipe(tmp_path: Path) -> None:
    write_recipe(tmp_path, {"train.x": 1}, {"network.width": 16})
    text = (tmp_path / "recipe.yaml").read_text()
    assert yaml.safe_load(text) == {"train": {"x": 1}}
    assert "#   width: 16\n" in text
    write_recipe(tmp_path, {}, {"network.width": 8})
    assert yaml.safe_load((tmp_path / "recipe.yaml").read_text()) == {}


def test_a_second_objective_has_its_front(tmp_path: Path) -> None:
    _, out = results(tmp_path, trials=6, cost="multiply_adds")
    report = (out / "report.md").read_text()
    assert "| trial | object F1 | multiply-adds per pixel |" in report
    assert "no trial is given up early" in report
    assert (out / "pareto.png").is_file()
    with (out / "trials.csv").open() as file:
        costs = {float(row["cost"]) for row in csv.DictReader(file)}
    assert costs <= {2.0, 4.0, 8.0, 16.0, 32.0}


def test_a_single_trial_has_no_importances(tmp_path: Path) -> None:
    _, out = results(tmp_path, trials=1)
    assert json.loads((out / "importances.json").read_text()) == {}
    assert (out / "importances.png").is_file()
    assert "Of 1 trials with a score" in (out / "report.md").read_text()


def test_nothing_was_searched() -> None:
    text = without_search(Sources((), (), ("network.width",)), {"network.width": 16}, "no reason")
    assert "No search was run: no reason." in text
    assert "| network.width | 16 | not searched, stays at its start |" in text


def study_of(score: Callable[[float, float], list[float]], n: int) -> optuna.Study:
    """A study whose trials report these scores; those below 0.5 after the first are given up."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(n):
        trial = study.ask()
        scores = score(trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1))
        trial.report(scores[0], 0)
        if scores[0] < 0.5:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, scores[-1])
    return study


def test_importances_are_those_of_what_matters() -> None:
    found = importances(slots(study_of(lambda x, y: [1 + x + 0.1 * y], 40).trials))
    assert found.n_trials == 40
    # x + 0.1 y: variances as 1 to 0.01.
    assert found.shares["x"] > 0.9
    assert sum(found.shares.values()) == pytest.approx(1.0)


def test_importances_see_trials_that_were_given_up() -> None:
    # x alone decides the first fold; of those that go on x has nothing left to say.
    study = study_of(lambda x, y: [float(x > 0.5), y], 60)
    states = {trial.state.name for trial in study.trials}
    assert states == {"COMPLETE", "PRUNED"}
    found = importances(slots(study.trials))
    assert found.n_trials == 60
    assert found.shares["x"] > 0.9


def test_trials_without_any_difference_have_no_importances() -> None:
    found = importances(slots(study_of(lambda x, y: [1.0], 5).trials))
    assert (found.shares, found.n_trials) == ({}, 5)


def test_axes() -> None:
    rate = Axis("rate", low=1e-4, high=1e-2, log=True)
    assert [rate.position(value) for value in (1e-4, 1e-3, 1e-2)] == pytest.approx([0, 0.5, 1])
    assert [label for _, label in rate.ticks()] == ["0.0001", "0.001", "0.01"]
    depth = Axis("depth", low=2, high=4, is_whole=True)
    assert depth.ticks() == [(0.0, "2"), (0.5, "3"), (1.0, "4")]
    kind = Axis("kind", choices=("a", "b", "c"))
    assert kind.position("c") == 2
    assert kind.ticks() == [(0.0, "a"), (0.5, "b"), (1.0, "c")]
    # A single value lies in the middle.
    assert Axis("x", low=3, high=3).position(3) == 0.5
    assert Axis("x", choices=("a",)).fraction("a") == 0.5


def test_an_axis_for_every_parameter_that_a_trial_has(tmp_path: Path) -> None:
    space = {
        "network.depth": Range(start=2, low=1, high=4),
        "network.normalisation": Choice(start="batch", choices=["batch", "none"]),
        "train.loss": Variants(
            start={"name": "dice"},
            choices={
                "dice": {},
                "tversky": {"alpha": Bounds(low=0.1, high=0.9), "beta": 0.5},
                "bce": {"positive_weight": Bounds(low=1.0, high=2.0)},
            },
        ),
    }
    values = {
        "network.depth": 2,
        "network.normalisation": "none",
        "train.loss": {"name": "tversky", "alpha": 0.2, "beta": 0.5},
    }
    found = axes_of(space, [trial(0, 0.5, values=values), trial(1, None, "FAIL")])
    assert [(axis.name, axis.is_conditional) for axis in found] == [
        ("network.depth", False),
        ("network.normalisation", False),
        ("train.loss.name", False),
        ("train.loss.tversky.alpha", True),
    ]
