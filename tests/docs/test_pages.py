"""Commands, parameters, paths and links of the pages exist as they are written; nothing is run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from . import check, contents
from .markdown import ROOT, Block, blocks, indented_blocks, pages, spans
from .plan import PLANS, unplanned, unused
from .shell import commands

PAGES = pages()
BLOCKS = [block for page, text in PAGES.items() for block in blocks(page, text)]
LINK = re.compile(r"\]\((?P<target>[^)#\s]+)(#[^)]*)?\)")


def wrong_in(block: Block) -> list[str]:
    """Every command of a block that does not exist as it is written."""
    syntax = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    found = [syntax.stderr.strip()] if syntax.returncode else []
    return found + [
        f"{block.place}: `{' '.join(command.words)}`: {said}"
        for command in commands(block.text)
        if (said := check.complaint(command.words))
    ]


def wrong_inline(page: str, text: str) -> list[str]:
    """Every inline command, option, parameter or path of a page that does not exist."""
    found = []
    for span in spans(page, text):
        try:
            asked = commands(re.sub("<[^<>]+>", "NAME", span.text))
        except ValueError:
            continue  # no command, but a piece of another language
        for command in asked:
            if check.is_command(command.words):
                found.append((span, check.complaint(command.words, whole=False)))
        found += [
            (span, said)
            for said in (
                check.unknown_option(span.text),
                contents.wrong_key(span.text),
                check.missing_path(span.text),
            )
        ]
    return [f"{span.place}: `{span.text}`: {said}" for span, said in found if said]


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_the_blocks_exist(page: str) -> None:
    found = [
        said for block in BLOCKS if (block.page, block.language) == (page, "sh")
        for said in wrong_in(block)
    ]  # fmt: skip
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES)
def test_commands_parameters_and_paths_in_sentences_exist(page: str) -> None:
    found = wrong_inline(page, PAGES[page])
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_that_are_no_commands_can_be_read(page: str, tmp_path: Path) -> None:
    found = [
        f"{block.place}: {said}"
        for block in BLOCKS
        if block.page == page and block.language != "sh"
        if (said := contents.complaint(block, tmp_path))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str) -> None:
    assert indented_blocks(PAGES[page]) == [], "use a fence: ```sh, ```text, ```python, ```yaml"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    targets = [match["target"] for match in LINK.finditer(PAGES[page])]
    folder = (ROOT / page).parent
    lost = [t for t in targets if "://" not in t and not (folder / t).exists()]
    assert lost == []


def test_every_block_of_commands_is_run_or_excepted() -> None:
    found = [block.place for block in BLOCKS if unplanned(block, PLANS)]
    assert found == [], "neither run nor excepted: give their page a plan in tests/docs/plan.py"


def test_the_plan_has_nothing_that_no_page_has() -> None:
    assert unused(PAGES, BLOCKS, PLANS) == []
