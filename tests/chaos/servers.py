"""The servers that a lab shares, killed while runs are put into them, or a search is kept there."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.process import Server
from servers.shared import SharedServer, shared_server

from sgseg.errors import exit_with_message

from .cases import sgseg
from .faults import Ended, run
from .project import copy_project, told
from .search import search
from .trial import Loss

SERVER = "mlflow server killed, track"
DATABASE = "PostgreSQL killed, track"
STUDY = "PostgreSQL killed, search"
PASSWORD = "S3CR3T"
MOST_MESSAGES = 3
"""A search whose database is away may end, and is begun again; so often at most."""


class Servers:
    """`sgseg track` and a search, against servers of their own."""

    def __init__(self, folder: Path, project: Path, servers: SharedServer) -> None:
        self._folder, self._servers = folder, servers
        self._project = folder / "project"
        copy_project(project, self._project)
        os.environ |= servers.storage
        self._ask("create database studies")
        self._commands = {SERVER: self._track, DATABASE: self._track, STUDY: self._search}
        self._expected, self._seconds = {}, {}
        for kind in (DATABASE, STUDY):
            self._reset(kind)
            ended = run(self._commands[kind], self._folder)
            assert ended.status == 0, ended.said
            self._reset(kind)
            ended = run(self._commands[kind], self._folder)
            self._seconds[kind] = ended.seconds
            self._expected[kind] = self._facts(kind)
        self._seconds[SERVER], self._expected[SERVER] = (
            self._seconds[DATABASE],
            self._expected[DATABASE],
        )

    def inject(self, kind: str, rng: random.Random) -> list[Loss]:
        """Kill a server at a moment by chance, and start it again after a while."""
        server = self._servers.mlflow if kind == SERVER else self._servers.postgresql
        after_s, pause_s = rng.uniform(0, self._seconds[kind]), rng.choice((0.0, 1.0))
        while True:
            self._reset(kind)
            struck = _Strike(server, pause_s)
            ended = run(self._commands[kind], self._folder, after_s=after_s, strike=struck)
            if struck.done():
                break
            after_s *= 0.7  # it was done before
        said = f"killed after {after_s:.2f} s, away for {pause_s:.0f} s and more"
        losses = [] if ended.cleanly else [Loss(said, f"no message but: {ended.said[-1500:]}")]
        again = self._again(kind)
        if PASSWORD in ended.said + again.said:
            losses.append(Loss(said, "the password was said"))
        for path in (self._folder / "tuning").rglob("*"):
            if path.is_file() and PASSWORD.encode() in path.read_bytes():
                losses.append(Loss(said, f"the password is in {path.name}"))
        if again.status != 0:
            return [*losses, Loss(said, f"run again: {again.status}: {again.said[-1500:]}")]
        found = self._facts(kind)
        for name in sorted(self._expected[kind].keys() | found.keys()):
            if self._expected[kind].get(name) != found.get(name):
                losses.append(Loss(said, f"{name}: {found.get(name, 'is missing')}"))
        return losses

    def _again(self, kind: str) -> Ended:
        for _ in range(MOST_MESSAGES):
            ended = run(self._commands[kind], self._folder)
            if ended.status != 2:
                break
        return ended

    def _track(self) -> None:
        os.environ["MLFLOW_TRACKING_URI"] = self._servers.url
        os.chdir(self._project)
        sgseg("track")()

    def _search(self) -> None:
        os.chdir(self._folder)
        exit_with_message(lambda: search(self._studies))  # as every command does

    @property
    def _studies(self) -> str:
        # The server trusts all, and asks for none.
        address = self._servers.database.replace("/postgres?", "/studies?")
        return address.replace("@", f":{PASSWORD}@", 1)

    def _reset(self, kind: str) -> None:
        """Empty the database; a server keeps what it has opened."""
        which = "studies" if kind == STUDY else "postgres"
        if kind == STUDY:
            shutil.rmtree(self._folder / "tuning", ignore_errors=True)
        tables = self._ask(
            "select tablename from pg_tables where schemaname = 'public' "
            "and tablename not in ('alembic_version', 'version_info')",
            which,
        )
        if tables:
            names = ", ".join(f'"{name}"' for (name,) in tables)
            self._ask(f"truncate {names} cascade", which)

    def _facts(self, kind: str) -> dict[str, str]:
        if kind == STUDY:
            return {"trials": (self._folder / "found/trials.yaml").read_text(encoding="utf-8")}
        return told(self._ask)

    def _ask(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        import psycopg  # noqa: PLC0415

        address = self._servers.database.replace("+psycopg", "")
        address = address.replace("/postgres?", f"/{database}?")
        with psycopg.connect(address, autocommit=True) as connection:
            asked = connection.execute(query)
            return asked.fetchall() if asked.description else []


class _Strike:
    """Kills a server, and starts it again after a while."""

    def __init__(self, server: Server, pause_s: float) -> None:
        self._server = server
        self._starts = threading.Timer(pause_s, server.start)

    def __call__(self) -> None:
        self._server.kill()
        self._starts.start()

    def done(self) -> bool:
        """Whether it has happened; the server runs again then."""
        if self._starts.ident is None:
            return False
        self._starts.join()
        return True


@contextmanager
def servers(folder: Path, project: Path) -> Iterator[Servers]:
    """PostgreSQL, S3 and `mlflow server` for as long as the block lasts."""
    folder.mkdir(parents=True)
    with shared_server(folder) as running:
        yield Servers(folder, project, running)
