"""The log as entries: what is kept, merged and read out of it. No store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.errors import InputError
from sgseg.registry.history import (
    Change,
    How,
    add_to_file,
    champions,
    in_short,
    log_file,
    merged,
    parse,
    read_file,
    read_tags,
    withdrawn,
    withdrawn_version,
)


def change(number: int, **values: Any) -> Change:
    content: dict[str, Any] = {
        "id": f"{number:08x}",
        "registry": "here",
        "alias": "champion",
        "from_version": None,
        "to_version": number,
        "from_bundle": "",
        "to_bundle": f"b{number}",
        "how": "gate",
        "why": "better",
        "who": "Ada <ada@lab.org>",
        "when": f"2026-01-01T00:00:{number % 60:02d}Z",
    }
    return Change(number=number, **(content | values))


def moves(*steps: tuple[How, int | None]) -> list[Change]:
    """Changes of the champion: how, and to which version."""
    log: list[Change] = []
    for number, (how, to) in enumerate(steps, start=1):
        before = log[-1].to_version if log else None
        log.append(
            change(
                number,
                how=how,
                to_version=to,
                to_bundle="" if to is None else f"b{to}",
                from_version=before,
                from_bundle="" if before is None else f"b{before}",
            )
        )
    return log


texts = st.text(max_size=30)
numbers = st.none() | st.integers(1, 99)


@given(why=texts, who=texts, from_version=numbers, to_version=numbers, pending=texts)
def test_an_entry_is_one_line_and_comes_back(**values: Any) -> None:
    entry = change(3, **values)
    line = entry.as_json()
    assert len(line.splitlines()) == 1 or "\n" not in line
    assert parse(line, "here") == entry
    assert ("pending" in json.loads(line)) == bool(values["pending"])


@given(st.text(max_size=4000))
def test_a_reason_fits_into_a_tag(text: str) -> None:
    # A tag of a registered model has 5000 characters; JSON doubles quotes and backslashes.
    short = in_short(text)
    assert len(short) <= 1504
    assert len(change(999999, why=short, who="x" * 300).as_json()) < 5000
    assert short.isprintable()


@given(st.permutations(range(1, 8)), st.integers(0, 127))
def test_copies_of_a_log_merge_to_the_same_whatever_each_has(order: list[int], chosen: int) -> None:
    log = [change(number) for number in range(1, 8)]
    one = [log[i - 1] for i in order if chosen >> (i - 1) & 1]
    other = [log[i - 1] for i in order if not chosen >> (i - 1) & 1]
    assert merged(one, other) == merged(other, one, one) == log


def test_registries_stay_apart_in_the_order_in_which_they_began() -> None:
    first = [change(1, registry="z"), change(2, registry="z", id="z2", when="2026-03-01T00:00:00Z")]
    second = [change(1, registry="a", id="a1", when="2026-02-01T00:00:00Z")]
    assert merged(second, first) == [*first, *second]


def test_the_same_number_twice_is_two_changes() -> None:
    one, other = change(5, id="aa"), change(5, id="bb", when="2025-01-01T00:00:00Z")
    assert one.tag == "sgseg.change.000005.aa"
    tags = {entry.tag: entry.as_json() for entry in (one, other)} | {"team": "x"}
    assert read_tags(tags, "here", "sgseg") == [other, one]


def test_what_only_a_newer_version_knows_is_left_out() -> None:
    line = json.dumps(json.loads(change(1).as_json()) | {"signature": "s"})
    assert parse(line, "here") == change(1)


@pytest.mark.parametrize("wrong", ["", "{", '{"number": 1}', "[]"])
def test_a_tag_that_is_no_entry_says_how_to_get_rid_of_it(wrong: str) -> None:
    tags = {"sgseg.change.000001.x": wrong, "sgseg.change.000002.y": wrong}
    with pytest.raises(InputError) as caught:
        read_tags(tags, "here", "sgseg")
    assert [problem.where for problem in caught.value.problems] == [
        f"here, tag {name}" for name in tags
    ]
    said = 'delete_registered_model_tag("sgseg", "sgseg.change.000001.x")'
    assert said in caught.value.problems[0].remedy


@pytest.mark.parametrize(
    ("name", "value"), [("when", None), ("alias", 3), ("to_version", "2"), ("number", "1")]
)
def test_a_value_of_another_kind_is_no_entry(name: str, value: Any) -> None:
    line = json.dumps(json.loads(change(1).as_json()) | {name: value})
    with pytest.raises(InputError, match=rf"no entry of the log \(its {name} is "):
        parse(line, "here")


def test_champions_in_turn() -> None:
    up = moves(("gate", 1), ("gate", 2), ("gate", 5))
    assert champions(up, "champion") == [1, 2, 5]
    assert champions(up, "challenger") == []
    # 1, 2, 5, back to 2, back to 1, then 6: what was rolled back is not gone back to.
    more = [("rollback", 2), ("rollback", 1), ("gate", 6)]
    steps: list[tuple[How, int | None]] = [("gate", 1), ("gate", 2), ("gate", 5), *more]  # type: ignore[list-item]
    assert champions(moves(*steps[:4]), "champion") == [1, 2]
    assert champions(moves(*steps[:5]), "champion") == [1]
    assert champions(moves(*steps), "champion") == [1, 6]


def test_a_rollback_forward_and_a_lost_alias() -> None:
    log = moves(("gate", 1), ("gate", 2), ("rollback", 1), ("rollback", 2))
    assert champions(log, "champion") == [1, 2]
    assert champions(moves(("gate", 1), ("outside", None)), "champion") == [1, None]


@pytest.mark.parametrize(
    ("how", "taken"),
    [
        ("rollback", True),
        ("by hand", True),
        ("outside", True),
        ("gate", False),
        ("put back", False),
    ],
)
def test_only_a_person_withdraws_a_model(how: How, taken: bool) -> None:
    log = moves(("gate", 1), ("gate", 2), (how, 1))
    assert (withdrawn(log, "champion", bundle="b2") is log[2]) == taken
    assert (withdrawn_version(log, "champion", 2) is log[2]) == taken
    for alias, number in (("champion", 1), ("challenger", 2)):
        assert withdrawn(log, alias, bundle=f"b{number}") is None
        assert withdrawn_version(log, alias, number) is None


def test_a_model_that_a_person_brought_back_is_not_withdrawn() -> None:
    log = moves(("gate", 2), ("rollback", 1), ("by hand", 2))
    assert withdrawn(log, "champion", bundle="b2") is None
    assert withdrawn_version(log, "champion", 2) is None


def test_the_same_networks_in_another_bundle_are_withdrawn_too() -> None:
    log = moves(("gate", 1), ("gate", 2), ("rollback", 1))
    log = [
        replace(c, from_networks=f"n{c.from_version}", to_networks=f"n{c.to_version}") for c in log
    ]
    assert withdrawn(log, "champion", bundle="another", networks="n2") is log[2]
    assert withdrawn(log, "champion", bundle="b2", networks="n2") is log[2]
    assert withdrawn(log, "champion", bundle="another", networks="n1") is None
    # Entries from before that was noted, and without any bundle.
    assert withdrawn(log, "champion", bundle="b2") is log[2]
    assert withdrawn(moves(("gate", None), ("outside", None)), "champion", bundle="") is None


def test_back_to_other_code_withdraws_the_version_and_not_the_networks() -> None:
    log = [
        replace(c, from_networks="n", to_networks="n")
        for c in moves(("gate", 1), ("repackaged", 2), ("rollback", 1))
    ]
    assert withdrawn(log, "champion", bundle="b2", networks="n") is None
    assert withdrawn_version(log, "champion", 2) is log[2]


def test_who_withdrew_it_last_in_any_store() -> None:
    here = change(1, to_bundle="b", when="2026-01-01T00:00:00Z")
    there = change(
        1, id="t", registry="there", how="rollback", from_bundle="b", when="2026-01-02T00:00:00Z"
    )
    assert withdrawn([there, here], "champion", bundle="b") == there


def test_the_file_grows_and_never_twice(tmp_path: Path) -> None:
    path = tmp_path / "registry" / "history.jsonl"
    log = [change(number) for number in (1, 2, 3)]
    assert add_to_file(path, log[:2]) == 2
    before = path.read_text()
    assert add_to_file(path, log[:2]) == 0
    assert add_to_file(path, log) == 1
    assert path.read_text().startswith(before)
    assert read_file(path) == log
    assert [item.name for item in path.parent.iterdir()] == ["history.jsonl"]


def test_a_last_line_without_its_end(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(change(1).as_json())
    add_to_file(path, [change(2)])
    assert read_file(path) == [change(1), change(2)]


def test_outside_of_a_project_there_is_no_file(tmp_path: Path) -> None:
    assert log_file(tmp_path) is None
    assert read_file(None) == []
    assert add_to_file(None, [change(1)]) == 0
    (tmp_path / "params.yaml").touch()
    assert log_file(tmp_path) == tmp_path / "registry/history.jsonl"


@pytest.mark.parametrize(
    "line", ["<<<<<<< HEAD", "[]", "3", '{"number": 1}', '{"nothing": 1}', '{"number": "1"}']
)
def test_what_git_left_in_the_file_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(f"{change(1).as_json()}\n{line}\n\n{line}\n")
    with pytest.raises(InputError, match="keep the lines of both sides") as caught:
        read_file(path)
    where = [problem.where for problem in caught.value.problems]
    assert where == [f"{path}, line 2", f"{path}, line 4"]
