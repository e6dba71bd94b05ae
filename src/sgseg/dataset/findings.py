"""What is wrong with which image: for findings.json, for the report and as a message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sgseg.dataset.checks import Check, Row
from sgseg.dataset.manifest import SEVERAL
from sgseg.errors import Problem


def findings_of(row: Row, failed: Sequence[Check], source: str) -> list[dict[str, str]]:
    """What is wrong with one image, for people and for findings.json."""
    found = []
    for check in failed:
        if row["problem"] is not None and not check.also:
            continue
        if check.name == "readable":
            for text in str(row["problem"]).split(SEVERAL):
                problem = parse_problem(text)
                said = problem.what, problem.expected, problem.remedy
                found.append(_finding(row["image_id"], f"{source}/{problem.where}", check, said))
        else:
            file = row[check.file] or row["file"]
            found.append(_finding(row["image_id"], f"{source}/{file}", check, check.say(row)))
    return found


_PROBLEM = re.compile(
    r"(?P<where>.*?): (?P<what>.*?)(; expected (?P<expected>.*?))?(\. (?P<remedy>[A-Z].*))?",
    re.DOTALL,
)


def parse_problem(text: str) -> Problem:
    """A problem from its text in the manifest; `str` of it is the same text."""
    found = _PROBLEM.fullmatch(text)
    if found is None:
        return Problem("?", text)
    return Problem(*(found[name] or "" for name in ("where", "what", "expected", "remedy")))


def _finding(image_id: str, file: str, check: Check, said: tuple[str, str, str]) -> dict[str, str]:
    what, expected, remedy = said
    return {
        "image_id": image_id,
        "file": file,
        "check": check.name,
        "what": what,
        "expected": expected,
        "remedy": remedy,
    }


def as_problem(finding: Mapping[str, str]) -> Problem:
    """The same as a message."""
    return Problem(finding["file"], finding["what"], finding["expected"], finding["remedy"])
