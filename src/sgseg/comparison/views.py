"""Ready views of a store: what there is to compare, and the addresses that open it in MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sgseg.comparison.addresses import (
    SavedView,
    compared_runs,
    folds_of,
    list_of_cross_validations,
    registered_model,
    trials_of,
    ui_address,
)
from sgseg.errors import InputError
from sgseg.registry.models import open_existing_registry, versions
from sgseg.tracking.lookup import (
    CROSS_VALIDATION,
    STUDY,
    FoundRun,
    find_by_id,
    runs_of_kind,
    trials_below,
)
from sgseg.tracking.store import Store, StoreError, failures_named, open_existing_store
from sgseg.tracking.views import save_view

NEWEST = 5
"""Cross-validations and searches that get views of their own."""


@dataclass(frozen=True)
class View:
    """What an address shows, and the address."""

    title: str
    address: str


def ready_views(root: str | Path = ".") -> list[View]:
    """Addresses of the MLflow UI for what the store of the project holds; views are saved there.

    Raises
    ------
    StoreError
        There is no store, or it cannot be used.
    """
    store, base = open_existing_store(root), ui_address()
    saved = _views_of_runs(store)
    for view in saved:
        save_view(store, view.experiment_id, view.key, view.state)
    found = [View(view.title, view.address(base)) for view in saved]
    runs = _runs_of_versions(store, root)
    if runs:
        found.append(View("retrains: versions of the model", registered_model(base)))
    if len(runs) > 1:
        beside = compared_runs(base, runs.items())
        found.append(View("runs of the versions, side by side", beside))
    return found


def _views_of_runs(store: Store) -> list[SavedView]:
    by_experiment: dict[str, list[FoundRun]] = {}
    known = runs_of_kind(store, CROSS_VALIDATION)
    for run in known:
        by_experiment.setdefault(run.experiment_id, []).append(run)
    studies = runs_of_kind(store, STUDY)[-NEWEST:]
    return [
        *(list_of_cross_validations(runs) for runs in by_experiment.values()),
        *(folds_of(run) for run in reversed(known[-NEWEST:])),
        *(trials_of(study, trials_below(store, study)) for study in reversed(studies)),
    ]


def _runs_of_versions(store: Store, root: str | Path) -> dict[str, str]:
    """Experiment by id of the run, for each version of the registered model."""
    try:
        registry = open_existing_registry(root)
        with failures_named(store.uri, afterwards=""):
            numbered = versions(registry)
    except StoreError:
        raise
    except InputError:
        return {}  # nothing was registered yet
    runs = [find_by_id(store, version.run_id) for version in numbered]
    return {run.id: run.experiment_id for run in runs if run is not None}
