"""A change is complete or has not happened, wherever a process dies; nothing goes unnoticed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sgseg.errors import InputError
from sgseg.registry import aliases, change_alias, read_log, turns
from sgseg.registry.models import Registry, Version, find_version
from sgseg.registry.models import aliases_of as where
from sgseg.registry.turns import MovedMeanwhileError

from .project import champion, evaluate, lines_of_log, reopen, submit, tags_of_log


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def root(two: Path) -> Path:
    """Champion 2, after 1."""
    return two


@pytest.fixture
def registry(root: Path) -> Registry:
    return reopen(root)


def version(registry: Registry, number: int) -> Version:
    found = find_version(registry, number)
    assert found is not None
    return found


def back_to_1(registry: Registry) -> Any:
    return change_alias(registry, "champion", version(registry, 1), how="rollback", why="worse")


def die_at(monkeypatch: pytest.MonkeyPatch, registry: Registry, point: str) -> None:
    """Let the next change end after so many of its writes."""
    puts = {"before it is begun": 0, "before it is done": 1}
    real_put, done = aliases._put, []

    def put(*arguments: Any) -> None:
        if len(done) == puts.get(point):
            raise Killed
        done.append(arguments)
        real_put(*arguments)

    def die(*_: Any) -> None:
        raise Killed

    if point in puts:
        monkeypatch.setattr(aliases, "_put", put)
    elif point == "before the alias":
        monkeypatch.setattr(registry.client, "set_registered_model_alias", die, raising=False)
    else:
        real_add = aliases.add_to_file

        def add(path: Path | None, changes: Any) -> int:
            return die() if changes and changes[-1].why == "worse" else real_add(path, changes)  # type: ignore[func-returns-value]

        monkeypatch.setattr(aliases, "add_to_file", add)


@pytest.mark.parametrize(
    ("point", "happened"),
    [
        ("before it is begun", False),
        ("before the alias", False),
        ("before it is done", True),
        ("before the file", True),
    ],
)
def test_a_process_that_is_killed(
    root: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, point: str, happened: bool
) -> None:
    before = lines_of_log(root)
    with monkeypatch.context() as patch:
        die_at(patch, registry, point)
        with pytest.raises(Killed):
            back_to_1(registry)
    assert lines_of_log(root) == before

    log = read_log(reopen(root))

    assert champion(root) == (1 if happened else 2)
    assert len(log) == len(before) + happened
    assert [entry.pending for entry in log] == [""] * len(log)
    assert lines_of_log(root) == list(tags_of_log(registry).values())
    assert len(lines_of_log(root)) == len(log)
    assert read_log(reopen(root)) == log
    # Given again, it ends as if nothing had been.
    again = back_to_1(registry)
    assert (again is None) == happened
    assert champion(root) == 1
    assert [line["why"] for line in lines_of_log(root)].count("worse") == 1


def test_a_process_that_really_dies_holds_nobody_up(root: Path) -> None:
    before = lines_of_log(root)
    evaluate(root, 0.9)
    command = [sys.executable, "-m", "registry.project", str(root), "add_to_file"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 9
    assert lines_of_log(root) == before
    assert submit(root).what == "promoted"
    assert champion(root) == 3
    steps = [(line["alias"], line["to_version"]) for line in lines_of_log(root)]
    assert steps == [(alias, n) for n in (1, 2, 3) for alias in ("challenger", "champion")]


def test_what_another_machine_is_at_is_left_alone(
    root: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = read_log(registry)[-1]
    elsewhere = replace(
        entry, number=9, id="elsewhere", from_version=2, to_version=1, pending="other-host/1/2"
    )
    server = replace(registry, store=replace(registry.store, uri="http://lab:5000"))
    for when, left in ((aliases.now(), True), ("2020-01-01T00:00:00Z", False)):
        begun = replace(elsewhere, when=when)
        registry.client.set_registered_model_tag("sgseg", begun.tag, begun.as_json())
        assert begun.id not in {change.id for change in read_log(server)}
        assert (begun.tag in tags_of_log(registry)) == left
    # When the alias is where it was to go, the change took place, whoever writes that down.
    begun = replace(elsewhere, when=aliases.now())
    registry.client.set_registered_model_tag("sgseg", begun.tag, begun.as_json())
    registry.client.set_registered_model_alias("sgseg", "champion", "1")
    assert read_log(server)[-1] == begun.done()


@pytest.fixture
def server(registry: Registry) -> Registry:
    """The same registry, as a machine sees it that shares no lock with the others."""
    return replace(registry, store=replace(registry.store, uri="http://lab:5000"))


@pytest.fixture
def other(server: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry as another machine sees it."""
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.0)
    home = tmp_path / "another machine"
    home.mkdir()
    return replace(server, store=replace(server.store, home=home))


