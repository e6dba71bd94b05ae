"""What a lab shares, made to throw away: PostgreSQL, S3 and `mlflow server`."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .process import Server, answers, free_port

BUCKET = "sgseg"
OWNER = "sgseg"
NEEDED = ("psycopg", "boto3", "moto")
UNPRIVILEGED = ("postgres", "nobody")
# Speed instead of safety from a power cut; a killed process loses nothing.
SETTINGS = {
    "listen_addresses": "",  # a socket in its folder is enough, and no port is taken
    "fsync": "off",
    "dynamic_shared_memory_type": "mmap",  # in its folder: nothing is left in /dev/shm
}


def missing() -> str:
    """What is not installed, of all that the servers need; empty where nothing is missing."""
    packages = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return ", ".join(packages + ([] if postgresql_programs() else ["PostgreSQL (initdb)"]))


def postgresql_programs() -> Path | None:
    """Folder of `initdb` and `postgres`: Debian keeps them off the PATH, one folder per version."""
    of_debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = sorted(of_debian, key=lambda path: int(path.parts[-3].partition(".")[0]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent


@dataclass(frozen=True)
class SharedServer:
    """All three, running; each can be killed and started again, and answers at the same address.

    Parameters
    ----------
    url
        What MLFLOW_TRACKING_URI is to be.
    database
        The address of the database, as SQLAlchemy takes it.
    storage
        The environment with which boto3 and MLflow find the bucket.
    """

    url: str
    database: str
    storage: Mapping[str, str]
    postgresql: Server
    s3: Server
    """Keeps all in memory: killed, it forgets the bucket."""
    mlflow: Server


@contextmanager
def shared_server(folder: Path) -> Iterator[SharedServer]:
    """Start all three, with their logs in `folder`; they have ended when the block has."""
    with ExitStack() as stack:

        def run(server: Server, end: Callable[[], None]) -> None:
            stack.callback(end)
            server.start()

        # None of pytest's folders: another user has no way into those, and the path of a socket
        # has to be short.
        home = Path(stack.enter_context(TemporaryDirectory(prefix="sgseg-", dir="/tmp")))
        postgresql = _postgresql(home, folder)
        run(postgresql, postgresql.stop)  # killed, it would leave its shared memory
        s3, storage = _s3(folder)
        run(s3, s3.kill)
        s3_client(storage).create_bucket(Bucket=BUCKET)
        database = f"postgresql+psycopg://{OWNER}@/postgres?host={home}"
        mlflow, url = _mlflow(folder, database, storage)
        run(mlflow, mlflow.kill)
        yield SharedServer(url, database, storage, postgresql, s3, mlflow)


def s3_client(storage: Mapping[str, str]) -> Any:
    """A client of boto3 for the S3 of `SharedServer.storage`."""
    import boto3  # noqa: PLC0415 - where it is not installed the tests are skipped

    return boto3.client(
        "s3",
        endpoint_url=storage["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id=storage["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=storage["AWS_SECRET_ACCESS_KEY"],
        region_name=storage["AWS_DEFAULT_REGION"],
    )


def script(name: str) -> str:
    """A program of the environment that runs the tests."""
    return str(Path(sys.executable).with_name(name))


def path_of_scripts() -> dict[str, str]:
    """MLflow starts programs of its environment by name."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _postgresql(home: Path, logs: Path) -> Server:
    programs = postgresql_programs()
    assert programs is not None
    user = _unprivileged() if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user is not None:
        shutil.chown(home, user)
    data = home / "data"

    def program(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(programs / name), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=home, user=user
        )

    made = program(
        *("initdb", "--pgdata", str(data), "--username", OWNER, "--auth", "trust"),
        *("--encoding", "UTF8", "--no-locale", "--no-sync"),
    )
    assert made.returncode == 0, f"initdb: {made.stderr}"
    with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.writelines(f"{key} = '{value}'\n" for key, value in SETTINGS.items())
    return Server(
        "PostgreSQL",
        [str(programs / "postgres"), "-D", str(data), "-k", str(home)],
        log=logs / "postgresql.log",
        ready=lambda: program("pg_isready", "--host", str(home)).returncode == 0,
        user=user,
        cwd=home,
        stop_signal=signal.SIGINT,  # end now, without waiting for clients to go
    )


def _unprivileged() -> str:
    for name in UNPRIVILEGED:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise AssertionError(f"PostgreSQL cannot run as root, and there is no user {UNPRIVILEGED}")


def _s3(logs: Path) -> tuple[Server, dict[str, str]]:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    server = Server(
        "moto_server",
        [script("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        log=logs / "s3.log",
        ready=lambda: answers(f"{endpoint}/moto-api/"),
    )
    return server, {
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _mlflow(logs: Path, database: str, storage: Mapping[str, str]) -> tuple[Server, str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = Server(
        "mlflow server",
        [
            *(script("mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", database, "--workers", "1"),
            *("--artifacts-destination", f"s3://{BUCKET}/artifacts"),
        ],
        log=logs / "mlflow.log",
        ready=lambda: answers(f"{url}/health"),
        environment={
            **path_of_scripts(),
            **storage,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Eight processes that wait for work of a kind that nobody here has.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
    )
    return server, url
