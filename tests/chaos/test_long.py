"""How faults are shared out, recorded and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .long import PAGE, RESULTS, _todo
from .scenes import PLANS, shared_out
from .table import rows, text, write_table

RECORD = [
    {"scene": "predict", "kind": "killed", "number": 1, "lost": False},
    {"scene": "predict", "kind": "damaged", "number": 1, "lost": True},
    {"scene": "import", "kind": "killed", "number": 1, "lost": False},
]


@pytest.mark.parametrize("faults", [0, 1, 7, 200, 500, 1_000])
def test_as_many_as_asked_for(faults: int) -> None:
    assert sum(map(len, shared_out(faults, PLANS).values())) == faults


def test_all_kinds_are_among_500() -> None:
    found = shared_out(500, PLANS)
    assert {name: set(kinds) for name, kinds in found.items()} == {
        name: set(plan.kinds) for name, plan in PLANS.items()
    }


def test_few_faults_need_no_project() -> None:
    found = shared_out(7, PLANS)
    assert not any(kinds and PLANS[name].needs_project for name, kinds in found.items())


def test_what_is_recorded_is_not_injected_again() -> None:
    kinds = ["killed", "killed", "killed", "damaged"]
    assert _todo(kinds, []) == [("killed", 1), ("killed", 2), ("killed", 3), ("damaged", 1)]
    done = [{"kind": "killed", "number": number} for number in (1, 3)]
    assert _todo(kinds, done) == [("killed", 2), ("damaged", 1)]


def test_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- chaos: begin -->\nold\n<!-- chaos: end -->\nafter\n")
    write_table(page, "chaos", {"seed": 3, "minutes": 9, "rows": rows(RECORD)})
    assert page.read_text().splitlines() == [
        "before",
        "<!-- chaos: begin -->",
        "",
        "| fault | while | injected | losses |",
        "|---|---|---|---|",
        "| killed | predict, import | 2 | 0 |",
        "| damaged | predict | 1 | 1 |",
        "| **all** | | **3** | **1** |",
        "",
        "Seed 3, 9 minutes.",
        "",
        "<!-- chaos: end -->",
        "after",
    ]


def test_the_page_shows_the_last_result() -> None:
    if RESULTS.exists():
        assert text(json.loads(RESULTS.read_text(encoding="utf-8"))) in PAGE.read_text(
            encoding="utf-8"
        )
    assert "<!-- chaos: begin -->" in PAGE.read_text(encoding="utf-8")