def begun(registry: Registry, **values: Any) -> Any:
    """The entry of a change to version 1 that another machine is at."""
    entry = replace(
        read_log(registry)[-1], from_version=2, to_version=1, pending="other-host/1/2", **values
    )
    registry.client.set_registered_model_tag("sgseg", entry.tag, entry.as_json())
    return entry


def test_who_is_at_it_is_not_disturbed(root: Path, server: Registry) -> None:
    begun(server, number=9, id="elsewhere", when=aliases.now(), who="Grace")
    before = tags_of_log(server)
    with pytest.raises(MovedMeanwhileError, match="is being changed by Grace to version 1"):
        back_to_1(server)
    assert tags_of_log(server) == before
    # The other alias is nobody's.
    done = change_alias(server, "challenger", version(server, 1), how="registered", why="x")
    assert done is not None
    # Not one that is taken, by an unfinished change too.
    assert done.number == 10
    # It sees where the alias went: no change from outside.
    server.client.set_registered_model_alias("sgseg", "champion", "1")
    assert [entry.how for entry in read_log(server)].count("outside") == 0


def test_two_machines_that_begin_at_once(
    root: Path, server: Registry, other: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, entries = aliases._put, []

    def put_after_the_other(registry: Registry, change: Any) -> None:
        entries.append(change)
        if len(entries) == 1:  # Both have looked, and nobody was at it.
            with monkeypatch.context() as elsewhere:
                elsewhere.setattr(aliases, "running_process", lambda: "other-host/1/2")
                done = change_alias(
                    other, "champion", version(other, 1), how="by hand", why="first"
                )
            assert done is not None
        put(registry, change)

    monkeypatch.setattr(aliases, "_put", put_after_the_other)
    with pytest.raises(MovedMeanwhileError, match="is being changed by"):
        back_to_1(server)
    assert champion(root) == 1
    log = read_log(server)
    assert [entry.why for entry in log[4:]] == ["first"]
    assert [entry.number for entry in log] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("id_", "mine"), [("00000000", False), ("zzzzzzzz", True)])
def test_of_two_entries_the_lower_one_waits_until_the_other_lets_go(
    server: Registry, other: Registry, monkeypatch: pytest.MonkeyPatch, id_: str, mine: bool
) -> None:
    moment, looks = aliases.now(), []
    monkeypatch.setattr(aliases, "now", lambda: moment)
    put = aliases._put

    def with_another(registry: Registry, change: Any) -> None:
        if not looks and change.pending:
            looks.append(begun(other, number=change.number, id=id_, when=moment))
        put(registry, change)

    def sleep(_: float) -> None:
        entry = looks[0]
        looks.append(entry)
        if len(looks) == 3:
            other.client.delete_registered_model_tag("sgseg", entry.tag)

    monkeypatch.setattr(aliases, "_put", with_another)
    monkeypatch.setattr(turns, "sleep", sleep)
    if mine:
        assert back_to_1(server).number == 5
        assert len(looks) == 3
    else:
        with pytest.raises(MovedMeanwhileError):
            back_to_1(server)
        assert len(looks) == 1
        (left,) = [name for name in tags_of_log(server) if ".000005." in name]
        assert left.endswith(id_)


