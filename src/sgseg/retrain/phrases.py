"""Words of the report: headlines by outcome, and names that stay names on GitHub too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sgseg.evaluation.pages import as_code, as_plain
from sgseg.gate.decision import Decision

Kind = Literal["promoted", "kept", "refused", "nothing", "gave way", "other"]
KINDS: tuple[tuple[str, Kind], ...] = (
    ("refus", "refused"),
    ("nothing", "nothing"),
    ("gave way", "gave way"),
    ("not promot", "kept"),
    ("keep", "kept"),
    ("promot", "promoted"),
)
COLOURS: Mapping[Kind, str] = {
    "promoted": "#009e73",
    "kept": "#0072b2",
    "refused": "#d55e00",
    "nothing": "#777777",
    "gave way": "#777777",
    "other": "#777777",
}
_APART = "\u200b"
# GitHub makes links of these in any text, escaped or not: @name, #12, GH-12, addresses.
_REFERENCE = re.compile(r"(?<=[@#])(?=\w)|(?<=GH)(?=-\d)|(?<=:)(?=//)|(?<=www)(?=\.)", re.I)


@dataclass(frozen=True)
class Headline:
    """The first lines: what came of it, what that means, and what is to be done."""

    title: str
    meaning: str
    todo: str


def kind_of(outcome: str) -> Kind:
    """What sort of outcome it is, from the words that the retrain uses."""
    lowered = outcome.lower()
    return next((kind for part, kind in KINDS if part in lowered), "other")


def headline(outcome: str, decision: Decision | None, *, branch: str, problems: int) -> Headline:
    """The first lines for one who knows microscopes rather than models."""
    kind = kind_of(outcome)
    first = decision is not None and decision.champion is None
    if kind in ("promoted", "kept"):
        return _FIRST[kind](branch) if first else _NEXT[kind](branch)
    if kind == "refused":
        return _refused(problems)
    if kind == "nothing":
        return Headline(
            "Retrain: nothing to do",
            "No image, mask, parameter or code that a model depends on has changed since the last "
            "training. Nothing was trained.",
            "Nothing has to be done.",
        )
    if kind == "gave way":
        return Headline(
            "Retrain: gave way to another one",
            "Somebody else's retrain of the same state was faster. Nothing of this one was pushed.",
            f"See the branch {as_code(branch)}." if branch else "See the branch of the other one.",
        )
    return Headline(f"Retrain: {said(outcome)}", "", "")


_COMPARED = (
    "A new model was trained and compared with the one in use on the same test images, which "
    "neither has seen in training."
)
_UNCHANGED = (
    "Nothing has to be done: nothing changes for those who use the model. *The decision* below "
    "says what was missing."
)


def _merge(branch: str) -> str:
    if not branch:
        return "`make promote` puts the model in use."
    return (
        "Look at the pictures in report.html; if they convince you, merge the branch "
        f"{as_code(branch)}. `make promote` then puts the model in use."
    )


def _first_promoted(branch: str) -> Headline:
    return Headline(
        "Retrain: a first model, good enough to be used",
        "A model was trained, and no other is in use yet. On test images that it has never seen it "
        "is above the floors that were set. It is not in use until this is accepted.",
        _merge(branch),
    )


def _first_kept(_: str) -> Headline:
    return Headline(
        "Retrain: no first model yet",
        "A model was trained, but on test images that it has never seen it does not reach what is "
        "asked for.",
        "More masks, or a better recipe. *The decision* below says what was missing.",
    )


def _promoted(branch: str) -> Headline:
    return Headline(
        "Retrain: the new model may replace the one in use",
        f"{_COMPARED} By the rule it may replace it, once this is accepted.",
        _merge(branch),
    )


def _kept(_: str) -> Headline:
    return Headline(
        "Retrain: the model in use stays",
        f"{_COMPARED} By the rule it may not replace it.",
        _UNCHANGED,
    )


_FIRST = {"promoted": _first_promoted, "kept": _first_kept}
_NEXT = {"promoted": _promoted, "kept": _kept}


def _refused(problems: int) -> Headline:
    found = plural(problems, "problem") if problems else "problems"
    return Headline(
        "Retrain: stopped, the images have problems",
        f"The check of the images found {found}, listed below. Nothing was trained, and the model "
        "in use is untouched.",
        "Mend or remove the files named, commit, and push again. With "
        "`validate.on_failure: quarantine` in params.yaml sgseg goes on without them.",
    )


def said(text: object) -> str:
    """A text in Markdown without mark-up, mentions or links of its own.

    A character of no width keeps @names, #numbers and addresses from becoming links on GitHub,
    which no escape does.
    """
    return as_plain(_REFERENCE.sub(_APART, str(text)))


def as_cell(text: object) -> str:
    """A name as code in a table; as text where it holds a bar, which would end the cell."""
    return said(text) if "|" in str(text) else as_code(str(text))


def listed(names: Sequence[str], limit: int, conditions: Mapping[str, str] | None = None) -> str:
    """Names as code, at most `limit` of them; of more, how many there are of each condition."""
    shown = ", ".join(as_code(name) for name in names[:limit])
    if len(names) <= limit:
        return shown
    text = f"{shown}, … and {len(names) - limit} more"
    counts = Counter((conditions or {}).get(name) or "unknown" for name in names)
    if set(counts) - {"unknown"}:
        text += f" (by condition: {tally(counts)})"
    return text


def tally(counts: Mapping[str, int]) -> str:
    """`arsenite: 4, control: 8`."""
    return ", ".join(f"{said(name)}: {count}" for name, count in sorted(counts.items()))


def cut(text: str, most: int, *, where: str) -> str:
    """At most `most` characters: whole paragraphs from the beginning, and where the rest is."""
    if len(text) <= most:
        return text
    note = f"\n\n*Cut here: the rest is in {where}.*\n"
    kept = text[: most - len(note) - len("\n```")]
    end = max(kept.rfind("\n\n"), 0) or max(kept.rfind("\n"), 0)
    kept = kept[:end] if end else kept
    # Half a block of code would swallow the note.
    fence = "\n```" if sum(line.startswith("```") for line in kept.splitlines()) % 2 else ""
    return kept + fence + note


def plural(count: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def sentence(parts: Iterable[str]) -> str:
    """Parts with commas, the last one with `and`."""
    *most, last = list(parts) or [""]
    return f"{', '.join(most)} and {last}" if most else last
