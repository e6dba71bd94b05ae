"""A cluster to work on: one of this machine, for as long as it is needed, or one that is there."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sgseg.cluster.site import differences, environment
from sgseg.errors import InputError, Problem
from sgseg.processes import n_cores

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

ANSWER_SECONDS = 20.0
KILLS = 1
"""So many workers may die with a task before it is set aside; see `spread`."""

WORKER = {
    # No results wait in a worker that it could write to disk, and one that pauses while ONNX
    # Runtime keeps memory for the next image would never go on.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}
HERE = {
    # On a busy machine a worker takes long to start again; it is not lost.
    "distributed.deploy.lost-worker-timeout": "300s",
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
}


@contextmanager
def connect(*, workers: int = 1, scheduler: str | None = None) -> Iterator[Client]:
    """A client of a cluster; that of this machine ends with the block.

    Parameters
    ----------
    workers
        Processes of a cluster on this machine, of one task each at a time, which share its cores
        and memory.
    scheduler
        Address of a Dask scheduler instead, such as tcp://host:8786.

    Raises
    ------
    InputError
        No scheduler answers at the address, or workers there run other software than this machine;
        each is named.
    """
    _silence()
    if scheduler is None:
        with _local(workers) as client:
            yield client
    else:
        with _existing(scheduler) as client:
            yield client


def revive(client: Client) -> None:
    """Start workers of a cluster of this machine again that ended for good.

    Dask starts a killed worker again, but not one that was killed while it started.
    """
    from distributed.core import Status  # noqa: PLC0415

    cluster = client.cluster
    if cluster is None:
        return
    gone = [
        name
        for name, nanny in list(cluster.workers.items())
        if nanny.status in {Status.failed, Status.closed}
    ]
    for name in gone:
        cluster.workers.pop(name, None)
    if gone:
        cluster.scale(len(cluster.worker_spec))


def _silence() -> None:
    """What a user must know of workers that come and go is said by `spread`."""
    import distributed  # noqa: F401, PLC0415 - it sets the levels of its loggers

    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _local(workers: int) -> Iterator[Client]:
    import dask  # noqa: PLC0415
    from distributed import Client, LocalCluster  # noqa: PLC0415
    from distributed.system import MEMORY_LIMIT  # noqa: PLC0415

    with (
        dask.config.set(HERE),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            # Who can reach a scheduler can run code: other users of this machine, too.
            security=True,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            memory_limit=MEMORY_LIMIT // workers,
            config=WORKER,
            scheduler_kwargs={"allowed_failures": KILLS},
            silence_logs=False,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        _introduce(client, f"{workers} workers on this machine")
        yield client


@contextmanager
def _existing(scheduler: str) -> Iterator[Client]:
    try:
        client = _client(scheduler)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        detail = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(
            Problem(
                f"--scheduler {scheduler}",
                f"no scheduler answers there ({detail})",
                "the address of a Dask scheduler, such as tcp://host:8786",
                "`dask scheduler` starts one and names its address; see docs/cluster.md.",
            )
        ) from None
    with client:
        _check_scheduler(client, scheduler)
        n = len(client.scheduler_info(n_workers=-1)["workers"])
        _introduce(client, f"{n} workers of {scheduler}")
        _check_software(client)
        yield client


def _client(scheduler: str) -> Client:
    from distributed import Client  # noqa: PLC0415
    from distributed.security import Security  # noqa: PLC0415

    # Without, Dask's client fails too, but hangs when it is disposed of.
    shown = Security().get_connection_args("client")["ssl_context"]
    if scheduler.startswith("tls:") and shown is None:
        expected = "distributed.comm.tls in the settings of Dask: ca-file, client.cert, client.key"
        what, remedy = "no certificate to show there", "See docs/cluster.md, Security."
        raise InputError(Problem(f"--scheduler {scheduler}", what, expected, remedy))
    return Client(scheduler, timeout=ANSWER_SECONDS, set_as_default=False)


def _introduce(client: Client, what: str) -> None:
    if not client.run_on_scheduler(_can_draw):
        log.info("%s; no dashboard: `pip install bokeh` where the scheduler runs", what)
    elif "dashboard" not in client.scheduler_info()["services"]:
        log.info("%s; the scheduler was started without a dashboard", what)
    else:
        log.info("%s; dashboard: %s", what, client.dashboard_link)


def _can_draw() -> bool:
    """On the scheduler."""
    return importlib.util.find_spec("bokeh") is not None


def _check_scheduler(client: Client, scheduler: str) -> None:
    """Refuse one without sgseg: it reads the tasks before it passes them on."""
    try:
        client.run_on_scheduler(_can_draw)
    except ImportError as error:
        what, expected = f"it cannot run sgseg ({error})", "that of the machine that asks"
        remedy = "Install the same requirements.lock and the same sgseg there."
        raise InputError(Problem(f"--scheduler {scheduler}", what, expected, remedy)) from None


def _check_software(client: Client) -> None:
    """Refuse workers that would fail, or give other bytes."""
    here = environment()
    problems = []
    for worker, found in client.run(environment, on_error="return").items():
        if isinstance(found, BaseException):
            what = f"it cannot run sgseg ({type(found).__name__}: {found})"
        elif other := differences(found, here):
            what = f"its software is another one ({other})"
        else:
            continue
        expected = "that of the machine that asks"
        remedy = "Install the same requirements.lock and the same sgseg there."
        problems.append(Problem(f"worker {worker}", what, expected, remedy))
    if problems:
        raise InputError(*problems)


def threads_per_task(workers: int, scheduler: str | None) -> int:
    """Cores for a network on a worker.

    Those of this machine are shared out. A worker of an existing cluster says itself how many tasks
    it takes at once (`--nthreads`): each has one core.
    """
    return 1 if scheduler is not None else max(1, n_cores() // workers)
