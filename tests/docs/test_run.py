"""Every command of the pages, run: `make test-docs`. Minutes, so not part of `make test`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .markdown import Block, blocks, pages
from .plan import PLANS, is_run
from .running import Reader
from .scratch import Scratch

STEPS = [
    block
    for page, text in pages().items()
    if page in PLANS
    for block in [
        *filter(is_run, blocks(page, text)),
        *(Block(page, 0, "sh", f"{command}\n") for command in PLANS[page].also),
    ]
]


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    made = Scratch(tmp_path_factory.mktemp("docs"))
    made.make()
    return made


@pytest.fixture(scope="session")
def reader_of(
    scratch: Scratch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Reader]]:
    """The reader of a page; of one page at a time, as all have the same home."""
    now: dict[str, Reader] = {}

    def reader(page: str) -> Reader:
        if page not in now:
            close()
            now[page] = Reader(scratch, PLANS[page], tmp_path_factory.mktemp("page"))
        return now[page]

    def close() -> None:
        for opened in now.values():
            opened.close()
        now.clear()

    yield reader
    close()


@pytest.mark.parametrize(
    "block", STEPS, ids=lambda block: f"{block.place}:{block.text.split(chr(10))[0][:50]}"
)
def test_commands_do_what_the_page_says(block: Block, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--run-commands", default=False):
        pytest.skip("run by `make test-docs`")
    if reason := PLANS[block.page].rule(block).skip:
        pytest.skip(reason)
    reader_of: Callable[[str], Reader] = request.getfixturevalue("reader_of")
    reader_of(block.page).follow(block)
