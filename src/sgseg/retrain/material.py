"""All that the report of a retrain is made of, as far as it is there."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from sgseg.dataset.findings import as_problem, parse_problem
from sgseg.dataset.manifest import read_manifest
from sgseg.errors import Problem
from sgseg.gate.decision import Decision, read_decision
from sgseg.inference.bundle import BundleSpec, digest, read_spec
from sgseg.registry.bundles import cached, fetch
from sgseg.registry.evaluated import BUNDLE, DATASET, EVALUATED, EVALUATION
from sgseg.registry.gate import PROMOTION
from sgseg.registry.models import open_existing_registry, versions
from sgseg.retrain.changes import Changes, find_changes
from sgseg.retrain.drift import Drift, find_drift, unlike_training
from sgseg.retrain.phrases import Kind, kind_of

TRAINED: tuple[Kind, ...] = ("promoted", "kept")
FINDINGS = "data/validated/findings.json"
log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class Material:
    """What was found; None, or empty, where something is not there, and `gaps` says why."""

    outcome: str
    problems: list[Problem]
    changes: Changes
    manifest: pd.DataFrame | None = None
    before: pd.DataFrame | None = None
    drift: Drift | None = None
    decision: Decision | None = None
    challenger: Path | None = None
    champion: Path | None = None
    specs: dict[str, BundleSpec] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)

    def attempt(self, what: str, read: Callable[[], T]) -> T | None:
        """What `read` finds, or None; then `gaps` says what is missing, and why."""
        try:
            return read()
        except Exception as error:
            # Whatever it is: hours of training must not go without a report.
            log.debug("the report lacks %s", what, exc_info=True)
            said = " ".join(str(error).split()) or type(error).__name__
            self.gaps.append(f"{what}: {said[:300]}")
            return None

    @property
    def trained(self) -> bool:
        """Whether a model of this retrain was judged."""
        return self.decision is not None


def gather(
    root: Path, *, base: str, outcome: str, problems: Sequence[Problem | str] = ()
) -> Material:
    """Read everything; nothing that is missing or broken raises."""
    found = Material(outcome, [_as_problem(item) for item in problems], Changes("", ""))
    changes = found.attempt("what changed", lambda: find_changes(root, base))
    found.changes = changes or found.changes
    if kind_of(outcome) == "refused" and not found.problems:
        found.problems = found.attempt("the findings", lambda: _findings(root)) or []
    if (root / DATASET / "manifest.csv").is_file():
        found.manifest = found.attempt("the manifest", lambda: read_manifest(root / DATASET))
    if found.changes.since:
        found.before = found.attempt("the earlier manifest", lambda: _manifest_at(root, found))
    if kind_of(outcome) in (*TRAINED, "other"):
        _read_models(root, found)
    if found.manifest is not None and found.before is not None:
        found.drift = found.attempt("drift", lambda: _drift(root, found))
    return found


def _as_problem(item: Problem | str) -> Problem:
    return item if isinstance(item, Problem) else parse_problem(str(item))


def _findings(root: Path) -> list[Problem]:
    content = json.loads((root / FINDINGS).read_text(encoding="utf-8"))
    return [as_problem(finding) for finding in content["findings"]]


def _manifest_at(root: Path, found: Material) -> pd.DataFrame | None:
    from sgseg.dataset.versions import manifest_at  # noqa: PLC0415 - may take DVC's import

    manifest = manifest_at(root, found.changes.since)
    if manifest is None:
        short = found.changes.since[:7]
        found.gaps.append(f"the manifest of {short}: neither in DVC's cache nor in a remote")
    return manifest


def _read_models(root: Path, found: Material) -> None:
    if not (root / PROMOTION / "decision.json").is_file():
        found.gaps.append("the decision: there is none")
        return
    decision = found.attempt("the decision", lambda: read_decision(root / PROMOTION))
    if decision is None:
        return
    folder = root / EVALUATED
    at_hand = found.attempt("the model", lambda: digest(folder))
    if at_hand is not None and at_hand != decision.challenger.digest:
        found.gaps.append("the decision: it is on another model than the one in models/evaluated")
        return
    found.decision = decision
    if at_hand is not None:
        found.challenger = folder
        _add_spec(found, "challenger", folder)
    if decision.champion is not None:
        wanted = decision.champion.digest
        found.champion = found.attempt("the bundle in use", lambda: find_bundle(root, wanted))
        if found.champion is not None:
            _add_spec(found, "champion", found.champion)
    if (root / EVALUATION / "metrics.json").is_file():
        read = (root / EVALUATION / "metrics.json").read_text
        found.metrics = found.attempt("the metrics", lambda: json.loads(read("utf-8"))) or {}


def _add_spec(found: Material, side: str, folder: Path) -> None:
    spec = found.attempt(f"bundle.json of the {side}", lambda: read_spec(folder))
    if spec is not None:
        found.specs[side] = spec


def find_bundle(root: Path, wanted: str) -> Path | None:
    """The folder of a registered bundle by its digest: from the user's cache, else fetched.

    Raises
    ------
    InputError
        No registry, or no version in it holds this bundle, or it cannot be had.
    """
    found = cached(wanted)
    if found is not None:
        return found
    registry = open_existing_registry(root)
    for version in versions(registry, tag=(BUNDLE, wanted)):
        return fetch(registry, version)
    raise LookupError(f"no version in {registry.shown} holds the bundle {wanted}")


def _drift(root: Path, found: Material) -> Drift:
    assert found.manifest is not None
    assert found.before is not None
    drift = find_drift(found.before, found.manifest)
    spec = found.specs.get("champion")
    if spec is None or not drift.names:
        return drift
    new = found.manifest[found.manifest["image_id"].isin(drift.names)]
    watched = found.attempt(
        "what the watch says", lambda: unlike_training(root / DATASET, new, spec)
    )
    if watched is None:
        return drift
    unlike, count = watched
    return Drift(drift.names, drift.before, drift.shifts, drift.kinds, unlike, count)
