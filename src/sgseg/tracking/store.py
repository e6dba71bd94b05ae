"""The MLflow store: where it is, how it is opened by several processes at once, how it may fail."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from sgseg.errors import InputError, Problem

DATABASE = "mlflow.db"
SERVERS = ("postgresql", "mysql", "mssql")
"""How the addresses begin of databases that somebody has to run."""
LOCK_SECONDS = 120.0
TRACK_LATER = "Then run `sgseg track`: it puts in what is missing."


class StoreError(InputError):
    """The store cannot be reached, opened or written."""


@dataclass(frozen=True)
class Store:
    """One experiment of an open store."""

    client: Any
    """An `mlflow.tracking.MlflowClient`. Unlike mlflow's global functions it ignores MLFLOW_RUN_ID,
    so that nothing lands in the run that `mlflow run` makes for itself.
    """
    experiment_id: str
    uri: str
    home: Path


def store_home(root: str | Path = ".") -> Path:
    """The folder of the default store.

    `dvc exp run --temp` and `--queue` work on a copy of the project below .dvc/tmp that is thrown
    away afterwards; DVC_ROOT then names the project itself.
    """
    root = Path(root).resolve()
    project = os.environ.get("DVC_ROOT")
    if project and root.is_relative_to(Path(project).resolve()):
        return Path(project).resolve()
    return root


def tracking_uri(root: str | Path = ".") -> str:
    """MLFLOW_TRACKING_URI, or the SQLite file mlflow.db in the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(store_home(root) / DATABASE)


def without_password(uri: str) -> str:
    """A URI that may be shown: without what stands between // and the last @.

    A password may hold any character, a `/` and an `@` too. Of a path or a query with an `@` too
    much is left out, which does no harm.
    """
    return uri if uri.startswith("sqlite:") else re.sub(r"//.*@", "//", uri, flags=re.DOTALL)


@contextmanager
def store_lock(home: Path) -> Iterator[None]:
    """One process of this project at a time; of a SQLite file, one of all projects that share it.

    MLflow creates its tables without a lock of its own that holds: of four processes that open a
    fresh SQLite file three crash. Runs are looked up and created under the same lock, so that
    there is one.
    """
    shared = _database(tracking_uri(home))
    with FileLock(f"{shared or home / DATABASE}.lock", timeout=LOCK_SECONDS):
        yield


def open_existing_store(root: str | Path = ".") -> Store:
    """Open a store that must be there, without an experiment: for what is in none, its models.

    Raises
    ------
    StoreError
        It is not there, or cannot be opened.
    """
    uri, home = tracking_uri(root), store_home(root)
    with failures_named(uri, afterwards=""):
        prepare_mlflow()
        database = _database(uri)
        if database is not None and not (database.is_file() and database.stat().st_size):
            raise StoreError(
                Problem(
                    without_password(uri),
                    "no such store",
                    "the store of the project",
                    "Give the command in the project's folder, or set MLFLOW_TRACKING_URI; "
                    "`dvc repro` and `sgseg track` make the store.",
                )
            )
        return Store(_client(uri), "", uri, home)


def open_store(root: str | Path, experiment: str) -> Store:
    """Open the store, creating it and the experiment where they are missing.

    Raises
    ------
    StoreError
        It cannot be opened, for whatever reason.
    """
    uri, home = tracking_uri(root), store_home(root)
    with failures_named(uri), store_lock(home):
        prepare_mlflow()
        database = _database(uri)
        if database is not None:
            _create_database(database)
        client = _client(uri)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            number = client.create_experiment(experiment, _artifact_location(database, experiment))
        elif found.lifecycle_stage == "deleted":
            raise StoreError(
                Problem(
                    without_password(uri),
                    f"its experiment {experiment!r} is deleted",
                    remedy=f"Run `mlflow experiments restore -x {found.experiment_id}`, or choose "
                    f"another name in params.yaml (tracking.experiment). {TRACK_LATER}",
                )
            )
        else:
            number = found.experiment_id
        return Store(client, str(number), uri, home)


