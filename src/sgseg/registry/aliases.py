"""Moving an alias, with its entry in the log. `change_alias` is the only thing here that does it.

A change is three writes: the entry, marked as pending, into the registry; the alias; the entry
again, done. The copy in the project's file follows. Whoever comes after a process that was killed
in between sees from the alias whether the change took place: if so, its entry is completed, if not
it is withdrawn, as nothing happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sgseg.errors import Problem
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
)
from sgseg.registry.models import ALIASES, Registry, Version, aliases_of, find_version
from sgseg.registry.turns import (
    PATIENCE,
    MovedMeanwhileError,
    entries_of,
    is_moving,
    shown,
    take_turn,
)
from sgseg.tracking.process import is_gone, running_process
from sgseg.tracking.store import failures_named, store_lock

OUTSIDE = "moved in MLflow, not by sgseg; found on the next look"
ANY: Final = -1


@dataclass(frozen=True)
class _State:
    """The log, settled; what others are at; and the highest number that is taken."""

    log: list[Change]
    open: dict[str, Change]
    """Unfinished changes of other machines by alias."""
    highest: int
    ids: frozenset[str]
    """Of all entries of this registry, unfinished ones too."""


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
        return _synchronised(registry).log


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
        It is not at the expected version any more, or another machine is moving it.
    InputError
        The project's file of the log is damaged.
    StoreError
        The store cannot be written.
    """
    client = registry.client
    with failures_named(registry.store.uri, afterwards=""), store_lock(registry.store.home):
        state = _synchronised(registry)
        if alias in state.open:
            raise is_moving(registry, state.open[alias])
        at = aliases_of(registry).get(alias)
        if at == to.number:
            return None
        if expected not in {ANY, at}:
            raise MovedMeanwhileError(
                Problem(
                    f"{registry.name}@{alias}",
                    f"is at version {shown(at)} by now",
                    f"version {shown(expected)}, as when this was decided",
                    "Give the command again.",
                )
            )
        change = replace(
            _entry(registry, state.log, alias, at=at, to=to, how=how, why=why, after=state.highest),
            gate=gate,
            decision=decision,
            pending=running_process(),
        )
        _put(registry, change)
        take_turn(registry, change, state.ids)
        client.set_registered_model_alias(registry.name, alias, str(to.number))
        change = change.done()
        _put(registry, change)
        add_to_file(log_file(registry.store.home), [change])
        return change


def _entry(
    registry: Registry,
    log: Sequence[Change],
    alias: str,
    *,
    at: int | None,
    to: Version | None,
    how: How,
    why: str,
    after: int,
) -> Change:
    ours = own(log, registry)
    bundle, networks = _digests(registry, ours, at)
    return Change(
        number=1 + after,
        id=new_id(),
        registry=registry.id,
        alias=alias,
        from_version=at,
        to_version=None if to is None else to.number,
        from_bundle=bundle,
        to_bundle="" if to is None else to.bundle,
        from_networks=networks,
        to_networks="" if to is None else to.networks,
        how=how,
        why=in_short(why),
        who=actor(registry.store.home),
        when=now(),
    )


def _digests(registry: Registry, log: Sequence[Change], number: int | None) -> tuple[str, str]:
    """Digests of a version's bundle and networks; the log knows those of a deleted one."""
    version = None if number is None else find_version(registry, number)
    if version is not None:
        return version.bundle, version.networks
    known = [
        (change.to_bundle, change.to_networks)
        for change in log
        if change.to_version == number and number is not None
    ]
    return known[-1] if known else ("", "")


def _put(registry: Registry, change: Change) -> None:
    registry.client.set_registered_model_tag(registry.name, change.tag, change.as_json())


def _synchronised(registry: Registry) -> _State:
    """Settle, note and merge, see `history`. Holds the lock."""
    path = log_file(registry.store.home)
    in_file = read_file(path)
    model = registry.client.get_registered_model(registry.name)
    entries = entries_of(registry, model)
    at = {alias: int(number) for alias, number in model.aliases.items()}
    done = [change for change in entries if not change.pending]
    unfinished: dict[str, Change] = {}
    for change in entries:
        if change.pending:
            settled = _settle(registry, change, entries, at.get(change.alias))
            if settled is None:
                unfinished[change.alias] = change
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
        if alias not in unfinished and _is_elsewhere(done, alias, at.get(alias)):
            # It may be a change by another machine that began while this was looking.
            again = entries_of(registry, registry.client.get_registered_model(registry.name))
            begun = {entry.id for entry in again if entry.alias == alias}
            if begun <= {entry.id for entry in [*entries, *done]}:
                highest = _highest([*entries, *done])
                done.append(_note_outside(registry, done, alias, at.get(alias), after=highest))
    add_to_file(path, done)
    everything = [*entries, *done]
    return _State(
        log=merged(done, in_file),
        open=unfinished,
        highest=_highest(everything),
        ids=frozenset(change.id for change in everything),
    )


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


def _is_elsewhere(log: Sequence[Change], alias: str, at: int | None) -> bool:
    """Whether an alias is not where the log left it."""
    return _left_at(log, alias) != at


def _left_at(log: Sequence[Change], alias: str) -> int | None:
    ours = [change for change in log if change.alias == alias]
    return ours[-1].to_version if ours else None


def _highest(changes: Sequence[Change]) -> int:
    return max((change.number for change in changes), default=0)


def _note_outside(
    registry: Registry, log: Sequence[Change], alias: str, at: int | None, *, after: int
) -> Change:
    """An entry for an alias that somebody moved in MLflow."""
    to = None if at is None else find_version(registry, at)
    left_at = _left_at(log, alias)
    change = _entry(
        registry, log, alias, at=left_at, to=to, how="outside", why=OUTSIDE, after=after
    )
    _put(registry, change)
    return change
