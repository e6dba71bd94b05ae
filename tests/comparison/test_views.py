"""Addresses that open lists of runs in MLflow, and the views that the store keeps for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from mlflow import MlflowClient

from sgseg.comparison.addresses import compared_runs, ui_address
from sgseg.comparison.views import ready_views
from sgseg.tracking.store import StoreError
from sgseg.tracking.views import TAG

from .conftest import Lab


@pytest.fixture
def root(lab: Lab, tmp_path: Path) -> Path:
    shutil.copy(lab.root / "mlflow.db", tmp_path)
    return tmp_path


def client_of(root: Path) -> Any:
    return MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


def test_every_address_names_a_view_that_finds_runs(root: Path) -> None:
    client = client_of(root)
    experiment = client.get_experiment_by_name("sgseg").experiment_id
    found = {}
    for view in ready_views(root):
        page = urlsplit(urlsplit(view.address).fragment)
        assert page.path == f"/experiments/{experiment}/runs"
        (key,) = parse_qs(page.query)["viewStateShareKey"]
        state = json.loads(client.get_experiment(experiment).tags[f"{TAG}{key}"])
        # The search and the order are in MLflow's own language: the store understands them.
        order = [f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"]
        runs = client.search_runs([experiment], state["searchFilter"], order_by=order)
        found[view.title] = sorted(run.info.run_name for run in runs)
    names = [f"cv unet-bce_dice-adam {digest}" for digest in ("aaaa111", "bbbb222", "cccc333")]
    assert found == {
        "cross-validations, best out-of-fold object F1 first": names,
        **{f"folds of {name}: curves": ["fold 0", "fold 1"] for name in names},
        "trials of tune x 5, best first": ["trial 0", "trial 1"],
    }


def test_columns_are_scores_and_the_parameters_that_differ(root: Path) -> None:
    ready_views(root)
    tags = client_of(root).get_experiment_by_name("sgseg").tags
    columns = {
        name.removeprefix(TAG): json.loads(text)["selectedColumns"]
        for name, text in tags.items()
        if name.startswith(TAG)
    }
    assert "metrics.`oof_object_f1`" in columns["sgseg-cross-validations"]
    params = [name for name in columns["sgseg-cross-validations"] if name.startswith("params.")]
    assert params == ["params.`train.epochs`"]
    params = [name for name in columns["sgseg-trials-5555555"] if name.startswith("params.")]
    assert params == ["params.`train.learning_rate`"]


def test_views_are_saved_once(root: Path) -> None:
    client = client_of(root)
    first = ready_views(root)
    tags = dict(client.get_experiment_by_name("sgseg").tags)
    assert ready_views(root) == first
    assert client.get_experiment_by_name("sgseg").tags == tags


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        ready_views(tmp_path)


def test_the_address_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ui_address() == "http://127.0.0.1:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@lab.example/mlflow/")
    assert ui_address() == "https://lab.example/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    assert ui_address() == "http://127.0.0.1:5000"


def test_runs_side_by_side() -> None:
    address = compared_runs("http://x", [("r1", "1"), ("r2", "7"), ("r1", "1")])
    asked = parse_qs(urlsplit(urlsplit(address).fragment).query)
    assert asked == {"runs": ['["r1","r2"]'], "experiments": ['["1","7"]']}
