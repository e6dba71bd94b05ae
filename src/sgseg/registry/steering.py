"""What a person does to the champion: choose a version, or go back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.registry.aliases import change_alias, own, read_log
from sgseg.registry.history import WHY_LENGTH, Change, champions
from sgseg.registry.models import CHAMPION, Registry, Version, aliases_of, find_version, versions
from sgseg.tracking.store import failures_named

DECISION = "sgseg.decision"
"""Tag of a version: what the gate said of it, in short."""
NOT_ASKED = "not asked"


def decision_of(version: Version) -> Mapping[str, Any]:
    """What the gate said of a version: outcome, verdict, digest, champion, reasons; or nothing."""
    try:
        found = json.loads(version.tags.get(DECISION, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def promote_version(registry: Registry, number: int, *, reason: str) -> Change | None:
    """Make a version the champion because a person says so; None if it is already.

    Raises
    ------
    InputError
        There is no such version, or no reason.
    StoreError
        The store cannot be written.
    """
    _check_reason(reason)
    version = _version(registry, number)
    said = decision_of(version)
    return change_alias(
        registry,
        CHAMPION,
        version,
        how="by hand",
        why=reason,
        gate=str(said.get("outcome", NOT_ASKED)),
        decision=str(said.get("digest", "")),
    )


def roll_back(registry: Registry, *, to: int | None = None, reason: str = "") -> Change | None:
    """Make an earlier champion the champion again; None if it is already.

    Parameters
    ----------
    to
        Number of the version, which must have been champion. None: the one before the present one
        by the log; again, the one before that. Deleted versions are passed over.

    Raises
    ------
    InputError
        There is no such version, or none that was champion before.
    StoreError
        The store cannot be written.
    """
    _check_reason(reason or "-")
    been = champions(own(read_log(registry), registry), CHAMPION)
    with failures_named(registry.store.uri, afterwards=""):
        at = aliases_of(registry).get(CHAMPION)
    if to is None:
        to = _before(registry, been, at)
    version = _version(registry, to)
    log = own(read_log(registry), registry)
    if not any(to == change.to_version for change in log if change.alias == CHAMPION):
        raise InputError(
            Problem(
                f"version {to}",
                "has never been champion",
                "one that was: `sgseg registry history` shows them",
                f"`sgseg registry promote --version {to} --reason ...` takes any.",
            )
        )
    return change_alias(
        registry,
        CHAMPION,
        version,
        how="rollback",
        why=reason or f"back to version {to}",
        gate=str(decision_of(version).get("outcome", NOT_ASKED)),
        decision=str(decision_of(version).get("digest", "")),
        expected=at,
    )


def _before(registry: Registry, been: list[int | None], at: int | None) -> int:
    """The champion before the present one that still exists."""
    for number in reversed(been[:-1]):
        if number is not None and number != at:
            with failures_named(registry.store.uri, afterwards=""):
                if find_version(registry, number) is not None:
                    return number
    raise InputError(
        Problem(
            f"{registry.name}@{CHAMPION}",
            "there is no champion before this one to go back to",
            remedy="`sgseg registry list` shows the versions; `sgseg registry promote --version N "
            "--reason ...` takes any of them.",
        )
    )


def _version(registry: Registry, number: int) -> Version:
    with failures_named(registry.store.uri, afterwards=""):
        found = find_version(registry, number)
        if found is None:
            there = ", ".join(str(version.number) for version in versions(registry)) or "none"
            raise InputError(
                Problem(f"version {number}", "there is none, or no more", f"one of {there}")
            )
        return found


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > WHY_LENGTH:
        found = f"{len(reason)} characters" if reason.strip() else "empty"
        raise InputError(Problem("--reason", found, f"a sentence, at most {WHY_LENGTH} characters"))
