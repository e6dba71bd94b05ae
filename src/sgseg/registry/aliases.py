"""Moving an alias, with its entry in the log. `change_alias` is the only thing here that does it.

A change is three writes: the entry, marked as pending, into the registry; the alias; the entry
again, done. The copy in the project's file follows. Whoever comes after a process that was killed
in between sees from the alias whether the change took place: if so, its entry is completed, if not
it is withdrawn, as nothing happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sgseg.errors import InputError, Problem
from sgseg.registry.actor import actor
from sgseg.registry.history import (
    Change,
    How,
    add_to_file,
    in_short,
    log_file,
    merged,
    new_id,
    now,
    read_file,
    read_tags,
)
from sgseg.registry.models import ALIASES, Registry, Version, aliases_of, find_version
from sgseg.tracking.process import is_gone, running_process
from sgseg.tracking.store import failures_named, store_lock

PATIENCE = timedelta(hours=1)
"""After which a change that a process on another machine began is taken to be given up."""
OUTSIDE = "moved in MLflow, not by sgseg; found on the next look"
ANY: Final = -1


class MovedMeanwhileError(InputError):
    """Somebody else moved the alias in the meantime."""


def read_log(registry: Registry) -> list[Change]:
    """All changes: of this registry, and what the project's file has of others.

    Unfinished ones are settled, changes made past sgseg are noted, and what either of registry and
    file lacks is added to it.

    Raises
    ------
    InputError
        The file holds something else than entries.
    StoreError
        The store cannot be read or written.
    """
    with failures_named(registry.store.uri, afterwards=""), store_lock(registry.store.home):
        return _synchronised(registry)


def own(log: Sequence[Change], registry: Registry) -> list[Change]:
    """The changes of this registry."""
    return [change for change in log if change.registry == registry.id]


def change_alias(
    registry: Registry,
    alias: str,
    to: Version,
    *,
    how: How,
    why: str,
    gate: str = "",
    decision: str = "",
    expected: int | None = ANY,
) -> Change | None:
    """Let an alias point at a version and log it; None if it does so already.

    Parameters
    ----------
    how, why, gate, decision
        See `Change`.
    expected
        The version that the alias was at when this was decided; None: none.

    Raises
    ------
    MovedMeanwhileError
        It is not at the expected version any more.
    InputError
        The project's file of the log is damaged.
    StoreError
        The store cannot be written.
    """
    client = registry.client
    with failures_named(registry.store.uri, afterwards=""), store_lock(registry.store.home):
        log = _synchronised(registry)
        at = aliases_of(registry).get(alias)
        if at == to.number:
            return None
        if expected not in {ANY, at}:
            raise MovedMeanwhileError(
                Problem(
                    f"{registry.name}@{alias}",
                    f"is at version {_shown(at)} by now",
                    f"version {_shown(expected)}, as when this was decided",
                    "Give the command again.",
                )
            )
        change = replace(
            _entry(registry, log, alias, at=at, to=to, how=how, why=why),
            gate=gate,
            decision=decision,
            pending=running_process(),
        )
        _put(registry, change)
        client.set_registered_model_alias(registry.name, alias, str(to.number))
        change = change.done()
        _put(registry, change)
        add_to_file(log_file(registry.store.home), [change])
        return change


def _shown(number: int | None) -> str:
    return "none" if number is None else str(number)


def _entry(
    registry: Registry,
    log: Sequence[Change],
    alias: str,
    *,
    at: int | None,
    to: Version | None,
    how: How,
    why: str,
) -> Change:
    ours = own(log, registry)
    return Change(
        number=1 + max((change.number for change in ours), default=0),
        id=new_id(),
        registry=registry.id,
        alias=alias,
        from_version=at,
        to_version=None if to is None else to.number,
        from_bundle=_bundle(registry, ours, at),
        to_bundle="" if to is None else to.bundle,
        how=how,
        why=in_short(why),
        who=actor(registry.store.home),
        when=now(),
    )


def _bundle(registry: Registry, log: Sequence[Change], number: int | None) -> str:
    """Digest of a version's bundle; the log knows that of a deleted one."""
    if number is None:
        return ""
    version = find_version(registry, number)
    if version is not None:
        return version.bundle
    known = [change.to_bundle for change in log if change.to_version == number]
    return known[-1] if known else ""


def _put(registry: Registry, change: Change) -> None:
    registry.client.set_registered_model_tag(registry.name, change.tag, change.as_json())


def _synchronised(registry: Registry) -> list[Change]:
    """Settle, note and merge, see `history`. Holds the lock."""
    path = log_file(registry.store.home)
    in_file = read_file(path)
    model = registry.client.get_registered_model(registry.name)
    entries = read_tags(model.tags, f"{registry.shown}: {registry.name}")
    at = {alias: int(number) for alias, number in model.aliases.items()}
    done = [change for change in entries if not change.pending]
    open_aliases: set[str] = set()
    for change in entries:
        if change.pending:
            settled = _settle(registry, change, entries, at.get(change.alias))
            if settled is None:
                open_aliases.add(change.alias)
            elif not settled.pending:
                done.append(settled)
    done.sort(key=lambda change: change.order)
    known = {change.id for change in done}
    for change in in_file:
        if change.registry == registry.id and change.id not in known:
            _put(registry, change)
            done.append(change)
    done.sort(key=lambda change: change.order)
    for alias in ALIASES:
        if alias not in open_aliases:
            done += _note_outside(registry, done, alias, at.get(alias))
    add_to_file(path, done)
    return merged(done, in_file)


def _settle(
    registry: Registry, change: Change, entries: Sequence[Change], at: int | None
) -> Change | None:
    """Complete or withdraw an unfinished change; the entry, or None if its process may be alive.

    A withdrawn entry is returned as it was, pending.
    """
    later = [item for item in entries if item.alias == change.alias and item.order > change.order]
    took_place = later[0].from_version == change.to_version if later else at == change.to_version
    if took_place:
        _put(registry, change.done())
        return change.done()
    if not _given_up(registry, change):
        return None
    registry.client.delete_registered_model_tag(registry.name, change.tag)
    return change


def _given_up(registry: Registry, change: Change) -> bool:
    """Whether nobody is carrying it out: the lock says so, where all who write share it."""
    if registry.store.uri.startswith("sqlite:") or change.pending == running_process():
        return True
    began = datetime.strptime(change.when, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return is_gone(change.pending) or datetime.now(UTC) - began > PATIENCE


def _note_outside(
    registry: Registry, log: Sequence[Change], alias: str, at: int | None
) -> list[Change]:
    """An entry for an alias that is not where the log left it: somebody moved it in MLflow."""
    ours = [change for change in log if change.alias == alias]
    left_at = ours[-1].to_version if ours else None
    if left_at == at:
        return []
    to = None if at is None else find_version(registry, at)
    change = _entry(registry, log, alias, at=left_at, to=to, how="outside", why=OUTSIDE)
    _put(registry, change)
    return [change]
