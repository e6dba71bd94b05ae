"""A text of shell commands as the commands in it. What the pages use of the shell, and no more."""

from __future__ import annotations

import re
from dataclasses import dataclass

ASSIGNMENT = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*=")
SEPARATORS = "\n;|&"


@dataclass(frozen=True)
class Command:
    """One simple command: its words without quotes, assignments and redirections.

    `text[start:end]` is the command as it was written, with all of these.
    """

    words: tuple[str, ...]
    start: int
    end: int


def commands(text: str) -> list[Command]:
    """The simple commands of a text, in their order; `#` comments are none.

    Raises
    ------
    ValueError
        A quotation is never closed.
    """
    found: list[Command] = []
    place = 0
    while place < len(text):
        command, place = _command(text, place)
        if command.words:
            found.append(command)
    return found


def _command(text: str, place: int) -> tuple[Command, int]:
    words: list[str] = []
    start, end, redirected = -1, place, False
    while place < len(text):
        letter = text[place]
        if text.startswith("\\\n", place):
            place += 2
        elif letter in " \t":
            place += 1
        elif letter == "#":
            place = (text + "\n").index("\n", place)
        elif letter in SEPARATORS:
            place += 1
            break
        elif letter in "<>":
            redirected, place = True, place + 1
            end = place
        else:
            start = place if start < 0 else start
            word, place = _word(text, place)
            end = place
            before_name = not words and ASSIGNMENT.match(word)
            if not redirected and not before_name:
                words.append(word)
            redirected = False
    return Command(tuple(words), max(start, 0), end), place


def _word(text: str, place: int) -> tuple[str, int]:
    word = ""
    while place < len(text) and text[place] not in " \t<>" + SEPARATORS:
        letter = text[place]
        if letter in "'\"":
            inner, place = _quoted(text, place)
            word += inner
        elif text.startswith("$(", place):
            end = text.index(")", place) + 1
            word, place = word + text[place:end], end
        elif letter == "\\" and place + 1 < len(text):
            if text[place + 1] == "\n":
                break
            word, place = word + text[place + 1], place + 2
        else:
            word, place = word + letter, place + 1
    return word, place


def _quoted(text: str, place: int) -> tuple[str, int]:
    mark, inner, at = text[place], "", place + 1
    while at < len(text) and text[at] != mark:
        if mark == '"' and text.startswith("$(", at):
            end = text.index(")", at) + 1
            inner, at = inner + text[at:end], end
        elif mark == '"' and text[at] == "\\" and text[at + 1 : at + 2] in {'"', "\\", "$"}:
            inner, at = inner + text[at + 1], at + 2
        else:
            inner, at = inner + text[at], at + 1
    if at == len(text):
        raise ValueError(f"a quotation that is never closed: {text[place : place + 40]}")
    return inner, at + 1
