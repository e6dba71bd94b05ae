"""The stage `promote`: register the challenger, ask the gate, let the champion follow.

The decision is written to reports/promotion; the registry is changed only after that. Every step
finds out whether it was done before, so the whole can be repeated and changes nothing then.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sgseg.config import Params
from sgseg.gate.decision import Decision
from sgseg.registry.aliases import change_alias, own, read_log
from sgseg.registry.bundles import cached, fetch
from sgseg.registry.evaluated import BUNDLE, Evaluated, read_evaluated
from sgseg.registry.gate import PROMOTION, Gate, ProjectGate
from sgseg.registry.history import Change, withdrawn, withdrawn_version
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
from sgseg.registry.steering import NOT_ASKED, decision_of
from sgseg.registry.turns import MovedMeanwhileError
from sgseg.registry.verdict import (
    decision_digest,
    hand_on,
    mark_proposed,
    show_decision,
    tag_decision,
)
from sgseg.tracking.store import failures_named

ATTEMPTS, PAUSE_SECONDS = 3, 1.0
What = Literal["promoted", "proposed", "repackaged", "refused", "champion already", "withheld"]
ONCE_PASSED = (
    "It was promoted before; time alone, which is measured anew each time, does not take that back."
)


TAKE_UP = "It is proposed: `sgseg promote` makes it the champion."


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
    propose: bool = False,
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
    propose
        Leave the champion as it is, whatever the gate says: the same without `propose`, later,
        takes the decision up. Nor will `sgseg track` make this model the champion.

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
    challenger = mark_proposed(registry, register(registry, evaluated, save=save), propose)
    for attempt in range(ATTEMPTS):
        try:
            why = f"evaluated: {cv.name}"
            change_alias(registry, CHALLENGER, challenger, how="registered", why=why)
            return _put_to_the_gate(root, registry, evaluated, challenger, gate, propose=propose)
        except MovedMeanwhileError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _put_to_the_gate(
    root: Path,
    registry: Registry,
    evaluated: Evaluated,
    challenger: Version,
    gate: Gate,
    *,
    propose: bool,
) -> Promotion:
    """Ask the gate, unless it has answered, note what it says and do it."""
    with failures_named(registry.store.uri, afterwards=""):
        champion = version_at(registry, CHAMPION)
    in_use = champion is not None and champion.is_of(challenger.bundle, challenger.networks)
    if champion is not None and in_use:
        challenger = hand_on(registry, champion, challenger)
    rival = _rival(registry, challenger, champion)
    decision = gate.decided_before(root / PROMOTION, evaluated.digest, rival.bundle)
    if decision is None:
        against = _folder_of(registry, rival)
        decision = gate.decide(evaluated.folder, against)
        if in_use:
            decision = _with_promotion_kept(decision, challenger)
        gate.write(root / PROMOTION, decision, evaluated.folder, against)
    if not (in_use and _has_passed(challenger)):
        tag_decision(registry, challenger, decision)
    show_decision(registry, evaluated.record.cv.key, root / PROMOTION)
    return _carry_out(registry, challenger, champion, decision, propose=propose)


def _has_passed(version: Version) -> bool:
    return decision_of(version).get("outcome") == "promote"


def _with_promotion_kept(decision: Decision, champion: Version) -> Decision:
    """The decision on a champion that the gate let in, which only took too long this time."""
    late = decision.latency is not None and not decision.latency.passed
    others = [check for check in decision.checks if check.passed is False]
    if not (_has_passed(champion) and decision.outcome == "keep" and late) or others:
        return decision
    return replace(decision, outcome="promote", reasons=[*decision.reasons, ONCE_PASSED])


def _rival(registry: Registry, challenger: Version, champion: Version | None) -> Rival:
    """The champion; for a challenger that is champion itself the one that it was compared with.

    So the stage gives the same decision when it runs again after it has promoted.
    """
    if champion is None:
        return Rival()
    if not champion.is_of(challenger.bundle, challenger.networks):
        return Rival(champion.bundle, champion)
    former = str(decision_of(challenger).get("champion", ""))
    if former in {"", challenger.bundle, champion.bundle}:
        return Rival()
    with failures_named(registry.store.uri, afterwards=""):
        known = versions(registry, tag=(BUNDLE, former))
    return Rival(former, known[0] if known else None)


def _folder_of(registry: Registry, rival: Rival) -> Path | None:
    """The rival's bundle; None if there is none, or no more."""
    if rival.version is not None:
        return fetch(registry, rival.version)
    return cached(rival.bundle) if rival.bundle else None


def _carry_out(
    registry: Registry,
    challenger: Version,
    champion: Version | None,
    decision: Decision,
    *,
    propose: bool,
) -> Promotion:
    """Let the alias follow the decision, unless a person has taken it from this very model."""
    name = f"Version {challenger.number}"
    at = f"version {champion.number}" if champion else "none"
    if champion is not None and champion.number == challenger.number:
        said = f"{name} is the champion already."
        if decision.outcome != "promote":
            said += f" By the rule as it is now it would not be promoted: {_reasons(decision)}"
        return Promotion("champion already", challenger, champion, decision, said)
    if champion is not None and champion.is_of(challenger.bundle, challenger.networks):
        return _repackage(registry, challenger, champion, decision, propose=propose)
    if decision.outcome != "promote":
        said = f"{name} is not promoted, the champion stays {at}: {_reasons(decision)}"
        return Promotion("refused", challenger, champion, decision, said)
    bundle, networks = challenger.bundle, challenger.networks
    taken = withdrawn(read_log(registry), CHAMPION, bundle=bundle, networks=networks)
    if taken is not None:
        return Promotion("withheld", challenger, champion, decision, _withheld(name, at, taken))
    if propose:
        said = f"{name} passes the gate (the champion is {at}). {TAKE_UP} {_reasons(decision)}"
        return Promotion("proposed", challenger, champion, decision, said)
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


def _repackage(
    registry: Registry,
    challenger: Version,
    champion: Version,
    decision: Decision,
    *,
    propose: bool,
) -> Promotion:
    """Let the champion's networks go on with the code that is here, unless a person took it away.

    Its masks are a matter of the networks, which the gate has judged; the code is one for tests.
    """
    name, at = f"Version {challenger.number}", f"version {champion.number}"
    log = own(read_log(registry), registry)
    taken = withdrawn_version(log, CHAMPION, challenger.number)
    if taken is not None:
        said = _withheld(name, at, taken, what="has the networks of the champion with other code")
        return Promotion("withheld", challenger, champion, decision, said)
    if propose:
        said = (
            f"{name} has the networks of {at}, the champion, with the code as it is now. {TAKE_UP}"
        )
        return Promotion("proposed", challenger, champion, decision, said)
    verdict = decision_of(champion)
    change_alias(
        registry,
        CHAMPION,
        challenger,
        how="repackaged",
        why=f"the networks of {at} with the code and requirements as they are now",
        gate=str(verdict.get("outcome", NOT_ASKED)),
        decision=str(verdict.get("digest", "")),
        expected=champion.number,
    )
    said = f"{name} is the new champion: the networks of {at}, with the code as it is now."
    return Promotion("repackaged", challenger, challenger, decision, said)


def _withheld(name: str, at: str, taken: Change, *, what: str = "passes the gate") -> str:
    return (
        f"{name} {what}, but {taken.who} took it out of use on {taken.when} "
        f"({taken.how}: {taken.why}), so the champion stays {at}. "
        f"`sgseg registry promote --{name.lower()} --reason ...` brings it back."
    )


def _reasons(decision: Decision) -> str:
    return " ".join(decision.reasons)
