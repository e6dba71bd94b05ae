"""`sgseg registry`: the versions of the model, the log of its aliases, a champion by hand."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sgseg.errors import InputError, Problem

if TYPE_CHECKING:
    from sgseg.registry import Change, Registry, Version

DESCRIPTION = """\
The versions of the registered model, and the log of every change of its aliases. `champion` is in
use, `challenger` is the newest candidate. See docs/registry.md.
"""
SHOWN_OF_DIGEST = 8
RUNNING = "Servers that run keep the version they have until they are started again."


def add_parser(subparsers: Any) -> None:
    """Add `registry` to the commands."""
    parser = subparsers.add_parser(
        "registry",
        help="show the versions of the model, or change the champion by hand",
        description=DESCRIPTION,
    )
    parser.add_argument("--root", default=".", metavar="DIR", help="the project's root")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="show the versions")
    listed.set_defaults(act=_list)
    history = actions.add_parser("history", help="show who changed an alias, when and why")
    history.add_argument("--alias", choices=["champion", "challenger"], help="of this one only")
    history.set_defaults(act=_history)
    for shown in (listed, history):
        shown.add_argument("--json", action="store_true", help="for programs")
    promoted = actions.add_parser(
        "promote",
        help="make a version the champion",
        description="Make a version the champion, whatever the gate says of it. Without --version "
        "the gate decides on the evaluated model, as `sgseg promote` does.",
    )
    promoted.add_argument("--version", type=int, metavar="N")
    promoted.add_argument("--reason", metavar="TEXT", help="why; goes into the log")
    promoted.set_defaults(act=_promote)
    back = actions.add_parser(
        "rollback",
        help="go back to the champion before this one",
        description="Make the champion before this one the champion again; given twice, the one "
        "before that. The gate does not bring back what was rolled back.",
    )
    back.add_argument("--to", type=int, metavar="N", help="an earlier champion")
    back.add_argument("--reason", default="", metavar="TEXT", help="why; goes into the log")
    back.set_defaults(act=_rollback)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg registry ...`."""
    return int(arguments.act(arguments))


def _open(arguments: argparse.Namespace) -> Registry:
    from sgseg.registry.models import open_existing_registry  # noqa: PLC0415

    return open_existing_registry(arguments.root)


def _list(arguments: argparse.Namespace) -> int:
    from sgseg.registry.models import aliases_of, versions  # noqa: PLC0415
    from sgseg.tracking.store import failures_named  # noqa: PLC0415

    registry = _open(arguments)
    with failures_named(registry.store.uri, afterwards=""):
        found, at = versions(registry), aliases_of(registry)
    rows = [
        _row(version, [name for name, n in at.items() if n == version.number]) for version in found
    ]
    if arguments.json:
        _write(json.dumps(rows, indent=2))
    else:
        titles = {
            "version": "version",
            "aliases": "aliases",
            "created": "created",
            "object_f1": "object F1",
            "foreground_iou": "foreground IoU",
            "gate": "gate",
            "data": "data",
            "commit": "commit",
            "bundle": "bundle",
        }
        _table(list(titles.values()), [[_cell(row[key]) for key in titles] for row in rows])
        _write(f"Scores are out of fold, each on its own images. The registry is {registry.shown}")
    return 0


def _row(version: Version, aliases: Sequence[str]) -> dict[str, Any]:
    from sgseg.registry.steering import decision_of  # noqa: PLC0415

    tags, said = version.tags, decision_of(version)
    created = datetime.fromtimestamp(version.created_ms / 1000, tz=UTC)
    return {
        "version": version.number,
        "aliases": sorted(aliases),
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "object_f1": tags.get("sgseg.score.oof_object_f1", ""),
        "foreground_iou": tags.get("sgseg.score.oof_foreground_iou", ""),
        "gate": said.get("outcome", "not asked"),
        "reasons": said.get("reasons", ""),
        "data": tags.get("sgseg.data", ""),
        "commit": tags.get("sgseg.commit", ""),
        "bundle": version.bundle,
        "run_id": version.run_id,
    }


def _history(arguments: argparse.Namespace) -> int:
    from sgseg.registry import read_log  # noqa: PLC0415

    registry = _open(arguments)
    log = [c for c in read_log(registry) if arguments.alias in {None, c.alias}]
    if arguments.json:
        _write(json.dumps([json.loads(change.as_json()) for change in log], indent=2))
        return 0
    rows = [
        [
            change.when,
            change.alias,
            f"{_cell(change.from_version)} -> {_cell(change.to_version)}",
            change.how,
            change.gate or "-",
            change.who,
            _short(change.why, 60),
        ]
        for change in log
        if change.registry == registry.id
    ]
    _table(["when (UTC)", "alias", "version", "how", "gate", "who", "why"], rows)
    others = len(log) - len(rows)
    if others:
        _write(
            f"{others} more of other registries are in registry/history.jsonl (--json shows them)."
        )
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    if arguments.version is None and arguments.reason is not None:
        raise InputError(
            Problem(
                "--reason",
                "given without --version",
                "both, to choose a champion by hand, or neither, to ask the gate, which has "
                "reasons of its own",
            )
        )
    if arguments.version is None:
        from sgseg.commands import promote  # noqa: PLC0415

        return promote.run(argparse.Namespace(root=arguments.root, strict=False, propose=False))
    from sgseg.registry import promote_version  # noqa: PLC0415

    change = promote_version(_open(arguments), arguments.version, reason=arguments.reason or "")
    _write(_said(change, arguments.version))
    return 0


def _rollback(arguments: argparse.Namespace) -> int:
    from sgseg.registry import roll_back  # noqa: PLC0415

    change = roll_back(_open(arguments), to=arguments.to, reason=arguments.reason)
    _write(_said(change, arguments.to))
    return 0


def _said(change: Change | None, number: int | None) -> str:
    if change is None:
        return f"Version {number} is the champion already; nothing was changed."
    asked = {"promote": "passed it", "keep": "did not pass it"}.get(
        change.gate, "was not asked of it"
    )
    gate = f" The gate {asked}." if change.how == "by hand" else ""
    before = _cell(change.from_version)
    same = change.from_networks and change.from_networks == change.to_networks
    networks = " They hold the same networks with other code." if same else ""
    return (
        f"Version {change.to_version} is the champion now (before: {before}).{gate}{networks}\n"
        f"{RUNNING}"
    )


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "-"
    text = "-" if value in {None, ""} else str(value)
    return text[:SHOWN_OF_DIGEST] if _is_digest(text) else text


def _is_digest(text: str) -> bool:
    known = text.removesuffix(".dir").removesuffix("-dirty")
    return len(known) >= 32 and all(c in "0123456789abcdef" for c in known)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 4]} ..."


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
    for line in (titles, ["-" * width for width in widths], *rows):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        _write("  ".join(cells).rstrip())


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
