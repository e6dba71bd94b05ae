"""What `dvc metrics diff --md` and `dvc params diff --md` write, made shorter and told apart."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# Of metrics.json: one number per score. Its intervals, folds and baselines are in the whole table.
HEADLINE = re.compile(
    r"(out_of_fold|test)\.(object_f1|object_precision|object_recall|foreground_iou|pooled_iou)\.value"
    r"|operating_point\..*"
)
COMMIT = re.compile(r"[0-9a-f]{40}|workspace|HEAD")


def flat(scores: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested scores by dotted names: `test.object_f1.value`."""
    found: dict[str, Any] = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found


def of_one_run(shown: str) -> str:
    """A table like those of DVC from `dvc metrics show --json`.

    `dvc metrics diff --all` of a commit with itself (3.67) puts values beside names not theirs.
    """
    files = json.loads(shown)[""]["data"]
    lines = [
        f"| {file} | {name} | {value} |"
        for file, content in files.items()
        for name, value in sorted(flat(content["data"]).items())
    ]
    return "\n".join(["| Path | Metric | HEAD |", "|---|---|---|", *lines])


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its head and without blanks; of no table, none."""
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]


def names(table: str) -> list[str]:
    """The second column: the parameters or metrics."""
    return [row[1] for row in rows(table)]


def compact(table: str) -> str:
    """A table of DVC's without blanks, and without the file where all rows have the same.

    Its commits, 40 characters each, become `before` and `after`; of one commit alone, `now`.
    """
    lines = [line for line in table.splitlines() if line.startswith("|")]
    if not rows(table):
        return ""
    head = [cell.strip() for cell in lines[0].strip("|").split("|")]
    commits = sum(bool(COMMIT.fullmatch(cell)) for cell in head)
    said = iter(["before", "after"] if commits == 2 else ["now"] * commits)
    head = [next(said) if COMMIT.fullmatch(cell) else cell for cell in head]
    first = 1 if len({row[0] for row in rows(table)}) == 1 else 0
    shown = [head[first:], ["---"] * len(head[first:]), *(row[first:] for row in rows(table))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in shown)


def headline(table: str) -> str:
    """The table's rows that a reviewer looks at first; empty if it has none of them."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    chosen = [line for line in lines[2:] if HEADLINE.fullmatch(rows("|\n|\n" + line)[0][1])]
    return compact("\n".join([*lines[:2], *chosen])) if chosen else ""


def folded(title: str, text: str, *, most: int) -> str:
    """Text that opens at a click; longer than `most` characters, it is cut, and says so."""
    if len(text) > most:
        text = (
            text[: text.rfind("\n", 0, most)] + "\n\nCut here: it is longer than a comment may be."
        )
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
