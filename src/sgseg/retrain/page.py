"""What the parts of the report say: from what was gathered to the texts of the template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sgseg.gate.decision import Check, Decision
from sgseg.gate.page import MARKS, ON_TIE
from sgseg.gate.rule import LOWER_IS_BETTER, TITLES, signed
from sgseg.retrain.changes import Changes
from sgseg.retrain.drift import FEWEST, RULE, UNKNOWN, Shift
from sgseg.retrain.git import Repository
from sgseg.retrain.material import Material
from sgseg.retrain.phrases import as_cell, headline, kind_of, listed, plural, said, sentence, tally
from sgseg.retrain.results import ScoreRow, other_rows, part_rows, score_rows

FEW_REPLICATES = 12
"""Up to which a table by replicate is shown."""
DATA_PARTS = {
    "new": "new images",
    "removed": "removed",
    "relabelled": "with another mask",
    "changed": "with other pixels",
}


def head_context(root: Path, found: Material, *, branch: str) -> dict[str, Any]:
    """The first lines."""
    changes = found.changes
    subject = changes.base and Repository(root).ask("log", "-1", "--format=%s (%cs)", changes.base)
    return {
        "headline": headline(
            found.outcome, found.decision, branch=branch, problems=len(found.problems)
        ),
        "kind": kind_of(found.outcome),
        "outcome": found.outcome,
        "branch": branch,
        "base": changes.base,
        "base_subject": subject or "",
        "in_short": _in_short(found),
        "problems": found.problems,
    }


def _in_short(found: Material) -> list[str]:
    lines = []
    if found.decision is not None:
        lines.append(_scores_in_short(found.decision))
    changed = _changed_in_short(found.changes)
    lines.append(f"Changed since the last training: {changed or 'nothing that could be seen'}.")
    drift = found.drift
    if drift is not None and drift.names:
        flags = sentence(said(title) for title in drift.flagged)
        lines.append(
            f"{plural(len(drift.names), 'image')} that are no copies of old ones, beside "
            f"{drift.before} of before: "
            + (f"unlike them in {flags}." if flags else "nothing flagged as unlike them.")
        )
    return lines


def _scores_in_short(decision: Decision) -> str:
    images = plural(len(decision.images), "test image")
    mine = decision.challenger.scores.get("object_f1", {}).get("value")
    theirs = (
        (decision.champion.scores if decision.champion else {}).get("object_f1", {}).get("value")
    )
    if mine is None:
        return "The models were not compared: " + said(" ".join(decision.reasons))
    if theirs is None:
        return f"Object F1 {mine:.3f} on {images} (1: every granule found, none invented)."
    change = next((check.difference for check in decision.checks if check.kind == "primary"), None)
    return (
        f"Object F1 {mine:.3f} against {theirs:.3f} of the model in use, on the same {images} "
        f"(1: every granule found, none invented)"
        + (f"; difference {signed(change)}." if change else ".")
    )


def _changed_in_short(changes: Changes) -> str:
    data = changes.data
    parts = []
    if data is not None:
        counts = {title: len(getattr(data, name)) for name, title in DATA_PARTS.items()}
        counts |= {"renamed": len(data.renamed), "described otherwise": len(data.described)}
        if data.settings:
            counts["settings of the data set"] = len(data.settings)
        parts += [f"{count} {title}" for title, count in counts.items() if count]
    for noun, things in (
        ("parameter", changes.params),
        ("choice", changes.recipe),
        ("file", changes.code),
    ):
        tail = {"choice": " of the search", "file": " of code"}.get(noun, "")
        parts += [plural(len(things), noun) + tail] * bool(things)
    return ", ".join(parts)


def changes_context(found: Material, limit: int) -> dict[str, Any]:
    """What changed, with lists of at most `limit` names."""
    changes = found.changes
    conditions = _column(found.manifest, "condition") | _column(found.before, "condition")
    data: list[tuple[str, int, str]] = []
    if changes.data is not None:
        for name, title in DATA_PARTS.items():
            names = getattr(changes.data, name)
            if names:
                data.append((title, len(names), listed(names, limit, conditions)))
        renamed = [f"{old} → {new}" for old, new in changes.data.renamed]
        if renamed:
            data.append(("renamed", len(renamed), listed(renamed, limit)))
        other = list(changes.data.other)
        if other:
            data.append(("other files", len(other), listed(other, max(1, limit // 6))))
    described = changes.data.described if changes.data is not None else {}
    settings = changes.data.settings if changes.data is not None else {}
    return {
        "changes": changes,
        "data": data,
        "new_by": _new_by(found),
        "relabelled": _relabelled(found)[:limit],
        "described": [
            (as_cell(name), said(key), _shown(pair[0]), _shown(pair[1]))
            for name, items in list(described.items())[:limit]
            for key, pair in items.items()
        ],
        "more_described": max(0, len(described) - limit),
        "settings": [(said(k), _shown(pair[0]), _shown(pair[1])) for k, pair in settings.items()],
        "params": [
            (as_cell(name), _shown(old, absent), _shown(new, absent))
            for values, absent in ((changes.params, "not there"), (changes.recipe, "not searched"))
            for name, (old, new) in values.items()
        ],
        "code": listed(changes.code, limit),
        "commits": changes.commits[:limit],
        "more_commits": max(0, len(changes.commits) - limit),
    }


def _shown(value: object, absent: str = "not there") -> str:
    """A value in a cell; None and '' are said."""
    if value is None:
        return absent
    return as_cell(value) if str(value) else "unknown"


def _column(frame: pd.DataFrame | None, name: str) -> dict[str, str]:
    if frame is None:
        return {}
    return dict(zip(frame["image_id"].astype(str), frame[name].astype(str), strict=True))


def _new_by(found: Material) -> str:
    """How many new images there are of each condition."""
    conditions = _column(found.manifest, "condition")
    if found.changes.data is None or not any(conditions.values()):
        return ""
    named = [conditions.get(name) or "unknown" for name in found.changes.data.new]
    return tally({name: named.count(name) for name in named})


def _relabelled(found: Material) -> list[tuple[str, str, str]]:
    """Granules and their share of the image, before and now, of images with another mask."""
    if found.changes.data is None or found.manifest is None or found.before is None:
        return []
    now, then = (_covered(frame) for frame in (found.manifest, found.before))
    return [
        (as_cell(name), then[name], now[name])
        for name in found.changes.data.relabelled
        if name in now and name in then
    ]


def _covered(manifest: pd.DataFrame) -> dict[str, str]:
    columns = ("image_id", "n_objects", "foreground_fraction")
    return {
        str(name): "unknown" if pd.isna(share) else f"{count:.0f} on {100 * share:.2g} %"
        for name, count, share in zip(*(manifest[column] for column in columns), strict=True)
    }


def drift_context(found: Material, limit: int) -> dict[str, Any]:
    """Drift as rows of text."""
    drift = found.drift
    shifts = [] if drift is None else drift.shifts
    return {
        "drift": drift,
        "drift_rule": RULE,
        "fewest": FEWEST,
        "shifts": [
            _shift_row(shift)
            for shift in sorted(shifts, key=lambda s: not s.flagged)
            if not shift.constant
        ],
        "constant": [f"{s.title}: {_number(s.before[0])}" for s in shifts if s.constant],
        "kinds": []
        if drift is None
        else [
            (kind.title, tally(kind.before), tally(kind.new), "new value" if kind.unseen else "")
            for kind in drift.kinds
            if {*kind.before, *kind.new} != {UNKNOWN}
        ],
        "unlike": []
        if drift is None
        else [(name, len(images), listed(images, limit)) for name, images in drift.unlike.items()],
    }


def _shift_row(shift: Shift) -> list[str]:
    def middle(values: tuple[float, ...], unknown: int) -> str:
        text = _number(float(pd.Series(values).median())) if values else "unknown"
        return f"{text} ({unknown} unknown)" if values and unknown else text

    return [
        f"**{shift.title}**" if shift.flagged else shift.title,
        middle(shift.before, shift.unknown_before),
        middle(shift.new, shift.unknown_new),
        "" if shift.moved is None else f"{shift.moved:+.1f}",
        "" if shift.distance is None else f"{shift.distance:.2f}",
        "" if shift.p is None else f"{shift.p:.2g}",
        "**flagged**" if shift.flagged else "",
        shift.why,
    ]


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def scores_context(found: Material) -> dict[str, Any]:
    """Scores of both models."""
    decision = found.decision
    rows: list[ScoreRow] = []
    others: list[list[str]] = []
    conditions, replicates = [], []
    if decision is not None:
        rows = found.attempt("the scores", lambda: score_rows(decision)) or []
        scores = {side: spec.facts.get("scores") or {} for side, spec in found.specs.items()}
        others = (
            found.attempt(
                "the scores out of fold",
                lambda: other_rows(
                    scores.get("champion", {}), scores.get("challenger", {}), found.metrics
                ),
            )
            or []
        )
        conditions = _parts(found, decision, _column(found.manifest, "condition"))
        replicates = _parts(found, decision, _column(found.manifest, "replicate"))
    return {
        "score_rows": rows,
        "other_rows": others,
        "no_ceiling": not found.metrics.get("label_ceiling"),
        "conditions": conditions,
        "replicates": replicates if len(replicates) <= FEW_REPLICATES else [],
        "many_replicates": len(replicates) if len(replicates) > FEW_REPLICATES else 0,
    }


def _parts(found: Material, decision: Decision, parts: Mapping[str, str]) -> list[Any]:
    """Rows by condition or replicate; none where no image has one."""
    known = any(parts.get(image.image_id) for image in decision.images)
    if not known:
        return []
    return found.attempt("scores by condition", lambda: part_rows(decision, parts)) or []


def decision_context(found: Material) -> dict[str, Any]:
    """The decision, its checks and what it was made on."""
    decision = found.decision
    if decision is None:
        return {"decision": None, "checks": [], "models": [], "on_tie": "", "has_champion": False}
    return {
        "decision": decision,
        "has_champion": decision.champion is not None,
        "on_tie": ON_TIE.get(str(decision.rule.get("on_tie")), "")
        if decision.verdict == "tie"
        else "",
        "groups": plural(len({image.group for image in decision.images}), "group"),
        "checks": [_check_row(check) for check in decision.checks],
        "models": [
            (name, _fact(decision.champion, name), _fact(decision.challenger, name))
            for name in ("bundle", "trained on", "data", "commit", "threshold", "averaged over")
        ],
    }


def _fact(model: Any, name: str) -> str:
    if model is None:
        return ""
    facts = {
        "bundle": as_cell(model.digest),
        "trained on": plural(model.trained_on, "image") if model.trained_on else "not said",
        "data": as_cell(model.facts.get("data") or "unknown"),
        "commit": as_cell(str(model.facts.get("commit") or "unknown")[:12]),
        "threshold": f"{model.threshold:g}, at least {model.min_area_px} px",
        "averaged over": f"{plural(model.members, 'network')}, "
        f"{plural(model.orientations, 'orientation')}",
    }
    return facts[name]


def _check_row(check: Check) -> list[str]:
    lower = check.score in LOWER_IS_BETTER
    asked = {
        "floor": f"{'at most' if lower else 'at least'} {check.limit:.3g}",
        "primary": f"a win, or a tie above -{check.limit:.3g}",
        "margin": f"{'rises' if lower else 'falls'} by at most {check.limit:.3g}",
    }[check.kind]
    return [
        TITLES.get(check.score, check.score),
        {True: "✓", False: "✗", None: "?"}[check.passed] + f" {MARKS[check.passed]}",
        asked,
        "" if check.champion is None else f"{check.champion:.3f}",
        "" if check.challenger is None else f"{check.challenger:.3f}",
        "" if check.difference is None else signed(check.difference),
    ]
