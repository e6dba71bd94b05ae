"""The log of every change of an alias: what an entry says, and the two places that keep it.

The registered model keeps the entries of its own store, one tag each. The project keeps a copy of
all of them, one line each, in registry/history.jsonl, which git tracks. Entries are never edited,
so two copies are merged by taking what either has. Nothing here knows MLflow.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing

FILE = "registry/history.jsonl"
PROJECT = "params.yaml"
"""Only where this file is does the log have a copy in a file."""
TAG = "sgseg.change."
FROM_GIT = "Take the file from git again; after a merge keep the lines of both sides."
WHY_LENGTH = 1500
"""MLflow keeps at most 5000 characters in the tag of a registered model."""
How = Literal["registered", "gate", "repackaged", "by hand", "rollback", "put back", "outside"]
BY_HAND = frozenset({"by hand", "rollback", "outside"})


@dataclass(frozen=True)
class Change:
    """An alias that was moved.

    Parameters
    ----------
    number
        Counts the changes of one registry. Two machines that write at the same moment may give one
        number twice; `id` tells them apart.
    registry
        Names the registered model in its store, see `sgseg.registry.models.REGISTRY`.
    from_version, to_version
        None: no version.
    from_bundle, to_bundle
        Digests of their bundles, which mean the same in every store.
    from_networks, to_networks
        Digests of their networks and how they are used; empty where nobody noted it.
    how
        "registered": a new candidate; "gate": it was better; "repackaged": the networks of the
        champion with other code; "by hand": `sgseg registry promote`; "rollback"; "put back": by
        `sgseg track`; "outside": found changed, not by sgseg.
    gate
        What the gate says of the version: "promote", "keep", or "not asked".
    decision
        Digest of the gate's decision, without what differs from run to run.
    when
        UTC, ISO 8601.
    pending
        The process that is at it; empty once it is done.
    """

    number: int
    id: str
    registry: str
    alias: str
    from_version: int | None
    to_version: int | None
    from_bundle: str
    to_bundle: str
    how: How
    why: str
    who: str
    when: str
    gate: str = ""
    decision: str = ""
    from_networks: str = ""
    to_networks: str = ""
    pending: str = ""

    @property
    def tag(self) -> str:
        """Name of the tag that keeps it: in the order of the numbers, and no other's."""
        return f"{TAG}{self.number:06d}.{self.id}"

    @property
    def order(self) -> tuple[int, str, str]:
        """Sorts the changes of one registry."""
        return self.number, self.when, self.id

    def left(self, bundle: str, networks: str) -> bool:
        """Whether the alias pointed at these networks and does so no more."""
        return self._came_from(bundle, networks) and not self.came_to(bundle, networks)

    def _came_from(self, bundle: str, networks: str) -> bool:
        return _are_of(self.from_bundle, self.from_networks, bundle, networks)

    def came_to(self, bundle: str, networks: str) -> bool:
        """Whether the alias points at these networks since."""
        return _are_of(self.to_bundle, self.to_networks, bundle, networks)

    def done(self) -> Change:
        """The same change, carried out."""
        return replace(self, pending="")

    def as_json(self) -> str:
        """One line."""
        content = {name: value for name, value in asdict(self).items() if name != "pending"}
        if self.pending:
            content["pending"] = self.pending
        return json.dumps(content, ensure_ascii=False)


def _are_of(noted_bundle: str, noted_networks: str, bundle: str, networks: str) -> bool:
    if noted_networks and networks:
        return noted_networks == networks
    return bool(bundle) and noted_bundle == bundle


def new_id() -> str:
    """Eight characters that no other change has."""
    return uuid.uuid4().hex[:8]


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_short(text: str) -> str:
    """A reason on one line, cut where a tag could not hold it."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= WHY_LENGTH else f"{text[:WHY_LENGTH]} ..."


def parse(text: str, where: str, remedy: str = FROM_GIT) -> Change:
    """A change from its line; what only a newer sgseg knows of it is left out.

    Raises
    ------
    InputError
        It is not what `as_json` writes; `remedy` says what to do.
    """
    known = {item.name for item in fields(Change)}
    numbers = {"number": int, "from_version": int | None, "to_version": int | None}
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise TypeError(f"a {type(content).__name__}")
        change = Change(**{name: value for name, value in content.items() if name in known})
        for name in known:
            if not isinstance(getattr(change, name), numbers.get(name, str)):
                raise TypeError(f"its {name} is {getattr(change, name)!r}")
    except (ValueError, TypeError) as error:
        raise InputError(
            Problem(
                where,
                f"no entry of the log ({' '.join(str(error).split())})",
                "one change as JSON",
                remedy,
            )
        ) from None
    return change


def log_file(home: Path) -> Path | None:
    """The project's copy of the log; None outside of a project."""
    return home / FILE if (home / PROJECT).is_file() else None


