"""A decision to JSON and back; and files that are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sgseg.errors import InputError
from sgseg.gate.decision import FILE, Decision, Latency, read_decision, write_json

from .cases import rule_with
from .test_page import a_check, a_decision

FULL = a_decision()
FIRST = replace(FULL, champion=None, images=[], latency=None, warnings=[], verdict="first")


@pytest.mark.parametrize("decision", [FULL, FIRST], ids=["full", "first"])
def test_what_is_written_is_read(decision: Decision, tmp_path: Path) -> None:
    write_json(tmp_path, decision)
    assert read_decision(tmp_path) == decision
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    content = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert (content["format"], content["outcome"]) == (1, "keep")
    assert content["rule"] == rule_with().model_dump()


def test_what_failed_in_sentences() -> None:
    checks = [a_check(passed=passed, said=str(passed)) for passed in (True, False, None)]
    slow = replace(FULL, checks=checks, latency=Latency(2.0, 1.0, 2.0, 1.5, 7, "m"))
    assert slow.failed == [
        "False",
        "The challenger takes 2.00 times as long as the champion (2.00 and 1.00 s per megapixel); "
        "the limit is 1.5.",
    ]
    assert replace(slow, latency=Latency(1.5, 1.0, 1.5, 1.5, 7, "m")).failed == ["False"]
    assert slow.without_latency().failed == ["False"]


def changed(folder: Path, **changes: object) -> Path:
    write_json(folder, FULL)
    content = json.loads((folder / FILE).read_text(encoding="utf-8")) | changes
    kept = {name: value for name, value in content.items() if value != "REMOVED"}
    (folder / FILE).write_text(json.dumps(kept), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, r"format 2; expected format 1\. Update sgseg"),
        ({"format": "REMOVED"}, "not a decision"),
        ({"verdict": "REMOVED"}, "not a decision: 'verdict'"),
        ({"checks": [{"kind": "floor"}]}, "not a decision: .*score"),
        ({"challenger": None}, "not a decision"),
        ({"images": 3}, "not a decision"),
        ({"another": 1}, "not a decision: .*another"),
    ],
)
def test_a_file_that_is_no_decision(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read_decision(changed(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_damage(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"decision\.json: (unreadable|not a decision)"):
        read_decision(tmp_path)


def test_no_decision_yet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_decision(tmp_path / "nowhere")
