"""Addresses that open the MLflow UI on what one wants to compare, and the views behind them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sgseg.registry.models import MODEL
from sgseg.tracking.lookup import FoundRun
from sgseg.tracking.store import without_password

LOCAL = "http://127.0.0.1:5000"
"""Where `mlflow ui` listens unless it is told otherwise."""
SHOWN_PARAMS = 8
"""Parameters that get a column, of those that differ."""
CV_SCORES = ("oof_object_f1", "oof_foreground_iou", "test_object_f1", "cv_object_f1_std")
TRIAL_SCORES = ("value", "oof_object_f1", "oof_foreground_iou")
CURVES = "^(loss|val_loss|val_object_f1|val_iou)$"
PLAIN: dict[str, Any] = {
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "modelVersionFilter": "All Runs",
    "datasetsFilter": [],
    "runsExpanded": {},
    "runsPinned": [],
    "runsHidden": [],
    "runListHidden": False,
    "isAccordionReordered": False,
    "groupBy": None,
    "groupsExpanded": {},
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "globalLineChartConfig": None,
    "viewMaximized": False,
    "runsVisibilityMode": "FIRST_10_RUNS",
    "runsVisibilityMap": {},
    "autoRefreshEnabled": False,
}
"""The rest of a state, as MLflow 3.17 has it where nobody has chosen anything."""


@dataclass(frozen=True)
class SavedView:
    """A list of runs with its search, order and columns.

    Parameters
    ----------
    title
        What it shows.
    key
        Under which the experiment keeps it.
    state
        As the UI of MLflow writes it.
    charts
        Opens with charts instead of a table.
    """

    title: str
    experiment_id: str
    key: str
    state: Mapping[str, Any]
    charts: bool = False

    def address(self, base: str) -> str:
        """The address that opens it."""
        mode = "&compareRunsMode=CHART" if self.charts else ""
        runs = f"{base}/#/experiments/{self.experiment_id}/runs"
        return f"{runs}?viewStateShareKey={quote(self.key, safe='')}{mode}"


def ui_address() -> str:
    """The tracking server, if MLFLOW_TRACKING_URI names one, else that of `mlflow ui`."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return without_password(uri).rstrip("/") if uri.startswith("http") else LOCAL


def compared_runs(base: str, runs: Iterable[tuple[str, str]]) -> str:
    """MLflow's own page for runs side by side.

    Parameters
    ----------
    runs
        Id and experiment of each.
    """
    unique = dict(runs)
    experiments = list(dict.fromkeys(unique.values()))
    return f"{base}/#/compare-runs?runs={_json([*unique])}&experiments={_json(experiments)}"


def registered_model(base: str) -> str:
    """The page of the registered model, with its versions."""
    return f"{base}/#/models/{MODEL}"


def list_of_cross_validations(runs: Sequence[FoundRun]) -> SavedView:
    """All cross-validations of one experiment, the best first."""
    return SavedView(
        title="cross-validations, best out-of-fold object F1 first",
        experiment_id=runs[0].experiment_id,
        key="sgseg-cross-validations",
        state=_state(
            "tags.`sgseg.kind` = 'cross_validation'", CV_SCORES[0], CV_SCORES, differing(runs)
        ),
    )


def folds_of(run: FoundRun) -> SavedView:
    """Curves of the folds of a cross-validation over each other."""
    search = f"tags.`sgseg.kind` = 'fold' and tags.`sgseg.cv_key` = '{run.key}'"
    # Sorted by a metric they are listed by themselves, not hidden below their parent.
    state = _state(search, "oof_object_f1", ("oof_object_f1", "oof_foreground_iou"), ("fold",))
    return SavedView(
        title=f"folds of {run.name}: curves",
        experiment_id=run.experiment_id,
        key=f"sgseg-folds-{run.key[:7]}",
        state={**state, "chartsSearchFilter": CURVES},
        charts=True,
    )


def trials_of(study: FoundRun, trials: Sequence[FoundRun]) -> SavedView:
    """The trials of a search, the best first, with the parameters in which they differ."""
    search = f"tags.`sgseg.kind` = 'trial' and tags.`sgseg.study_key` = '{study.key}'"
    return SavedView(
        title=f"trials of {study.name}, best first",
        experiment_id=study.experiment_id,
        key=f"sgseg-trials-{study.key[:7]}",
        state=_state(search, TRIAL_SCORES[0], TRIAL_SCORES, differing(trials)),
    )


def differing(runs: Sequence[FoundRun]) -> list[str]:
    """Parameters that are not the same in all runs."""
    names = dict.fromkeys(name for run in runs for name in run.params)
    return [name for name in names if len({run.params.get(name) for run in runs}) > 1]


def _state(
    search: str, order_by: str, metrics: Sequence[str], params: Sequence[str]
) -> dict[str, Any]:
    columns = ["attributes.`Duration`"]
    columns += [f"metrics.`{name}`" for name in metrics]
    columns += [f"params.`{name}`" for name in params[:SHOWN_PARAMS]]
    return {
        **PLAIN,
        "searchFilter": search,
        "orderByKey": f"metrics.`{order_by}`",
        "selectedColumns": columns,
    }


def _json(values: Sequence[str]) -> str:
    return quote(json.dumps(values, separators=(",", ":")), safe="")
