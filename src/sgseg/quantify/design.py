"""How conditions are compared: which is the reference, and whether replicates come in pairs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgseg.errors import InputError, Problem
from sgseg.quantify.effect import MIN_REPLICATES

REFERENCE_NAMES = (
    "control",
    "ctrl",
    "ctl",
    "negativecontrol",
    "untreated",
    "unstressed",
    "nostress",
    "notreatment",
    "nontreated",
    "nt",
    "mock",
    "vehicle",
    "dmso",
)
"""What a reference condition is called, in lower-case letters alone."""
DESIGNS = ("auto", "paired", "independent")


@dataclass(frozen=True)
class Design:
    """How conditions are compared.

    Attributes
    ----------
    reference : str or None
        The condition that all others are compared with; None: no comparison.
    is_paired : bool
        Within replicates of the same name, or as independent ones.
    notes : tuple of str
        Why, in sentences.
    """

    reference: str | None
    is_paired: bool
    notes: tuple[str, ...]


def choose_design(
    replicates: Mapping[str, Sequence[str]], *, reference: str | None, design: str
) -> Design:
    """Decide on reference and pairing.

    Parameters
    ----------
    replicates
        Names of the replicates of each condition; "" where none was given.
    reference
        A condition; None: the one that is called like a control (`REFERENCE_NAMES`), if it is the
        only one.
    design
        "paired", "independent", or "auto": paired where every condition has the same replicates.

    Raises
    ------
    InputError
        No condition is called `reference`.

    Notes
    -----
    A replicate of a stress-granule experiment is a day: one passage of cells, one batch of
    arsenite, one staining, one session at the microscope, with all conditions side by side. What
    the day does to the numbers is the same for all of them and cancels within it, so "auto" pairs
    where the names say that conditions share their days. Replicates that carry the same numbers by
    chance are compared validly as pairs as well: it costs power, not honesty.
    """
    conditions = list(replicates)
    if reference is not None and reference not in conditions:
        raise InputError(
            Problem(
                "reference",
                f"no condition is called {reference!r}",
                "one of " + ", ".join(map(repr, conditions)),
            )
        )
    if len(conditions) < 2:
        there = "There is one condition" if conditions else "No field was measured"
        return Design(reference, False, (f"{there}: nothing to compare.",))
    found, why = (reference, ()) if reference is not None else _find_reference(conditions)
    if found is None:
        return Design(None, False, why)
    is_paired, reason = _pairing(replicates, design)
    return Design(found, is_paired, (*why, reason))


def _find_reference(conditions: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    found = [name for name in conditions if _letters(name) in REFERENCE_NAMES]
    if len(found) == 1:
        return found[0], (f"The reference is {found[0]!r}, by its name.",)
    why = f"{' and '.join(map(repr, found))} might both be it" if found else "no name says which"
    remedy = "Give its name to compare the others with it."
    return None, (f"No comparison, since the reference condition is not known: {why}. {remedy}",)


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.casefold())


def _pairing(replicates: Mapping[str, Sequence[str]], design: str) -> tuple[bool, str]:
    sets = [frozenset(names) for names in replicates.values()]
    shared = frozenset.intersection(*sets) - {""}
    same = all(names == sets[0] for names in sets) and "" not in sets[0]
    if design == "paired":
        return True, "Compared within replicates of the same name (paired), as asked for."
    if design == "independent":
        return False, "Replicates are taken as independent (Welch), as asked for."
    if same and len(sets[0]) > 1:
        names = ", ".join(sorted(sets[0], key=natural))
        return True, (
            f"Every condition has the replicates {names}: compared within replicates (paired)."
            " Where equal names do not mean the same day, choose the independent design."
        )
    text = "The conditions do not have the same replicates: taken as independent (Welch)."
    if len(shared) >= MIN_REPLICATES:
        text += f" They share {len(shared)}, which the paired design would compare."
    return False, text


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which `day 2` comes before `day 10`."""
    return [
        (0, int(piece), "") if piece.isdecimal() else (1, 0, piece.casefold())
        for piece in re.split(r"(\d+)", name)
        if piece
    ]
