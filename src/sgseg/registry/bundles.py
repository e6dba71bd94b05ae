"""The bundle behind a name: models:/sgseg@champion -> a local folder, checked by its digest.

Bundles are kept in the user's cache by digest, so a version is fetched once, from whatever store.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from sgseg.errors import InputError, Problem
from sgseg.inference.bundle import digest
from sgseg.registry.evaluated import BUNDLE
from sgseg.registry.models import (
    Registry,
    Version,
    aliases_of,
    find_version,
    open_existing_registry,
    versions,
)
from sgseg.tracking.store import failures_named, without_password

SCHEME = "models:/"
EXPECTED = "models:/sgseg@champion, models:/sgseg/3 or the folder of a model"
DIGEST = re.compile("[0-9a-f]{32}")
NAME = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<number>[0-9]+))")


def bundle_of(uri: str | Path, *, root: str | Path = ".") -> Path:
    """The local folder of a bundle.

    Parameters
    ----------
    uri
        models:/<name>@<alias>, models:/<name>/<version>, or a folder, which is returned as it is.
    root
        The project's root, home of the default store.

    Raises
    ------
    InputError
        There is no such model, version or alias, or what is there is no bundle of sgseg.
    StoreError
        The store cannot be reached.
    """
    if not str(uri).startswith(SCHEME):
        return Path(uri)
    named = NAME.fullmatch(str(uri))
    if named is None:
        raise InputError(Problem(str(uri), "not the name of a model", EXPECTED))
    registry = open_existing_registry(root, name=named["name"])
    with failures_named(registry.store.uri, afterwards=""):
        version = _resolve(registry, str(uri), named["alias"], named["number"])
    return fetch(registry, version)


def _resolve(registry: Registry, uri: str, alias: str | None, number: str | None) -> Version:
    """The version, or an error that says what there is."""
    known = aliases_of(registry)
    wanted = int(number) if number else known.get(alias or "")
    version = None if wanted is None else find_version(registry, wanted)
    if version is None:
        there = ", ".join(f"{name} (version {n})" for name, n in sorted(known.items()))
        numbers = ", ".join(str(item.number) for item in versions(registry))
        raise InputError(
            Problem(
                uri,
                f"no version {number}" if number else f"no alias {alias!r}",
                f"of {registry.shown}: versions {numbers or 'none'}; aliases {there or 'none'}",
                "`sgseg registry list` shows them.",
            )
        )
    return version


def cache_folder() -> Path:
    """Where bundles are kept: sgseg/bundles in the user's cache. It may be deleted at any time."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "sgseg" / "bundles"


def cached(bundle: str) -> Path | None:
    """The folder of a bundle that was fetched before and is as it was."""
    if not DIGEST.fullmatch(bundle):
        return None
    folder = cache_folder() / bundle
    return folder if _is(folder, bundle) else None


def _is(folder: Path, bundle: str) -> bool:
    try:
        return digest(folder) == bundle
    except (InputError, OSError):
        return False


def fetch(registry: Registry, version: Version) -> Path:
    """The local folder of a version's bundle, fetched if it is not there.

    Raises
    ------
    InputError
        The version holds no bundle, or not the one that was registered.
    StoreError
        The files cannot be had.
    """
    where = f"models:/{registry.name}/{version.number}"
    if not version.bundle:
        raise InputError(
            Problem(where, f"not registered by sgseg (no tag {BUNDLE})", "a version that was")
        )
    if not DIGEST.fullmatch(version.bundle):
        # It becomes the name of a folder, and whoever reaches the server can set it.
        tag = f"its tag {BUNDLE} is {version.bundle!r}"
        raise InputError(Problem(where, tag, "32 hexadecimal digits, as sgseg writes them"))
    found = cached(version.bundle)
    if found is not None:
        return found
    target = cache_folder() / version.bundle
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=target.parent) as scratch:
        with failures_named(registry.store.uri, afterwards=""):
            got = _download(registry, version, Path(scratch))
        if got is None or not _is(got, version.bundle):
            raise InputError(
                Problem(
                    f"{where} ({without_password(version.source)})",
                    "its files are not those that were registered",
                    f"a bundle with the digest {version.bundle}",
                    "Take another version: `sgseg registry rollback` (the champion before it), or "
                    "register the model anew with `dvc repro --force promote`.",
                )
            )
        _put_in_place(got, target)
    return target


def _put_in_place(got: Path, target: Path) -> None:
    """Rename a fetched bundle; whoever fetched the same one meanwhile has done the same."""
    try:
        got.rename(target)
    except OSError:
        if cached(target.name) is None:
            # Damaged, or this could never end well.
            shutil.rmtree(target)
            got.rename(target)


def _download(registry: Registry, version: Version, scratch: Path) -> Path | None:
    """Copy the bundle of a version into a folder; where it is there, None if there is none."""
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415

    source = registry.client.get_model_version_download_uri(registry.name, str(version.number))

    def get(path: str) -> Path:
        return Path(
            download_artifacts(
                artifact_uri=f"{source.rstrip('/')}/{path}",
                dst_path=str(scratch),
                tracking_uri=registry.store.uri,
            )
        )

    described = yaml.safe_load(get("MLmodel").read_text(encoding="utf-8"))
    path = _path_of_bundle(described)
    return None if path is None else get(path)


def _path_of_bundle(described: Any) -> str | None:
    """Where in the model MLflow put the artifact `bundle`: it takes the name of the source."""
    try:
        return str(described["flavors"]["python_function"]["artifacts"]["bundle"]["path"])
    except (KeyError, TypeError):
        return None
