"""Names stay names, in Markdown, in HTML and on GitHub; the first lines say what came of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.evaluation.pages import to_html
from sgseg.retrain.phrases import COLOURS, as_cell, cut, headline, kind_of, listed, said, sentence

HIDDEN = "\u200b"
NASTY = (
    "@ada",
    "#12",
    "GH-12",
    "https://e.org",
    "www.e.org",
    "a|b",
    "<b>x</b>",
    "[x](y)",
    "`x`",
    "*x*",
)


@pytest.mark.parametrize("text", NASTY)
def test_no_text_becomes_mark_up_or_a_reference(text: str) -> None:
    shown = said(f"see {text}")
    assert not re.search(r"@\w|#\d|GH-\d|://|www\.", shown)
    page = to_html(shown, title="t").partition("</style>")[2]
    assert page.replace(HIDDEN, "") == to_html("X", title="t").partition("</style>")[2].replace(
        "X", f"see {text}".replace("<", "&lt;").replace(">", "&gt;")
    )


@pytest.mark.parametrize("text", NASTY)
def test_a_cell_stays_one_cell(text: str) -> None:
    page = to_html(f"| a | b |\n|:--|--:|\n| {as_cell(text)} | 1 |\n", title="t")
    assert page.count("<td") == 2
    assert "<b>" not in page
    assert "<a " not in page


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("promote", "promoted"),
        ("not promoted", "kept"),
        ("refused by validation", "refused"),
        ("nothing to do", "nothing"),
        ("gave way", "gave way"),
        ("something new", "other"),
    ],
)
def test_every_outcome_has_first_lines(outcome: str, kind: str) -> None:
    assert kind_of(outcome) == kind
    assert kind in COLOURS
    lines = headline(outcome, None, branch="retrain/1", problems=2)
    assert lines.title.startswith("Retrain: ")
    assert kind == "other" or (lines.meaning and lines.todo)


def test_long_lists_are_counted_by_condition() -> None:
    names = [f"i{n}" for n in range(5)]
    conditions = {"i0": "control", "i1": "control", "i2": "heat", "i4": "heat"}
    assert listed(names, 5, conditions) == "`i0`, `i1`, `i2`, `i3`, `i4`"
    assert listed(names, 2, conditions) == (
        "`i0`, `i1`, … and 3 more (by condition: control: 2, heat: 2, unknown: 1)"
    )
    assert listed(names, 2) == "`i0`, `i1`, … and 3 more"


@given(st.lists(st.text(alphabet="ab \n`", max_size=30)), st.integers(80, 200))
def test_a_cut_text_keeps_to_its_length(parts: list[str], most: int) -> None:
    text = "\n\n".join(parts)
    short = cut(text, most, where="x")
    assert len(short) <= most
    assert (short == text) == (len(text) <= most)


def test_a_cut_ends_with_a_paragraph_and_closes_code() -> None:
    text = "one\n\n```sh\ntwo\n\n" + "three\n" * 100
    assert cut(text, 80, where="report.html") == (
        "one\n\n```sh\ntwo\n```\n\n*Cut here: the rest is in report.html.*\n"
    )


def test_a_sentence() -> None:
    assert [sentence(x) for x in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
