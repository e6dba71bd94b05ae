"""A shared server for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .shared import SharedServer, missing, shared_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    """PostgreSQL, S3 and `mlflow server`; the tests are skipped where something is missing."""
    if lacking := missing():
        pytest.skip(f"not installed: {lacking}")
    folder = tmp_path_factory.mktemp("servers")
    with shared_server(folder) as running, pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", running.url)
        yield running