def test_who_never_lets_go_is_not_waited_for_for_ever(
    server: Registry, other: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = aliases.now()
    monkeypatch.setattr(aliases, "now", lambda: moment)
    put = aliases._put

    def with_another(registry: Registry, change: Any) -> None:
        put(registry, change)
        begun_by = replace(change, id="zzzzzzzz", pending="other-host/1/2")
        registry.client.set_registered_model_tag("sgseg", begun_by.tag, begun_by.as_json())

    monkeypatch.setattr(aliases, "_put", with_another)
    with pytest.raises(MovedMeanwhileError):
        back_to_1(server)
    assert where(server)["champion"] == 2


def test_no_change_no_entry(root: Path, registry: Registry) -> None:
    before = lines_of_log(root)
    done = change_alias(registry, "champion", version(registry, 2), how="by hand", why="again")
    assert done is None
    assert lines_of_log(root) == before


def test_somebody_else_was_faster(root: Path, registry: Registry) -> None:
    before = lines_of_log(root)
    for expected, shown in ((1, "version 1"), (None, "version none")):
        with pytest.raises(MovedMeanwhileError, match=f"at version 2 by now; expected {shown}"):
            change_alias(
                registry, "champion", version(registry, 1), how="gate", why="x", expected=expected
            )
    assert lines_of_log(root) == before
    assert champion(root) == 2


def test_what_was_moved_in_mlflow_is_noted(root: Path, registry: Registry) -> None:
    registry.client.set_registered_model_alias("sgseg", "champion", "1")
    last = read_log(registry)[-1]
    assert (last.how, last.from_version, last.to_version) == ("outside", 2, 1)
    assert last.to_bundle == version(registry, 1).bundle
    assert lines_of_log(root)[-1]["id"] == last.id
    assert read_log(registry)[-1] == last


@pytest.mark.parametrize("lost", ["file", "tags"])
def test_each_copy_of_the_log_restores_the_other(root: Path, registry: Registry, lost: str) -> None:
    log = read_log(registry)
    if lost == "file":
        (root / "registry/history.jsonl").unlink()
    else:
        for name in tags_of_log(registry):
            registry.client.delete_registered_model_tag("sgseg", name)
    assert read_log(registry) == log
    assert lines_of_log(root) == list(tags_of_log(registry).values())
    assert [line["id"] for line in lines_of_log(root)] == [change.id for change in log]


def test_a_damaged_file_stops_a_change_before_it_begins(root: Path, registry: Registry) -> None:
    path = root / "registry/history.jsonl"
    path.write_text(path.read_text() + "=======\n")
    tags = tags_of_log(registry)
    with pytest.raises(InputError, match="line 5"):
        back_to_1(registry)
    assert champion(root) == 2
    assert tags_of_log(registry) == tags


def test_who_did_it(root: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for key, value in (("user.name", "Ada Lovelace"), ("user.email", "ada@lab.org")):
        subprocess.run(["git", "-C", str(root), "config", key, value], check=True)
    assert back_to_1(registry).who == "Ada Lovelace <ada@lab.org>"
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": "ada",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "lab/sg",
        "GITHUB_RUN_ID": "7",
    }.items():
        monkeypatch.setenv(name, value)
    done = change_alias(registry, "champion", version(registry, 2), how="gate", why="x")
    assert done is not None
    assert done.who == "CI for ada (https://github.com/lab/sg/actions/runs/7)"


def test_outside_of_a_project_no_file_is_written(
    root: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.store.uri)
    back_to_1(reopen(folder))
    assert champion(root) == 1
    assert [path for path in folder.iterdir() if not path.name.endswith(".lock")] == []
    # The project's copy follows with its next look.
    before = lines_of_log(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert len(read_log(reopen(root))) == len(lines_of_log(root)) == len(before) + 1


def test_aliases_are_read_as_numbers(registry: Registry) -> None:
    assert where(registry) == {"challenger": 2, "champion": 2}
    assert os.environ.get("MLFLOW_TRACKING_URI") is None
