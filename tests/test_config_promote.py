"""What the section `promote` refuses; tests/test_config.py has what holds for every section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sgseg.config import Params, load_params, with_values
from sgseg.errors import InputError

PARAMS = Path(__file__).parents[1] / "params.yaml"


def changed(key: str, value: Any) -> Params:
    return with_values(load_params(PARAMS), {key: value})


@pytest.mark.parametrize("value", ["keep", "promote", "more_data"])
def test_ways_to_decide_a_tie(value: str) -> None:
    assert changed("promote.on_tie", value).promote.on_tie == value


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("promote.on_tie", "challenger"),
        ("promote.floors.object_f1", 1.1),
        ("promote.floors.foreground_iou", -0.1),
        ("promote.margins.object_f1", -0.01),
        ("promote.margins.count_error", -0.01),
        ("promote.most_false_per_empty", -1.0),
        ("promote.most_slowdown", 0.9),  # no limit that a model as fast as the champion misses
        ("promote.min_groups", 0),
    ],
)
def test_out_of_range(key: str, wrong: Any) -> None:
    with pytest.raises(InputError, match=f"{key}: got {wrong!r}"):
        changed(key, wrong)
