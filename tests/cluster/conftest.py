"""One cluster of two workers for all tests of a file; starting one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client

from sgseg.cluster.connection import connect


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with connect(workers=2) as connected:
        yield connected
