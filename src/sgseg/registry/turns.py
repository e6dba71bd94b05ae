"""Machines that move an alias at the same moment share no lock: whose turn it is."""

from __future__ import annotations

from datetime import timedelta
from time import sleep
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.registry.history import Change, read_tags
from sgseg.registry.models import Registry

PATIENCE = timedelta(minutes=15)
"""After which a change that a process on another machine began is taken to be given up."""
LOOKS, LOOK_SECONDS = 25, 0.2
"""How often, and after how long each, to look whether one that began later lets go."""


class MovedMeanwhileError(InputError):
    """Somebody else moved the alias in the meantime, or is about to."""


def take_turn(registry: Registry, change: Change, known: frozenset[str]) -> None:
    """Go on only when nobody else moves this alias; else withdraw the entry that was just put.

    Machines share no lock. Of two that put an entry at the least the second sees both; the lower
    entry waits, as the other may have looked before it was there, and the higher one lets go.

    Parameters
    ----------
    known
        Ids of the entries that there were when the change was begun.

    Raises
    ------
    MovedMeanwhileError
        It was another's turn.
    """
    for _ in range(LOOKS):
        others = [
            entry
            for entry in entries_of(registry, registry.client.get_registered_model(registry.name))
            if entry.alias == change.alias and entry.id not in known | {change.id}
        ]
        if not others:
            return
        first = min(others, key=lambda entry: (bool(entry.pending), entry.order))
        if not first.pending or first.order < change.order:
            break
        sleep(LOOK_SECONDS)
    registry.client.delete_registered_model_tag(registry.name, change.tag)
    raise is_moving(registry, first)


def is_moving(registry: Registry, change: Change) -> MovedMeanwhileError:
    """What to raise when somebody else is at an alias."""
    minutes = int(PATIENCE.total_seconds() // 60)
    return MovedMeanwhileError(
        Problem(
            f"{registry.name}@{change.alias}",
            f"is being changed by {change.who} to version {shown(change.to_version)}, "
            f"since {change.when}",
            remedy=f"Give the command again in a moment. After {minutes} minutes that change is "
            "taken to have been given up.",
        )
    )


def entries_of(registry: Registry, model: Any) -> list[Change]:
    """The entries of the log in the tags of the registered model as it was just got."""
    return read_tags(model.tags, f"{registry.shown}: {registry.name}", registry.name)


def shown(number: int | None) -> str:
    """A version's number, or "none"."""
    return "none" if number is None else str(number)