def read_file(path: Path | None) -> list[Change]:
    """The entries of the file.

    Raises
    ------
    InputError
        Lines that are no entries, all of them named.
    """
    if path is None or not path.is_file():
        return []
    found: list[Change] = []
    problems: list[Problem] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                found.append(parse(line, f"{path}, line {number}"))
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(*problems)
    return found


def add_to_file(path: Path | None, changes: Iterable[Change]) -> int:
    """Append the changes that the file lacks, all of them or none; how many. Holds the lock."""
    if path is None:
        return 0
    known = {change.id for change in read_file(path)}
    missing = [change for change in changes if change.id not in known]
    if missing:
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        if before and not before.endswith("\n"):
            before += "\n"
        with replacing(path) as temporary:
            added = "".join(f"{change.as_json()}\n" for change in missing)
            temporary.write_text(before + added, encoding="utf-8")
    return len(missing)


def read_tags(tags: Mapping[str, str], where: str, model: str) -> list[Change]:
    """The entries among the tags of a registered model, in their order; unfinished ones too.

    Raises
    ------
    InputError
        Tags that are no entries, all of them named.
    """
    found: list[Change] = []
    problems: list[Problem] = []
    for name, value in tags.items():
        if name.startswith(TAG):
            remedy = (
                f'Delete it: `mlflow.MlflowClient().delete_registered_model_tag("{model}", '
                f'"{name}")` in Python; registry/history.jsonl gives an entry back that it has.'
            )
            try:
                found.append(parse(value, f"{where}, tag {name}", remedy))
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(*problems)
    return sorted(found, key=lambda change: change.order)


def merged(*logs: Sequence[Change]) -> list[Change]:
    """What any of the logs has, each change once: registry by registry, each in its order."""
    found = {change.id: change for log in reversed(logs) for change in log}
    began: dict[str, str] = {}
    for change in found.values():
        began[change.registry] = min(began.get(change.registry, change.when), change.when)
    return sorted(
        found.values(), key=lambda item: (began[item.registry], item.registry, item.order)
    )


def champions(log: Sequence[Change], alias: str) -> list[int | None]:
    """Versions that the alias has pointed at, the present one last, without what was rolled back.

    1, 2 and 5 in turn make [1, 2, 5]; a rollback to 2 makes [1, 2], so that the next goes to 1.
    """
    stack: list[int | None] = []
    for change in log:
        if change.alias != alias:
            continue
        if change.how == "rollback" and change.to_version in stack:
            while stack[-1] != change.to_version:
                stack.pop()
        else:
            stack.append(change.to_version)
    return stack


def withdrawn(
    log: Sequence[Change], alias: str, *, bundle: str, networks: str = ""
) -> Change | None:
    """The change by which somebody took the alias from these networks; None if nobody did.

    The gate replaces a model by a better one; a person who takes one away has reasons that the gate
    does not know, so it must not bring that model back: not in another bundle either.
    """
    return _taken(
        [
            (change, change.left(bundle, networks))
            for change in log
            if change.alias == alias
            and (change.left(bundle, networks) or change.came_to(bundle, networks))
        ]
    )


def withdrawn_version(log: Sequence[Change], alias: str, number: int) -> Change | None:
    """The change by which somebody took the alias from this very version of one registry."""
    return _taken(
        [
            (change, change.from_version == number)
            for change in log
            if change.alias == alias and number in {change.from_version, change.to_version}
        ]
    )


def _taken(changes: Sequence[tuple[Change, bool]]) -> Change | None:
    """The last of changes (and whether it is a leaving), if it is a leaving by a person."""
    # By time, as people in several stores may have had to do with it.
    ordered = sorted(changes, key=lambda pair: (pair[0].when, pair[0].order))
    last, left = ordered[-1] if ordered else (None, False)
    return last if last is not None and left and last.how in BY_HAND else None
