"""The stage `tune`, from params.yaml and data to reports/tuning."""

from __future__ import annotations

import ast
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from sgseg.config import load_params, sources_of_space
from sgseg.errors import InputError
from sgseg.tracking import read_tuning
from sgseg.tuning import stage
from sgseg.tuning.stage import Wish, sources_of, tune
from sgseg.tuning.study import all_slots, open_study

from .fake import ROOT, params_of

pytestmark = pytest.mark.usefixtures("in_this_process")
BUDGETS = {
    "small": {"trials": 2, "folds": [0, 1], "epochs": 3, "search": ["train.learning_rate"]},
    "full": {"trials": 3, "folds": "all", "epochs": None, "search": "all"},
}
FAKE = "tuning.fake:quadratic"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a data set of one table, in which nothing goes to MLflow."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    (tmp_path / "data" / "dataset").mkdir(parents=True)
    (tmp_path / "data" / "dataset" / "manifest.csv").write_text("image_id\n")
    (tmp_path / "data" / "split").mkdir()
    (tmp_path / "data" / "split" / "roles.csv").write_text("image_id,group\n")
    (tmp_path / "src").symlink_to(ROOT / "src")
    monkeypatch.setattr(stage, "log_tuning", lambda folder: None)
    monkeypatch.setattr("sgseg.tuning.results._write_figures", lambda *arguments: None)
    monkeypatch.setattr("sgseg.tuning.record.log_trial", lambda *arguments: None)
    return tmp_path


def write_params(folder: Path, **tune_settings: Any) -> None:
    params_of(folder, **({"budget": "small", "budgets": BUDGETS} | tune_settings))


def test_a_small_search(project: Path) -> None:
    tune(objective=FAKE)
    report = project / "reports" / "tuning" / "report.md"
    assert "2 trials (2 complete" in report.read_text()
    assert "on folds 0, 1, 3 epochs at most" in report.read_text()
    record = read_tuning(report.parent)
    assert record.name.startswith("tune simulated")
    assert record.ended_ms is not None
    (folder,) = (path for path in (project / "tuning").iterdir() if path.is_dir())
    assert folder.name == record.key[:12]
    recipe = yaml.safe_load((report.parent / "recipe.yaml").read_text())
    assert list(recipe) == ["train"]
    assert list(recipe["train"]) == ["learning_rate"]
    load_params(tuned=report.parent / "recipe.yaml")


def test_what_is_asked_for_on_the_command_line(project: Path) -> None:
    tune(Wish(budget="full", trials=5), objective=FAKE)
    report = (project / "reports" / "tuning" / "report.md").read_text()
    assert "5 trials (5 complete" in report
    epochs = load_params().train.epochs
    assert f"on folds 0, 1, 2, 3, {epochs} epochs at most" in report


def test_a_search_that_is_done_is_not_done_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(objective=FAKE)
    folder = project / "reports" / "tuning"
    before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    monkeypatch.setattr("sgseg.tuning.worker.run_trial", lambda *arguments, **options: 1 / 0)
    tune(objective=FAKE)
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == before


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"budgets": {**BUDGETS, "small": {**BUDGETS["small"], "trials": 3}}}, True),
        ({"min_gain": 0.5}, True),
        ({"budgets": {**BUDGETS, "small": {**BUDGETS["small"], "epochs": 4}}}, False),
        ({"budgets": {**BUDGETS, "small": {**BUDGETS["small"], "folds": [1]}}}, False),
        ({"budgets": {**BUDGETS, "small": {**BUDGETS["small"], "search": "all"}}}, False),
        ({"cost": "multiply_adds"}, False),
        ({"seed": 99}, False),
    ],
)
def test_which_changes_begin_another_study(
    project: Path, change: dict[str, Any], same: bool
) -> None:
    def study() -> str:
        params = load_params()
        settings = params.tune.budgets.small.model_dump()
        sources = sources_of(sources_of_space(), settings["search"])
        return stage._job(params, settings, sources, None, FAKE)[0].key

    before = study()
    write_params(project, **change)
    assert (study() == before) is same


def test_other_data_begin_another_study(project: Path) -> None:
    tune(objective=FAKE)
    (project / "data" / "dataset" / "manifest.csv").write_text("image_id\nb\n")
    tune(objective=FAKE)
    assert len([path for path in (project / "tuning").iterdir() if path.is_dir()]) == 2


