"""Options from values as JSON, Parquet and a data frame hold them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.errors import InputError
from sgseg.serving.options import NAMES, Options, shown


def test_values_in_several_forms() -> None:
    assert Options().with_values({}, "params") == Options(returns=("labels",))
    given = {"threshold": 1, "min_area_px": 4.0, "channel": "2", "returns": "rois, labels,"}
    found = Options().with_values({**given, "projection": "max", "pixel_size_um": 0.1}, "params")
    # In the order of RETURNS, whatever the order asked for.
    assert found == Options(1.0, 4, 2, None, "max", 0.1, ("labels", "rois"))
    assert Options().with_values({"channel": "G3BP1"}, "row").channel == "G3BP1"
    assert Options().with_values({"second_channel": "1"}, "row").second_channel == 1
    assert Options().with_values({"returns": ["granules"]}, "row").returns == ("granules",)
    assert Options().with_values({"returns": ""}, "row").returns == ()


def test_of_a_row_what_it_does_not_say_comes_from_the_request() -> None:
    whole = Options().with_values({"threshold": 0.3, "min_area_px": 9}, "params")
    row = whole.with_values({"threshold": None, "min_area_px": 5}, "row")
    assert (row.threshold, row.min_area_px) == (0.3, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 1.01),
        ("threshold", "0.5"),
        ("threshold", True),
        ("threshold", float("nan")),
        ("min_area_px", 0),
        ("min_area_px", 2.5),
        ("min_area_px", 10**400),
        ("channel", -1),
        ("channel", ""),
        ("channel", 1.5),
        ("projection", "best"),
        ("projection", ["max"]),
        ("pixel_size_um", 0),
        ("pixel_size_um", float("inf")),
        ("returns", "everything"),
        ("returns", 3),
        ("returns", [["labels"]]),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^params: {name}: got .*; expected "):
        Options().with_values({name: value}, "params")


def test_all_that_is_wrong_is_named() -> None:
    with pytest.raises(InputError) as caught:
        Options().with_values({"threshold": 2, "treshold": 0.5, "channel": []}, "params")
    where = [problem.where for problem in caught.value.problems]
    assert where == ["params: threshold", "params: 'treshold'", "params: channel"]


@given(st.dictionaries(st.sampled_from(NAMES), st.from_type(object) | st.floats() | st.text()))
def test_any_value_is_taken_or_refused(values: dict[str, Any]) -> None:
    try:
        found = Options().with_values(values, "row")
    except InputError:
        return
    assert found.threshold is None or 0 <= found.threshold <= 1
    assert found.min_area_px is None or found.min_area_px >= 1
    assert found.pixel_size_um is None or found.pixel_size_um > 0


@pytest.mark.parametrize("value", ["x" * 10**6, b"x" * 10**6, [0] * 10**5, {"a": 1}, 10**4000])
def test_what_was_sent_is_not_sent_back(value: object) -> None:
    assert len(shown(value)) <= 60
