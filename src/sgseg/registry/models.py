"""The registered model and its versions, read. `register` adds one, `aliases` moves an alias."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.registry.evaluated import BUNDLE, NETWORKS
from sgseg.tracking.store import (
    Store,
    failures_named,
    open_existing_store,
    open_store,
    store_lock,
    without_password,
)

MODEL = "sgseg"
CHALLENGER, CHAMPION = "challenger", "champion"
ALIASES = (CHALLENGER, CHAMPION)
REGISTRY = "sgseg.registry"
"""Tag of the registered model: names it among those of other stores."""
ABOUT = (
    "Outlines stress granules in fluorescence images. `champion` is in use, `challenger` is the "
    "newest candidate. Change them with `sgseg registry`, which keeps a log: the tags "
    "`sgseg.change...` here."
)


@dataclass(frozen=True)
class Registry:
    """A registered model in an open store."""

    store: Store
    name: str
    id: str
    """Of this model in this store; in another store, or one made anew, it is another."""

    @property
    def client(self) -> Any:
        """The `MlflowClient`."""
        return self.store.client

    @property
    def shown(self) -> str:
        """The store as it may be shown."""
        return without_password(self.store.uri)


@dataclass(frozen=True)
class Version:
    """A version of the registered model."""

    number: int
    bundle: str
    """Digest of its bundle; empty if something else than sgseg registered it."""
    networks: str
    """Digest of its networks and how they are used; empty if nobody noted it."""
    run_id: str
    created_ms: int
    source: str
    tags: Mapping[str, str]

    def is_of(self, bundle: str, networks: str) -> bool:
        """Whether it holds the networks of a bundle, used in the same way."""
        return self.networks == networks if self.networks else self.bundle == bundle


def open_registry(root: str | Path, experiment: str, *, name: str = MODEL) -> Registry:
    """Open the registered model, creating it, the experiment and the store where they are missing.

    Raises
    ------
    StoreError
        The store cannot be opened.
    """
    store = open_store(root, experiment)
    with failures_named(store.uri), store_lock(store.home):
        model = _find(store, name)
        if model is None:
            model = _create(store, name)
        return Registry(store, name, _id_of(store, model))


def open_existing_registry(root: str | Path = ".", *, name: str = MODEL) -> Registry:
    """Open the registered model, which must be there.

    Raises
    ------
    StoreError
        There is no store, or it cannot be opened.
    InputError
        It has no such model.
    """
    store = open_existing_store(root)
    with failures_named(store.uri, afterwards=""):
        model = _find(store, name)
        if model is None:
            raise InputError(
                Problem(
                    without_password(store.uri),
                    f"no model {name!r} is registered here",
                    remedy="Run `dvc repro promote`, or `sgseg track` if its outputs are there.",
                )
            )
        return Registry(store, name, _id_of(store, model))


def _find(store: Store, name: str) -> Any | None:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        return store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _create(store: Store, name: str) -> Any:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        return store.client.create_registered_model(
            name, tags={REGISTRY: uuid.uuid4().hex[:12]}, description=ABOUT
        )
    except MlflowException as error:
        # Another machine was first.
        if error.error_code == "RESOURCE_ALREADY_EXISTS":
            return store.client.get_registered_model(name)
        raise


def _id_of(store: Store, model: Any) -> str:
    """The tag that names the model; a model that somebody else created gets one."""
    if REGISTRY not in model.tags:
        store.client.set_registered_model_tag(model.name, REGISTRY, uuid.uuid4().hex[:12])
        model = store.client.get_registered_model(model.name)
    return str(model.tags[REGISTRY])


def versions_of(registry: Registry, bundle: str, networks: str) -> list[Version]:
    """The versions with the networks of a bundle, the oldest first."""
    found = versions(registry, tag=(NETWORKS, networks)) + versions(registry, tag=(BUNDLE, bundle))
    return sorted(
        {version.number: version for version in found if version.is_of(bundle, networks)}.values(),
        key=lambda version: version.number,
    )


def versions(registry: Registry, *, tag: tuple[str, str] | None = None) -> list[Version]:
    """The versions that are not deleted, the oldest first; with `tag`, those that have it."""
    wanted = f"name = '{registry.name}'"
    if tag is not None:
        wanted += f" and tags.`{tag[0]}` = '{tag[1]}'"
    found: list[Version] = []
    token = None
    while True:
        page = registry.client.search_model_versions(wanted, page_token=token)
        found += [_version(item) for item in page]
        token = page.token
        if not token:
            return sorted(found, key=lambda version: version.number)


def find_version(registry: Registry, number: int) -> Version | None:
    """The version of this number; None if there is none, or no more."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        return _version(registry.client.get_model_version(registry.name, str(number)))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def aliases_of(registry: Registry) -> dict[str, int]:
    """Number of the version by alias."""
    model = registry.client.get_registered_model(registry.name)
    return {alias: int(number) for alias, number in model.aliases.items()}


def version_at(registry: Registry, alias: str) -> Version | None:
    """The version that an alias points at."""
    number = aliases_of(registry).get(alias)
    return None if number is None else find_version(registry, number)


def _version(item: Any) -> Version:
    return Version(
        number=int(item.version),
        bundle=item.tags.get(BUNDLE, ""),
        networks=item.tags.get(NETWORKS, ""),
        run_id=item.run_id or "",
        created_ms=int(item.creation_timestamp),
        source=item.source,
        tags=dict(item.tags),
    )
