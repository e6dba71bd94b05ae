"""A worker that takes too much memory is killed by Dask, and what it was at is known for that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from cluster.calls import Greedy, Square
from sgseg.cluster.site import marked
from sgseg.cluster.spread import Died, Item, spread

LIMIT = 700 * 2**20
"""With Dask and what it has imported a worker has some 300 MB."""


@pytest.fixture
def limited(client: Client) -> Iterator[Client]:
    """Its workers may have `LIMIT` bytes each."""
    before = client.run(_limit, LIMIT, nanny=True)
    yield client
    client.run(_limit, next(iter(before.values())), nanny=True)


def _limit(limit: int, dask_worker: Any) -> int:
    """On a nanny; Dask gives itself to an argument of this name."""
    manager = dask_worker.memory_manager
    before, manager.memory_limit = manager.memory_limit, limit
    return int(before)


def test_too_much_for_a_worker(limited: Client, tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    with marked(tmp_path / "out") as site:

        def results(*calls: object) -> list[object]:
            items: list[Item[object]] = [Item(tmp_path / "a.tif", call) for call in calls]  # type: ignore[arg-type]
            return [found for _, found in spread(limited, items, site, unit="image")]

        (died,) = results(Greedy(3 * LIMIT))
        assert isinstance(died, Died)
        assert died.times == 2
        assert died.bytes_used is not None
        # Dask does not wait for the last byte.
        assert 0.9 * LIMIT < died.bytes_used < 3 * LIMIT
        assert sorted(map(str, results(Square(2), Square(3)))) == ["4", "9"]
