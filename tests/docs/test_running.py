"""A reader's shell: what fails is seen, servers run beside it and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers.process import answers, free_port

from . import running
from .markdown import Block
from .plan import Plan, Rule
from .running import Reader
from .scratch import Scratch


class EmptyScratch(Scratch):
    """A home with nothing in it."""

    def lay(self) -> None:
        for folder in (self.project, self.programs):
            folder.mkdir(parents=True)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Callable[..., Reader]]:
    opened: list[Reader] = []

    def open_page(*rules: Rule, before: str = "") -> Reader:
        opened.append(Reader(EmptyScratch(tmp_path), Plan(before, rules), tmp_path))
        return opened[-1]

    yield open_page
    for one in opened:
        one.close()


def shell(text: str) -> Block:
    return Block("p.md", 1, "sh", text)


def test_a_block_is_one_shell_and_the_page_one_project(
    reader: Callable[..., Reader], tmp_path: Path
) -> None:
    page = reader(before="echo before > a.txt")
    page.follow(shell("export WORD=b\necho $WORD >> a.txt\n"))
    page.follow(shell("echo ${WORD:-unset} ~ >> a.txt\n"))
    home = tmp_path / "home"
    assert (home / "sgseg/a.txt").read_text() == f"before\nb\nunset {home}\n"


@pytest.mark.parametrize(
    "text",
    ["false\ntrue\n", "false | true\n", "echo 'Traceback (most recent call last)'\n", "nothing\n"],
)
def test_what_goes_wrong_is_seen(reader: Callable[..., Reader], text: str) -> None:
    with pytest.raises(AssertionError):
        reader().follow(shell(text))


def test_python_is_run_too(reader: Callable[..., Reader]) -> None:
    page = reader()
    page.follow(Block("p.md", 1, "python", "assert 1 + 1 == 2\n"))
    with pytest.raises(AssertionError, match="status 1"):
        page.follow(Block("p.md", 1, "python", "assert 1 + 1 == 3\n"))


def test_rules_replace_leave_out_type_and_look_afterwards(
    reader: Callable[..., Reader], tmp_path: Path
) -> None:
    page = reader(
        Rule("NAME", replace={"NAME": "ada"}, leave_out={"reboot": "root"}, after="test -s ada"),
        Rule("read", typed="yes\n"),
        Rule("exit", statuses=(3,)),
        Rule("touch", after="test -s empty"),
    )
    page.follow(shell("echo 1 > NAME\nreboot now\n"))
    page.follow(shell("read answer; test $answer = yes\n"))
    page.follow(shell("exit 3\n"))
    with pytest.raises(AssertionError):
        page.follow(shell("touch empty\n"))


def test_a_server_answers_the_next_command_and_ends_with_the_page(
    reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setitem(running.SERVERS, ("python", "-m", "http.server"), (port, "/"))
    page = reader()
    page.follow(shell(f"cd .\nWORD=1 python -m http.server --bind 127.0.0.1 {port}   # seen\n"))
    page.follow(shell(f"curl -sf http://127.0.0.1:{port}/ > /dev/null\n"))
    assert answers(f"http://127.0.0.1:{port}/")
    page.close()
    assert not answers(f"http://127.0.0.1:{port}/")


def test_a_server_that_does_not_start_fails(
    reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(running.SERVERS, ("serve",), (free_port(), "/"))
    with pytest.raises(AssertionError, match="no answer"):
        reader().follow(shell("serve\n"))
