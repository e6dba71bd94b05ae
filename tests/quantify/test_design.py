from __future__ import annotations

import pytest

from sgseg.errors import InputError
from sgseg.quantify.design import choose_design, natural

DAYS = ["1", "2", "3"]


@pytest.mark.parametrize("name", ["control", "Control", "untreated", "DMSO", "no_stress", "ctrl 1"])
def test_a_control_is_found_by_its_name_and_said(name: str) -> None:
    found = choose_design({"arsenite": DAYS, name: DAYS}, reference=None, design="auto")
    assert found.reference == name
    assert found.notes[0] == f"The reference is {name!r}, by its name."


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["arsenite", "heat"], "no name says which"),
        (["untreated", "DMSO"], "'untreated' and 'DMSO' might both be it"),
        # It only begins like one.
        (["control_arsenite", "heat"], "no name says which"),
    ],
)
def test_without_a_control_nothing_is_compared(names: list[str], why: str) -> None:
    found = choose_design(dict.fromkeys(names, DAYS), reference=None, design="auto")
    assert found.reference is None
    assert why in found.notes[0]
    assert "Give its name" in found.notes[0]


def test_a_given_reference_wins_and_a_wrong_one_is_named() -> None:
    conditions = {"control": DAYS, "heat": DAYS}
    assert choose_design(conditions, reference="heat", design="auto").reference == "heat"
    with pytest.raises(InputError, match="'Heat'; expected one of 'control', 'heat'"):
        choose_design(conditions, reference="Heat", design="auto")


@pytest.mark.parametrize(
    ("of_control", "of_heat", "is_paired", "said"),
    [
        (["1", "10", "2"], ["10", "1", "2"], True, "the replicates 1, 2, 10: compared within"),
        (["1", "2", "3"], ["4", "5", "6"], False, "do not have the same replicates"),
        (["1", "2", "3", "4"], ["1", "2", "3"], False, "share 3, which the paired design"),
        (["1", "2", "3"], ["1", "2"], False, "do not have the same replicates: taken as"),
        ([""], [""], False, "do not have the same replicates"),
        (["1"], ["1"], False, "do not have the same replicates"),
    ],
)
def test_pairs_where_names_say_so(
    of_control: list[str], of_heat: list[str], is_paired: bool, said: str
) -> None:
    conditions = {"control": of_control, "heat": of_heat}
    found = choose_design(conditions, reference=None, design="auto")
    assert found.is_paired is is_paired
    assert said in found.notes[1]
    for design, expected in (("paired", True), ("independent", False)):
        found = choose_design(conditions, reference=None, design=design)
        assert found.is_paired is expected
        assert "as asked for" in found.notes[1]


def test_one_condition_or_none() -> None:
    one = choose_design({"": [""]}, reference=None, design="auto")
    assert one.notes == ("There is one condition: nothing to compare.",)
    none = choose_design({}, reference=None, design="auto")
    assert none.notes == ("No field was measured: nothing to compare.",)


def test_numbers_in_names_are_sorted_as_numbers() -> None:
    names = ["day 10", "day 2", "Day 1", "", "2b", "2a"]
    assert sorted(names, key=natural) == ["", "2a", "2b", "Day 1", "day 2", "day 10"]