def test_no_budget_leaves_the_start(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        tune(Wish(budget="none"))
    folder = project / "reports" / "tuning"
    assert yaml.safe_load((folder / "recipe.yaml").read_text()) == {}
    assert "No search was run: tune.budget is none." in (folder / "report.md").read_text()
    assert load_params(tuned=folder / "recipe.yaml") == load_params()
    assert (folder / "trials.csv").read_text() == "number,state,value,cost,seconds,error\n"
    assert "no search: tune.budget is none" in caplog.text


def test_where_values_come_from() -> None:
    kinds = {"a": "explicit", "b": "start", "c": "start"}
    everything = sources_of(kinds, "all")
    assert (everything.explicit, everything.tuned, everything.start) == (("a",), ("b", "c"), ())
    some = sources_of(kinds, ["a", "c"])  # what is written out wins over the wish to search it
    assert (some.explicit, some.tuned, some.start) == (("a",), ("c",), ("b",))
    assert some.sentences() == [
        "written in params.yaml, not searched: a",
        "searched: c",
        "not searched, stays at its start: b",
    ]
    with pytest.raises(InputError, match=r"search: d: not in tune\.space"):
        sources_of(kinds, ["d"])


def test_all_that_may_be_searched_is_written_out(project: Path) -> None:
    path = project / "params.yaml"
    content = yaml.safe_load(path.read_text())
    content["train"]["learning_rate"] = 0.5
    path.write_text(yaml.safe_dump(content))
    tune(objective=FAKE)
    report = (project / "reports" / "tuning" / "report.md").read_text()
    assert "every key that it may search is written in params.yaml" in report
    assert "| train.learning_rate | 0.5 | written in params.yaml, not searched |" in report


def test_an_explicit_key_is_not_searched(project: Path) -> None:
    path = project / "params.yaml"
    content = yaml.safe_load(path.read_text())
    content["network"]["depth"] = 5
    path.write_text(yaml.safe_dump(content))
    tune(Wish(budget="full"), objective=FAKE)
    recipe = yaml.safe_load((project / "reports" / "tuning" / "recipe.yaml").read_text())
    assert "network" not in recipe
    table = (project / "reports" / "tuning" / "trials.csv").read_text()
    assert "network.depth" not in table


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"folds": [0, 9]}, r"folds: got \[0, 9\]"),
        ({"folds": []}, r"folds: got \[\]"),
        ({"search": ["train.epochs"]}, r"train\.epochs: not in tune\.space"),
    ],
)
def test_a_budget_that_cannot_be(project: Path, settings: dict[str, Any], said: str) -> None:
    write_params(project, budgets={**BUDGETS, "small": {**BUDGETS["small"], **settings}})
    with pytest.raises(InputError, match=said):
        tune(objective=FAKE)
    assert not (project / "reports").exists()


def test_a_study_is_known_by_the_code_that_shapes_its_scores() -> None:
    # Everything that the objective imports, through any number of modules. Parameters are known by
    # their values, and what reports and keeps the books changes no score.
    shapes_nothing = {"errors", "config", "quiet", "tracking", "images"}
    waiting, seen = [ROOT / "src/sgseg/tuning/objective.py"], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sgseg."):
                parts = (node.module or "").split(".")
                base = ROOT.joinpath("src", *parts)
                found = base.with_suffix(".py")
                if parts[1] not in shapes_nothing and parts[1] != "tuning" and found.is_file():
                    waiting.append(found)
                elif (base / "__init__.py").is_file() and parts[1] not in shapes_nothing:
                    waiting += [base / "__init__.py"]
    known = [ROOT / name for name in stage.CODE]
    drawing = {ROOT / "src/sgseg/evaluation/pictures.py"}
    missing = {
        path for path in seen - drawing if not any(path == k or k in path.parents for k in known)
    }
    assert not missing
    assert all(path.exists() for path in known)


def test_a_study_begins_with_its_record(project: Path) -> None:
    tune(objective=FAKE)
    (folder,) = (path for path in (project / "tuning").iterdir() if path.is_dir())
    started = read_tuning(folder).started_ms
    tune(Wish(trials=3), objective=FAKE)
    # It grows, and is still the same.
    assert read_tuning(folder).started_ms == started
    assert read_tuning(project / "reports" / "tuning").started_ms == started
    params = load_params()
    settings = params.tune.budgets.small.model_dump()
    job, _ = stage._job(
        params, settings, sources_of(sources_of_space(), settings["search"]), None, FAKE
    )
    assert len(all_slots(open_study(job))) == 3
