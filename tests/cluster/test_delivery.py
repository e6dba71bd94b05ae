"""A bundle to workers that come and go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from distributed.core import CommClosedError

from sgseg.cluster.delivery import TRIES, delivered


class Flaky:
    """A client of a cluster whose workers die while they are spoken to."""

    status = "running"

    def __init__(self, failures: int) -> None:
        self.failures, self.names = failures, set()

    def register_plugin(self, _: object, *, name: str) -> None:
        self.names.add(name)
        self.failures -= 1
        if self.failures >= 0:
            raise CommClosedError("Stream is closed")

    def unregister_worker_plugin(self, name: str) -> None:
        self.names.remove(name)
        raise CommClosedError("Stream is closed")


def test_a_worker_that_dies_meanwhile(make_bundle: Callable[..., Path]) -> None:
    """Chaos found it: the run ended with a stack trace."""
    client = Flaky(failures=TRIES - 1)
    with delivered(client, make_bundle()):  # type: ignore[arg-type]
        assert len(client.names) == 1
    assert client.names == set()


def test_a_cluster_that_never_answers(make_bundle: Callable[..., Path]) -> None:
    with (
        pytest.raises(CommClosedError),
        delivered(Flaky(failures=TRIES), make_bundle()),  # type: ignore[arg-type]
    ):
        pass
