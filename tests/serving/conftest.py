"""A model that is served while the tests of a file run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.served import Served, make_model


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of two members as MLflow saves it."""
    return make_model(tmp_path_factory.mktemp("model"), 2.0, 2.2)


@pytest.fixture(scope="package")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`mlflow models serve` of it."""
    with Served(model, tmp_path_factory.mktemp("server") / "log.txt") as served:
        yield served
