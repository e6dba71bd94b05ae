"""A bundle becomes a version of the registered model, once, however often and by whom it is asked.

First the model is logged (its files), then the version is created with all its tags in one call:
a process killed in between leaves a logged model that the next one takes up.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sgseg.registry.evaluated import BUNDLE, Evaluated
from sgseg.registry.models import Registry, Version, find_version, versions
from sgseg.tracking import runs
from sgseg.tracking.identity import EvaluationRecord
from sgseg.tracking.store import failures_named, prepare_mlflow, store_lock

RUN = "sgseg.run_id"
LINK = "mlflow.modelVersions"
"""Tag of a logged model by which MLflow's pages lead from it to its versions."""
Save = Callable[[Path, Path, Path | None], None]
"""Writes a bundle, with the folder of its card, as an MLflow model into a new folder."""


def save_for_serving(bundle: Path, target: Path, card: Path | None) -> None:
    """Write the MLflow model that `sgseg.serving` serves."""
    prepare_mlflow()
    from sgseg.serving.package import save_model  # noqa: PLC0415

    save_model(bundle, target, card=card)


def register(registry: Registry, evaluated: Evaluated, *, save: Save = save_for_serving) -> Version:
    """The version of a bundle, registered if it is not there yet.

    Parameters
    ----------
    evaluated
        The bundle, and the evaluation under whose run it is logged.
    save
        How the bundle becomes an MLflow model.

    Raises
    ------
    StoreError
        The store cannot be written.
    """
    known_as = evaluated.digest
    with failures_named(registry.store.uri):
        found = versions(registry, bundle=known_as)
        if found:
            return found[0]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            save(evaluated.folder, folder, evaluated.card)
            with store_lock(registry.store.home):
                found = versions(registry, bundle=known_as)
                if found:
                    return found[0]
                return _create(registry, evaluated, folder)


def _create(registry: Registry, evaluated: Evaluated, folder: Path) -> Version:
    """Log the model in `folder` and create its version."""
    known_as = evaluated.digest
    run_id = _run_of(registry, evaluated.record)
    model = _logged(registry, known_as) or _log(registry, folder, known_as, run_id)
    # A server wants the id to check the location; a database would look it up in whatever store
    # MLflow takes for the global one.
    by_server = registry.store.uri.startswith("http")
    made = registry.client.create_model_version(
        registry.name,
        model.artifact_location,
        run_id=run_id,
        tags=evaluated.tags | ({RUN: run_id} if run_id else {}),
        description=evaluated.page,
        model_id=model.model_id if by_server else None,
    )
    return _settle(registry, model, int(made.version), known_as)


def _run_of(registry: Registry, record: EvaluationRecord) -> str | None:
    """The run of the cross-validation; None if somebody deleted it."""
    store = registry.store
    run = runs.ensure_parent(store, record.cv, record.started_ms, restore=False)
    if runs.is_deleted(run):
        return None
    runs.settle_parent(store, record.cv.key, otherwise_ended_ms=record.evaluated_ms)
    return str(run.info.run_id)


def _logged(registry: Registry, bundle: str) -> Any | None:
    """A complete logged model of this bundle that has no version yet."""
    found = registry.client.search_logged_models(
        [registry.store.experiment_id], filter_string=f"tags.`{BUNDLE}` = '{bundle}'"
    )
    return next((m for m in found if m.status == "READY" and LINK not in m.tags), None)


def _log(registry: Registry, folder: Path, bundle: str, run_id: str | None) -> Any:
    """Log the model in `folder` under the run.

    MLflow's own `log_model` would need the global tracking URI and an active run, and ends a run
    that has ended long ago anew.
    """
    from mlflow.entities import LoggedModelOutput  # noqa: PLC0415
    from mlflow.models import Model  # noqa: PLC0415

    client = registry.client
    model = client.create_logged_model(
        registry.store.experiment_id,
        name=registry.name,
        source_run_id=run_id,
        tags={BUNDLE: bundle},
        model_type="pyfunc",
    )
    description = Model.load(str(folder))
    description.model_id = description.model_uuid = model.model_id
    description.run_id, description.artifact_path = run_id, model.artifact_location
    description.save(str(folder / "MLmodel"))
    client.log_model_artifacts(model.model_id, str(folder))
    if run_id is not None:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return client.finalize_logged_model(model.model_id, "READY")


def _settle(registry: Registry, model: Any, number: int, bundle: str) -> Version:
    """The version that counts, which on a server may be one that another machine just made.

    Everybody who looks after having created sees the lowest number, and takes back his own if it is
    another.
    """
    client = registry.client
    winner = versions(registry, bundle=bundle)[0].number
    if winner != number:
        client.delete_model_version(registry.name, str(number))
        client.delete_logged_model(model.model_id)
    else:
        link = json.dumps([{"name": registry.name, "version": str(number)}])
        client.set_logged_model_tags(model.model_id, {LINK: link})
    found = find_version(registry, winner)
    assert found is not None
    return found
