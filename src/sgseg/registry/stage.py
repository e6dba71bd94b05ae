"""The stage `promote`: register the challenger, ask the gate, let the champion follow.

The decision is written to reports/promotion; the registry is changed only after that. Every step
finds out whether it was done before, so the whole can be repeated and changes nothing then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sgseg.config import Params
from sgseg.gate.decision import Decision
from sgseg.registry.aliases import MovedMeanwhileError, change_alias, read_log
from sgseg.registry.bundles import cached, fetch
from sgseg.registry.evaluated import read_evaluated
from sgseg.registry.gate import PROMOTION, Gate, ProjectGate
from sgseg.registry.history import Change, withdrawn
from sgseg.registry.models import (
    CHALLENGER,
    CHAMPION,
    Registry,
    Version,
    open_registry,
    version_at,
    versions,
)
from sgseg.registry.registration import Save, register, save_for_serving
from sgseg.registry.steering import decision_of
from sgseg.registry.verdict import decision_digest, show_decision, tag_decision
from sgseg.tracking.store import failures_named

ATTEMPTS = 3
What = Literal["promoted", "refused", "champion already", "withheld"]


@dataclass(frozen=True)
class Promotion:
    """What became of a challenger."""

    what: What
    challenger: Version
    champion: Version | None
    """Now."""
    decision: Decision
    said: str
    """All of it in a sentence."""

    @property
    def against(self) -> list[str]:
        """What `--strict` complains about; nothing where the challenger passes and is in use."""
        if self.what == "withheld":
            return [self.said]
        if self.decision.outcome == "promote":
            return []
        return self.decision.failed or list(self.decision.reasons)


@dataclass(frozen=True)
class Rival:
    """Whom the challenger is compared with; no bundle: nobody."""

    bundle: str = ""
    version: Version | None = None


def promote(
    root: str | Path,
    params: Params,
    *,
    gate: Gate | None = None,
    save: Save = save_for_serving,
) -> Promotion:
    """Put the evaluated model to the gate.

    Parameters
    ----------
    root
        The project's root, with models/evaluated, reports/evaluation, data/dataset and data/split.
    params
        Sections `promote` and `evaluate` are the gate's rule and settings.
    gate, save
        What decides, and what makes an MLflow model; others in tests.

    Raises
    ------
    InputError
        A file is missing or broken; or somebody else keeps moving the champion.
    StoreError
        The store cannot be used: nobody knows then what the champion is.
    """
    root = Path(root)
    gate = gate or ProjectGate(root, params)
    evaluated = read_evaluated(root)
    cv = evaluated.record.cv
    registry = open_registry(root, cv.experiment)
    challenger = register(registry, evaluated, save=save)
    why = f"evaluated: {cv.name}"
    change_alias(registry, CHALLENGER, challenger, how="registered", why=why)
    for attempt in range(ATTEMPTS):
        with failures_named(registry.store.uri, afterwards=""):
            champion = version_at(registry, CHAMPION)
        rival = _rival(registry, challenger, champion)
        decision = gate.decided_before(root / PROMOTION, challenger.bundle, rival.bundle)
        if decision is None:
            against = _folder_of(registry, rival)
            decision = gate.decide(evaluated.folder, against)
            gate.write(root / PROMOTION, decision, evaluated.folder, against)
        tag_decision(registry, challenger, decision)
        show_decision(registry, cv.key, root / PROMOTION)
        try:
            return _carry_out(registry, challenger, champion, decision)
        except MovedMeanwhileError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _rival(registry: Registry, challenger: Version, champion: Version | None) -> Rival:
    """The champion; for a challenger that is champion itself the one that it was compared with.

    So the stage gives the same decision when it runs again after it has promoted.
    """
    if champion is None:
        return Rival()
    if champion.bundle != challenger.bundle:
        return Rival(champion.bundle, champion)
    former = str(decision_of(challenger).get("champion", ""))
    if not former or former == challenger.bundle:
        return Rival()
    with failures_named(registry.store.uri, afterwards=""):
        known = versions(registry, bundle=former)
    return Rival(former, known[0] if known else None)


def _folder_of(registry: Registry, rival: Rival) -> Path | None:
    """The rival's bundle; None if there is none, or no more."""
    if rival.version is not None:
        return fetch(registry, rival.version)
    return cached(rival.bundle) if rival.bundle else None


def _carry_out(
    registry: Registry, challenger: Version, champion: Version | None, decision: Decision
) -> Promotion:
    """Let the alias follow the decision, unless a person has taken it from this very model."""
    name = f"Version {challenger.number}"
    at = f"version {champion.number}" if champion else "none"
    if champion is not None and champion.bundle == challenger.bundle:
        said = f"{name} is the champion already."
        if decision.outcome != "promote":
            said += f" By the rule as it is now it would not be promoted: {_reasons(decision)}"
        return Promotion("champion already", challenger, champion, decision, said)
    if decision.outcome != "promote":
        said = f"{name} is not promoted, the champion stays {at}: {_reasons(decision)}"
        return Promotion("refused", challenger, champion, decision, said)
    taken = withdrawn(read_log(registry), CHAMPION, challenger.bundle)
    if taken is not None:
        return Promotion("withheld", challenger, champion, decision, _withheld(name, at, taken))
    change_alias(
        registry,
        CHAMPION,
        challenger,
        how="gate",
        why=_reasons(decision),
        gate=decision.outcome,
        decision=decision_digest(decision),
        expected=champion.number if champion else None,
    )
    said = f"{name} is the new champion (before: {at}): {_reasons(decision)}"
    return Promotion("promoted", challenger, challenger, decision, said)


def _withheld(name: str, at: str, taken: Change) -> str:
    return (
        f"{name} passes the gate, but {taken.who} took it out of use on {taken.when} "
        f"({taken.how}: {taken.why}), so the champion stays {at}. "
        f"`sgseg registry promote --{name.lower()} --reason ...` brings it back."
    )


def _reasons(decision: Decision) -> str:
    return " ".join(decision.reasons)
