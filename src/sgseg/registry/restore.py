"""Put the registered model back into a store that lacks it, from the files (contract 7)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sgseg.gate.decision import FILE, Decision, read_decision
from sgseg.registry.aliases import change_alias, own, read_log
from sgseg.registry.evaluated import EVALUATED, EVALUATION, read_evaluated
from sgseg.registry.gate import PROMOTION
from sgseg.registry.history import withdrawn
from sgseg.registry.models import (
    CHALLENGER,
    CHAMPION,
    Registry,
    Version,
    aliases_of,
    open_registry,
    version_at,
    versions_of,
)
from sgseg.registry.registration import Save, register, save_for_serving
from sgseg.registry.unmerged import unmerged_retrain
from sgseg.registry.verdict import PROPOSED, decision_digest, show_decision, tag_decision
from sgseg.tracking.identity import RUN_FILE
from sgseg.tracking.store import failures_named

What = Literal["put back", "already there", "deleted in the store", "not the model of the decision"]


@dataclass(frozen=True)
class PutBack:
    """What became of the registered model."""

    what: What
    note: str = ""

    def __str__(self) -> str:
        return f"{PROMOTION}: {self.what}" + (f"; {self.note}" if self.note else "")


def put_back(root: str | Path = ".", *, save: Save = save_for_serving) -> PutBack | None:
    """See to it that the store has the model of models/evaluated, and its alias if that is due.

    The champion is set only where the store has no record of this bundle, and only if it has no
    champion or the very one that the decision was against: it never goes backwards, nor to a model
    that a person has taken out of use, nor to one that is proposed and not merged: by its tag in
    the store that it was trained with, by git in any other.

    Returns
    -------
    None where there is nothing to put back: no model, or no decision on it.

    Raises
    ------
    InputError
        A file cannot be read.
    StoreError
        The store cannot be written.
    """
    root = Path(root)
    needed = (PROMOTION, FILE), (EVALUATED, "bundle.json"), (EVALUATION, RUN_FILE)
    if not all((root / folder / name).is_file() for folder, name in needed):
        return None
    decision, evaluated = read_decision(root / PROMOTION), read_evaluated(root)
    bundle, networks, cv = evaluated.digest, evaluated.networks, evaluated.record.cv
    if decision.challenger.digest != bundle:
        return PutBack("not the model of the decision", "`dvc repro promote` decides on this one")
    registry = open_registry(root, cv.experiment)
    log = read_log(registry)
    with failures_named(registry.store.uri):
        known = versions_of(registry, bundle, networks)
        at = aliases_of(registry).values()
    if not known and any(change.came_to(bundle, networks) for change in own(log, registry)):
        return PutBack("deleted in the store")
    if known:
        # Whatever code it has: only the gate's stage takes other code into use.
        version = max(known, key=lambda version: (version.number in at, version.number))
    else:
        version = register(registry, evaluated, save=save)
    show_decision(registry, cv.key, root / PROMOTION)
    # What the log does not know was not done here: the stage did not run, or was killed.
    noted = {change.alias for change in own(log, registry) if change.came_to(bundle, networks)}
    if CHAMPION in noted or (CHALLENGER in noted and decision.outcome != "promote"):
        return PutBack("already there")
    tag_decision(registry, version, decision)
    moved = False
    if CHALLENGER not in noted:
        why = f"evaluated: {cv.name}"
        moved = change_alias(registry, CHALLENGER, version, how="put back", why=why) is not None
    crowned, note = _champion(root, registry, version, decision)
    what: What = "already there" if known and not moved and not crowned else "put back"
    return PutBack(what, note)


def _champion(
    root: Path, registry: Registry, version: Version, decision: Decision
) -> tuple[bool, str]:
    """Set the alias if that is due; whether it was, and what to say about it."""
    name = f"version {version.number}"
    with failures_named(registry.store.uri):
        at = version_at(registry, CHAMPION)
    if at is not None and at.is_of(version.bundle, version.networks):
        return False, f"it is {name}, the champion"
    if decision.outcome != "promote":
        if at is not None:
            return False, f"it is {name}; the champion stays version {at.number}"
        return False, (
            f"it is {name}, which was not promoted; its champion "
            f"({decision.champion.digest[:8] if decision.champion else 'none'}) is not among the "
            "files: docs/registry.md says how to get it back"
        )
    rival = decision.champion
    if at is not None and (rival is None or not at.is_of(rival.digest, rival.networks)):
        return False, (
            f"{name} was compared with another champion than version {at.number}, which stays; "
            "`sgseg promote` compares them"
        )
    withheld = _withheld(root, registry, version)
    if withheld:
        return False, f"{name} {withheld}"
    change = change_alias(
        registry,
        CHAMPION,
        version,
        how="put back",
        why=" ".join(decision.reasons),
        gate=decision.outcome,
        decision=decision_digest(decision),
        expected=None if at is None else at.number,
    )
    return change is not None, f"it is {name}, the champion"


def _withheld(root: Path, registry: Registry, version: Version) -> str:
    """Why a version that the gate passed is not for `sgseg track` to put to use; mostly empty."""
    if PROPOSED in version.tags:
        return "is proposed; `sgseg promote` makes it the champion"
    retrain = unmerged_retrain(root)
    if retrain:
        return (
            f"is proposed by the retrain {retrain}, which is not merged; `sgseg promote` makes it "
            "the champion after the merge"
        )
    bundle, networks = version.bundle, version.networks
    taken = withdrawn(read_log(registry), CHAMPION, bundle=bundle, networks=networks)
    if taken is None:
        return ""
    return f"is not made champion again: {taken.who} took it out of use ({taken.why})"
