"""What a page of documentation holds: its fenced blocks and its inline code, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mistune

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\s*$")
SPAN = re.compile(
    r"(?<!`)(?P<ticks>`+)(?!`)(?P<code>(?:(?!\n\s*\n).)+?)(?<!`)(?P=ticks)(?!`)", re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is that of its first line of content, counted from 1."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Span:
    """Inline code; a line break within it is a blank."""

    page: str
    line: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> dict[str, str]:
    """The text of every page of documentation, by its path in the project."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for file in files
        if file.exists()
    }


def blocks(page: str, text: str) -> list[Block]:
    """The fenced blocks, those within lists too.

    Raises
    ------
    ValueError
        A fence is never closed.
    """
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    content: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = FENCE.match(line)
        if opened is None and match:
            opened, content = (number, match["indent"], match["language"]), []
        elif opened is not None and match and not match["language"]:
            found.append(Block(page, opened[0] + 1, opened[2], "\n".join(content) + "\n"))
            opened = None
        elif opened is not None:
            content.append(line.removeprefix(opened[1]))
    if opened is not None:
        raise ValueError(f"{page}:{opened[0]}: a fence that is never closed")
    return found


def spans(page: str, text: str) -> list[Span]:
    """Inline code outside of the fences."""
    prose = re.sub(r"^ *```.*?^ *```\s*?$", _blank, text, flags=re.S | re.M)
    return [
        Span(page, prose.count("\n", 0, match.start()) + 1, " ".join(match["code"].split()))
        for match in SPAN.finditer(prose)
    ]


def _blank(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def indented_blocks(text: str) -> list[str]:
    """The first lines of blocks that are code by indentation only, so of no known kind."""
    tokens = mistune.create_markdown(renderer="ast")(text)
    return [
        token["raw"].splitlines()[0]
        for token in _walk(tokens)
        if token["type"] == "block_code" and token.get("style") == "indent"
    ]


def _walk(tokens: object) -> Iterator[dict[str, str]]:
    for token in tokens if isinstance(tokens, list) else []:
        yield token
        yield from _walk(token.get("children"))
