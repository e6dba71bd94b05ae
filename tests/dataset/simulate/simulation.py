"""The parameters that the tests of the simulator use."""

from __future__ import annotations

from typing import Any

from sgseg.config import Simulate

DEFAULTS: dict[str, Any] = {
    "seed": 7,
    "fields_per_replicate": 3,
    "replicates": 3,
    "size": 256,
    "pixel_size_um": 0.2,
    "conditions": {
        "control": {"positive_cells": 0.12, "granules_per_cell": 2.0},
        "low": {"positive_cells": 0.6, "granules_per_cell": 6.0},
        "high": {"positive_cells": 0.95, "granules_per_cell": 13.0},
    },
    "granule_diameter_um": 0.9,
    "granule_diameter_spread": 0.35,
    "photons": 250.0,
    "distractors": 1.0,
    "visible_contrast": 8.0,
}


def simulation(**changes: Any) -> Simulate:
    return Simulate.model_validate(DEFAULTS | changes)
