"""The gate's decision in the registry: in short as a tag of the version, in full under its run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from sgseg.gate.decision import Decision
from sgseg.registry.history import in_short, now
from sgseg.registry.models import Registry, Version
from sgseg.registry.steering import DECISION
from sgseg.tracking import runs
from sgseg.tracking.files import SHOWN, Artifact, content_digest
from sgseg.tracking.provenance import digest
from sgseg.tracking.store import failures_named, put_tag

FOLDER, SHOWN_DIGEST = "promotion", "sgseg.promotion_digest"
PROPOSED = "sgseg.proposed"
"""Tag of a version: since when it is proposed. Only the gate, asked again, puts it to use."""


def decision_digest(decision: Decision) -> str:
    """Names a decision; the same whenever the same is decided, however long it took."""
    return digest(asdict(decision.without_latency()))


def tag_decision(registry: Registry, version: Version, decision: Decision) -> None:
    """Let a version say what the gate said of it last."""
    content = {
        "outcome": decision.outcome,
        "verdict": decision.verdict,
        "digest": decision_digest(decision),
        "champion": "" if decision.champion is None else decision.champion.digest,
        "reasons": in_short(" ".join(decision.reasons)),
    }
    text = json.dumps(content, ensure_ascii=False)
    if version.tags.get(DECISION) != text:
        with failures_named(registry.store.uri, afterwards=""):
            _put_tag(registry, version, DECISION, text)


def mark_proposed(registry: Registry, version: Version, proposed: bool) -> Version:
    """Let a version say that it is proposed, or is so no more; the version as it is then."""
    if (PROPOSED in version.tags) == proposed:
        return version
    tags = dict(version.tags)
    with failures_named(registry.store.uri, afterwards=""):
        if proposed:
            tags[PROPOSED] = now()
            _put_tag(registry, version, PROPOSED, tags[PROPOSED])
        else:
            del tags[PROPOSED]
            registry.client.delete_model_version_tag(registry.name, str(version.number), PROPOSED)
    return replace(version, tags=tags)


def hand_on(registry: Registry, champion: Version, version: Version) -> Version:
    """Let a version of the champion's networks say what the gate said of them, if it said nothing.

    Returns
    -------
    The version as it is then.
    """
    said = champion.tags.get(DECISION)
    if said is None or DECISION in version.tags:
        return version
    with failures_named(registry.store.uri, afterwards=""):
        _put_tag(registry, version, DECISION, said)
    return replace(version, tags={**version.tags, DECISION: said})


def _put_tag(registry: Registry, version: Version, tag: str, text: str) -> None:
    put_tag(registry.client.set_model_version_tag, registry.name, str(version.number), tag, text)


def show_decision(registry: Registry, cv_key: str, folder: Path) -> None:
    """Copy what the gate wrote into the run of the cross-validation, unless it has it."""
    files = [
        Artifact(path, (Path(FOLDER) / path.relative_to(folder).parent).as_posix())
        for path in sorted(folder.rglob("*"))
        if path.suffix in SHOWN and not path.name.startswith(".")
    ]
    known_as = content_digest(files)
    with failures_named(registry.store.uri, afterwards=""):
        run = runs.find_parent(registry.store, cv_key)
        if run is None or runs.is_deleted(run) or run.data.tags.get(SHOWN_DIGEST) == known_as:
            return
        for item in files:
            registry.client.log_artifact(run.info.run_id, str(item.path), item.folder)
        put_tag(registry.client.set_tag, run.info.run_id, SHOWN_DIGEST, known_as)
