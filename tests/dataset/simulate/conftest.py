"""Simulated fields shared by the tests of the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from sgseg.dataset.simulate import Field, simulate_field

from .simulation import simulation


@pytest.fixture(scope="session")
def fields() -> dict[str, list[Field]]:
    """All fields of the default simulation by condition."""
    params = simulation()
    return {
        condition: [
            simulate_field(params, condition=condition, replicate=replicate, field=number)
            for replicate in range(1, params.replicates + 1)
            for number in range(1, params.fields_per_replicate + 1)
        ]
        for condition in params.conditions
    }


@pytest.fixture(scope="session")
def all_fields(fields: dict[str, list[Field]]) -> list[Field]:
    return [field for group in fields.values() for field in group]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)
