"""Where a study is kept: a journal file, or a database that several machines can reach."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from sgseg.errors import InputError, Problem

log = logging.getLogger(__name__)

JOURNAL = "journal.log"
CREATION_PAUSES = (0.5, 2.0)
# What SQLAlchemy is to use where the address names no driver; ours is an optional extra.
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
EXTRAS = {"psycopg": "sgseg[postgresql]"}


def open_storage(folder: Path, url: str | None) -> BaseStorage:
    """The journal in a study's folder, or the database at an address.

    Raises
    ------
    InputError
        The address is none, its driver is not installed, or the database does not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        folder.mkdir(parents=True, exist_ok=True)
        # Optuna's lock is a link to the journal, by which it sees how old it is: one to a relative
        # path leads nowhere, and who waits for that of a killed process would do so for ever.
        path = str((folder / JOURNAL).absolute())
        return JournalStorage(JournalFileBackend(path, lock_obj=MendingLock(path)))
    with failures_named(url), _addresses_named(url):
        return _open_database(_with_driver(url))


def _open_database(url: str) -> RDBStorage:
    # It comes with Optuna, and takes a moment to import.
    from sqlalchemy.exc import IntegrityError, ProgrammingError  # noqa: PLC0415

    for pause in CREATION_PAUSES:
        try:
            # A connection that the server closed during a long trial is opened anew.
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError):
            # Of two workers that find an empty database one creates a table just before the other.
            time.sleep(pause)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


class MendingLock(JournalFileSymlinkLock):
    """The journal's lock; who takes it cuts off the line that a killed process left unfinished.

    Optuna would write the next line right after it, and from then on refuse the whole file.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = Path(path)

    def acquire(self) -> bool:
        """Take the lock, waiting for it."""
        super().acquire()
        try:
            cut_unfinished_line(self._path)
        except BaseException:
            self.release()
            raise
        return True


def cut_unfinished_line(path: Path) -> None:
    """Shorten a file to its last line feed."""
    size = path.stat().st_size if path.exists() else 0
    if not size:
        return
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
    log.warning("%s: the last line was not finished, and is removed", path)


def _with_driver(url: str) -> str:
    scheme, colon, rest = url.partition(":")
    return f"{DRIVERS.get(scheme, scheme)}{colon}{rest}"


@contextmanager
def failures_named(url: str | None) -> Iterator[None]:
    """Turn what a database fails with into `InputError`; None: there is none.

    It may go away at any moment of a search, for a restart or with the network.
    """
    if url is None:
        yield
        return
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        said = " ".join(str(getattr(cause, "orig", None) or cause or error).split())
        raise InputError(
            Problem(
                without_password(url),
                said,
                "a database that answers",
                "Check address, name and password; the same command goes on with a search.",
            )
        ) from None


@contextmanager
def _addresses_named(url: str) -> Iterator[None]:
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    where, example = without_password(url), "postgresql://user@host/database"
    try:
        yield
    except (ArgumentError, ValueError):
        raise InputError(
            Problem(where, "no address of a database", f"one such as {example}")
        ) from None
    except ImportError as error:
        cause = error.__cause__
        module = (cause.name if isinstance(cause, ImportError) else error.name) or "its driver"
        raise InputError(
            Problem(
                where,
                f"the driver of this database, {module}, is not installed",
                remedy=f"pip install '{EXTRAS.get(module, module)}'",
            )
        ) from None


def without_password(url: str) -> str:
    """An address that may be shown: without password, and without options, which may hold one.

    What stands before the last `@` is the password, whatever it holds.
    """
    return re.sub(r"(//[^/@:]*):.*@", r"\1@", url, flags=re.DOTALL).partition("?")[0]