@contextmanager
def failures_named(uri: str, *, afterwards: str = TRACK_LATER) -> Iterator[None]:
    """Turn whatever goes wrong in a store into `StoreError`; what is an `InputError` stays one.

    Between us and a store are SQLite, SQLAlchemy, HTTP and a file system, each with exceptions of
    its own, and no list of them is complete.
    """
    try:
        yield
    except InputError:
        raise
    except Timeout:
        locked = f"locked by another process for {LOCK_SECONDS:.0f} s"
        raise _unavailable(uri, locked, afterwards) from None
    except Exception as error:
        cause = _cause(error)
        raise _unavailable(uri, f"{type(cause).__name__}: {cause}", afterwards) from error


def put_tag(put: Callable[..., Any], *place_and_text: str) -> None:
    """Set a tag by a method of the client, such as `set_tag`, though others set it just now.

    MLflow looks for the tag and then inserts it; where another process inserts it in between, the
    database refuses. It is there then, so a second try replaces it.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        put(*place_and_text)
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":
            raise
        put(*place_and_text)


def _cause(error: BaseException) -> BaseException:
    """What a file system, a network or SQLite said, below the layers that repeat it at length."""
    found, below = error, error.__cause__ or error.__context__
    while below is not None:
        if isinstance(below, OSError | sqlite3.Error):
            found = below
        below = below.__cause__ or below.__context__
    return found


def _unavailable(uri: str, reason: str, afterwards: str) -> StoreError:
    reason = " ".join(reason.replace(uri, without_password(uri)).split())
    # Others quote it in their words; there, addresses end at a space.
    reason = re.sub(r"//\S*@", "//", reason)
    if len(reason) > 300:
        reason = f"{reason[:300]} ..."
    remedy = "Check MLFLOW_TRACKING_URI, the server and the network."
    if uri.startswith("sqlite:///"):
        remedy = "Check the disk; move the file away if it is damaged."
    return StoreError(
        Problem(
            without_password(uri),
            f"the MLflow store cannot be used ({reason})",
            remedy=f"{remedy} {afterwards}".strip(),
        )
    )


def prepare_mlflow() -> None:
    """Before mlflow is imported: no telemetry, no chatter, no minutes of waiting for a server."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one bar per file
    waiting = "mlflow.store.model_registry.abstract_store"  # for a version, no time at all
    for chatty in ("mlflow.pyfunc", waiting):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # What a database fails with is said by `StoreError`, without a stack trace.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # each retry is a warning


def _client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient  # noqa: PLC0415

    if uri.startswith(SERVERS):
        _knock(uri)
    return MlflowClient(tracking_uri=uri)


def _knock(uri: str) -> None:
    """Connect to a database once: MLflow tries ten times, 100 s in all, when it does not answer."""
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    create_engine(uri, poolclass=NullPool).connect().close()


def _database(uri: str) -> Path | None:
    """The file of a SQLite store."""
    if not uri.startswith("sqlite:///"):
        return None
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    return Path(make_url(uri).database or DATABASE).resolve()


def _sqlite_uri(path: Path) -> str:
    return "sqlite:///" + re.sub("[%?#]", lambda found: quote(found[0]), path.as_posix())


def _create_database(path: Path) -> None:
    """Make the tables in a file of another name: half-made ones could never be opened again."""
    if path.exists() and path.stat().st_size > 0:
        return
    from mlflow.db import upgrade  # noqa: PLC0415

    temporary = path.with_name(f"{path.name}.new")
    for left in path.parent.glob(f"{temporary.name}*"):  # SQLite's journal as well
        left.unlink()
    upgrade.callback(_sqlite_uri(temporary))
    temporary.replace(path)


def _artifact_location(database: Path | None, experiment: str) -> str | None:
    """Beside the database, not in whatever folder a process runs; None: a server decides."""
    if database is None:
        return None
    return str(database.parent / "mlruns" / re.sub(r"[^\w.-]+", "_", experiment))
