"""Which images stay together, and under what name."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.dataset.groups import Groups, name_groups


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), links(n))))
def test_groups_are_the_connected_components(case: tuple[int, list[tuple[int, int]]]) -> None:
    n, pairs = case
    groups = Groups(n)
    for a, b in pairs:
        groups.join(a, b)
    for item in range(n):
        reached = {item}
        for _ in range(n):
            reached |= {end for pair in pairs if reached & set(pair) for end in pair}
        assert groups.root(item) == min(reached)
        assert groups.size(item) == len(reached)


def links(n: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=12)


def test_an_image_is_a_group_of_its_own() -> None:
    assert name_groups(["a", "b"], ["", ""], []) == ["a", "b"]


def test_copies_are_one_group_named_after_the_first() -> None:
    assert name_groups(["a", "b", "c", "d"], [""] * 4, [(1, 3), (0, 3)]) == ["a", "a", "c", "a"]


def test_declared_groups_joined_by_copies(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    declared = ["w1", "w2", "w1", "w3", ""]
    assert name_groups(list("abcde"), declared, [(0, 1), (3, 4)]) == [
        *("w1+w2", "w1+w2", "w1+w2", "w3", "w3")
    ]
    assert "groups w1, w2 hold copies of the same image" in caplog.text


def test_an_image_that_is_called_like_a_declared_group() -> None:
    assert name_groups(["w1", "b"], ["", "w1"], []) == ["image w1", "w1"]


def test_names_of_many_joined_groups_stay_short_and_different() -> None:
    declared = [f"{letter}{number}" for letter in "ab" for number in range(6)]
    pairs = [(item, item + 1) for item in (*range(5), *range(6, 11))]
    assert set(name_groups(declared, declared, pairs)) == {"a0+a1+a2+3 more", "b0+b1+b2+3 more"}
