"""What a long run found, as a table in docs/faults.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MARKS = "<!-- {}: begin -->", "<!-- {}: end -->"


def rows(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Faults and losses by kind, with the scenes that had them."""
    counts: dict[str, Counter[str]] = {}
    scenes: dict[str, list[str]] = {}
    for entry in found:
        counts.setdefault(entry["kind"], Counter())["faults"] += 1
        counts[entry["kind"]]["losses"] += entry["lost"]
        if entry["scene"] not in scenes.setdefault(entry["kind"], []):
            scenes[entry["kind"]].append(entry["scene"])
    return [
        {
            "kind": kind,
            "while": scenes[kind],
            "faults": counts[kind]["faults"],
            "losses": counts[kind]["losses"],
        }
        for kind in counts
    ]


def text(result: Mapping[str, Any]) -> str:
    """The table of a result."""
    lines = ["| fault | while | injected | losses |", "|---|---|---|---|"]
    lines += [
        f"| {row['kind']} | {', '.join(row['while'])} | {row['faults']} | {row['losses']} |"
        for row in result["rows"]
    ]
    faults, losses = (sum(row[name] for row in result["rows"]) for name in ("faults", "losses"))
    lines.append(f"| **all** | | **{faults}** | **{losses}** |")
    return "\n".join(lines) + f"\n\nSeed {result['seed']}, {result['minutes']} minutes.\n"


def write_table(page: Path, name: str, result: Mapping[str, Any]) -> None:
    """Put it between its marks on a page."""
    begin, end = (mark.format(name) for mark in MARKS)
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, mark, after = rest.partition(end)
    assert mark, f"{page} lacks {begin} ... {end}"
    page.write_text(f"{before}{begin}\n\n{text(result)}\n{mark}{after}", encoding="utf-8")
