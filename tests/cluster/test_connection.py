from __future__ import annotations

import os
from contextlib import nullcontext

import pytest
from distributed import Client

from sgseg.cluster import connection
from sgseg.cluster.connection import connect, threads_per_task
from sgseg.errors import InputError


def test_a_cluster_of_this_machine(client: Client) -> None:
    workers = client.scheduler_info()["workers"]
    assert [worker["nthreads"] for worker in workers.values()] == [1, 1]
    # Nobody else on this machine can have them run code.
    assert all(address.startswith("tls://127.0.0.1:") for address in workers)
    assert os.getpid() not in client.run(os.getpid).values()
    assert client.dashboard_link.startswith("http://127.0.0.1:")


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "n_cores", lambda: 8)
    assert [threads_per_task(n, None) for n in (2, 3, 8, 20)] == [4, 2, 1, 1]
    assert threads_per_task(1, "tcp://host:8786") == 1


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://host:1", "127.0.0.1", ""])
def test_no_scheduler_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.5)
    with (
        pytest.raises(InputError, match=f"--scheduler {address}: no scheduler answers there"),
        connect(scheduler=address),
    ):
        raise AssertionError


def test_workers_with_other_software_are_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The scheduler of the fixture stands for one that is there already.
    there = client.scheduler.address
    monkeypatch.setattr(connection, "_client", lambda _: Client(there, security=client.security))
    with connect(scheduler=there) as other:
        assert len(other.scheduler_info()["workers"]) == 2
    monkeypatch.setattr(connection, "differences", lambda *_: "numpy 1 instead of 2")
    with pytest.raises(InputError) as caught, connect(scheduler=there):
        raise AssertionError
    assert len(caught.value.problems) == 2
    assert "its software is another one (numpy 1 instead of 2)" in str(caught.value)


def test_a_scheduler_without_sgseg_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(nullcontext):  # type: ignore[type-arg]
        def __enter__(self) -> Bare:
            return self

        def run_on_scheduler(self, function: object) -> None:
            raise ModuleNotFoundError("No module named 'sgseg'")

    monkeypatch.setattr(connection, "_client", lambda scheduler: Bare())
    expected = r"--scheduler tcp://host:8786: it cannot run sgseg \(No module named 'sgseg'\)"
    with pytest.raises(InputError, match=expected), connect(scheduler="tcp://host:8786"):
        pass
