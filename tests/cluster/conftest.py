"""One cluster of two workers for all these tests; starting one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client

from sgseg.cluster.connection import connect

WORKERS = 2


@pytest.fixture(scope="package")
def cluster() -> Iterator[Client]:
    with connect(workers=WORKERS) as connected:
        yield connected


@pytest.fixture
def client(cluster: Client) -> Client:
    """Both workers are there, whatever died in the test before."""
    cluster.wait_for_workers(WORKERS, timeout=60)
    return cluster
