"""A bundle becomes a version of the registered model, once, however often and by whom it is asked.

A version is its networks, how they are used, and the code that serves them: with other code, or in
another environment, the same networks are another version.

First the model is logged (its files), then the version is created with all its tags in one call:
a process killed in between leaves a logged model that the next one takes up.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sgseg.registry.evaluated import BUNDLE, Evaluated
from sgseg.registry.models import Registry, Version, versions_of
from sgseg.tracking import runs
from sgseg.tracking.identity import EvaluationRecord
from sgseg.tracking.store import failures_named, prepare_mlflow, store_lock

RUN, CODE = "sgseg.run_id", "sgseg.code"
"""Tags of a version: the run it belongs to, and the digest of the code and requirements in it."""
LINK = "mlflow.modelVersions"
"""Tag of a logged model by which MLflow's pages lead from it to its versions."""
Save = Callable[[Path, Path, Path | None], None]
"""Writes a bundle, with the folder of its card, as an MLflow model into a new folder."""


def save_for_serving(bundle: Path, target: Path, card: Path | None) -> None:
    """Write the MLflow model that `sgseg.serving` serves."""
    prepare_mlflow()
    from sgseg.serving.package import save_model  # noqa: PLC0415

    save_model(bundle, target, card=card)


def code_digest() -> str:
    """MD5 (32 hex digits) of what serves a version beside its bundle: code and requirements."""
    prepare_mlflow()
    from sgseg.serving.package import CODE, SOURCE, requirements  # noqa: PLC0415

    # `package.py` itself is not packed, but says what a request and an answer look like.
    total = hashlib.md5("\n".join(requirements()).encode("utf-8"), usedforsecurity=False)
    for name in CODE:
        path = SOURCE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            total.update(file.relative_to(SOURCE).as_posix().encode("utf-8"))
            total.update(hashlib.md5(file.read_bytes(), usedforsecurity=False).digest())
    return total.hexdigest()


def register(registry: Registry, evaluated: Evaluated, *, save: Save = save_for_serving) -> Version:
    """The version of the networks of a bundle with the code that is here, made if there is none.

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
    code = code_digest()
    with failures_named(registry.store.uri):
        found = _known(registry, evaluated, code)
        if found is not None:
            return found
        with store_lock(registry.store.home):
            run_id = _run_of(registry, evaluated.record)
            model = _logged(registry, evaluated.digest, code)
        is_ours = model is None
        if model is None:
            # Without the lock: an upload may take longer than others wait for it.
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "model"
                save(evaluated.folder, folder, evaluated.card)
                model = _log(registry, folder, {BUNDLE: evaluated.digest, CODE: code}, run_id)
        with store_lock(registry.store.home):
            found = _known(registry, evaluated, code)
            if found is None:
                found = _create(registry, evaluated, code, model=model, run_id=run_id)
        if is_ours and model.model_id not in found.source:
            registry.client.delete_logged_model(model.model_id)
        return found


def _known(registry: Registry, evaluated: Evaluated, code: str) -> Version | None:
    """The first version of the same networks and code."""
    found = versions_of(registry, evaluated.digest, evaluated.networks)
    return next((version for version in found if version.tags.get(CODE) == code), None)


def _create(
    registry: Registry, evaluated: Evaluated, code: str, *, model: Any, run_id: str | None
) -> Version:
    """Create the version of a logged model; the one that counts.

    On a server that may be one that another machine just made. Everybody who looks after having
    created sees the lowest number, and takes back his own if it is another.
    """
    client = registry.client
    # A server wants the id to check the location; a database would look it up in whatever store
    # MLflow takes for the global one.
    by_server = registry.store.uri.startswith("http")
    made = client.create_model_version(
        registry.name,
        model.artifact_location,
        run_id=run_id,
        tags=evaluated.tags | {CODE: code} | ({RUN: run_id} if run_id else {}),
        description=evaluated.page,
        model_id=model.model_id if by_server else None,
    )
    winner = _known(registry, evaluated, code)
    assert winner is not None
    if winner.number != int(made.version):
        client.delete_model_version(registry.name, made.version)
    else:
        link = json.dumps([{"name": registry.name, "version": str(made.version)}])
        client.set_logged_model_tags(model.model_id, {LINK: link})
    return winner


def _run_of(registry: Registry, record: EvaluationRecord) -> str | None:
    """The run of the cross-validation; None if somebody deleted it."""
    store = registry.store
    run = runs.ensure_parent(store, record.cv, record.started_ms, restore=False)
    if runs.is_deleted(run):
        return None
    runs.settle_parent(store, record.cv.key, otherwise_ended_ms=record.evaluated_ms)
    return str(run.info.run_id)


def _logged(registry: Registry, bundle: str, code: str) -> Any | None:
    """A complete logged model of this bundle with this code that has no version yet."""
    wanted = f"tags.`{BUNDLE}` = '{bundle}' and tags.`{CODE}` = '{code}'"
    found = registry.client.search_logged_models(
        [registry.store.experiment_id], filter_string=wanted
    )
    return next((m for m in found if m.status == "READY" and LINK not in m.tags), None)


def _log(registry: Registry, folder: Path, tags: dict[str, str], run_id: str | None) -> Any:
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
        tags=tags,
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
