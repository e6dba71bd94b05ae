"""From finished files to a branch: one commit, pushed, then checked out; whole or not at all.

A ref of our own holds the commit from the moment it exists until everything is where it belongs.
Whoever comes after a process that was killed in between finishes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing
from sgseg.retrain.git import PENDING, GitError, Repository, trailers
from sgseg.retrain.outcome import Outcome, What

LOCK_FILE, LOG = "dvc.lock", "registry/history.jsonl"
PAGE, DECISION = "registry/retrain.md", "registry/decision.json"
MADE_FROM = {PAGE: "reports/retrain/summary.md", DECISION: "reports/promotion/decision.json"}


@dataclass(frozen=True)
class Delivery:
    """A commit for a branch, and what is to be said of it."""

    commit: str
    branch: str
    base: str
    outcome: What
    reasons: tuple[str, ...]
    decision: Mapping[str, Any] | None

    def as_outcome(self) -> Outcome:
        """What a retrain says that has delivered it."""
        return Outcome(
            self.outcome,
            branch=self.branch,
            base=self.base,
            commit=self.commit,
            decision=self.decision,
            reasons=self.reasons,
        )


def written_files(root: Path, source: str) -> list[str]:
    """The files that a commit of a retrain may have, those that there are."""
    names = [LOCK_FILE, "params.yaml", f"splits/{source}.csv", LOG, PAGE, DECISION]
    return [name for name in names if (root / name).is_file()]


def make(
    repository: Repository,
    *,
    branch: str,
    base: str,
    outcome: What,
    reasons: tuple[str, ...],
    source: str,
) -> Delivery:
    """Commit what the stages and the report wrote, on no branch yet."""
    root = repository.root
    for name, origin in MADE_FROM.items():
        if (root / origin).is_file():
            with replacing(root / name) as temporary:
                temporary.write_bytes((root / origin).read_bytes())
    words = "may replace the model in use" if outcome == "promote" else "the model in use stays"
    message = "\n\n".join(
        [
            f"Retrain of {base[:7]}: {words}",
            "\n".join(reasons),
            f"Retrain-Outcome: {outcome}\nRetrain-Base: {base}\nRetrain-Branch: {branch}",
        ]
    )
    commit = repository.commit(base, written_files(root, source), message)
    repository.point(PENDING, commit)
    return read(repository, commit)


def unfinished(repository: Repository) -> Delivery | None:
    """What a killed retrain has committed and not delivered."""
    commit = repository.commit_of(PENDING)
    return None if commit is None else read(repository, commit)


def forget(repository: Repository) -> None:
    """Deliver it no more."""
    repository.point(PENDING, None)


def delivered(repository: Repository, remote: str, branch: str) -> Delivery | None:
    """What a branch on the remote says of itself, which somebody else has put there."""
    try:
        repository.run("fetch", "--quiet", "--no-tags", remote, f"refs/heads/{branch}")
    except GitError:
        return None
    commit = repository.commit_of("FETCH_HEAD")
    return None if commit is None else read(repository, commit)


def read(repository: Repository, commit: str) -> Delivery:
    """What the commit of a retrain says of itself; of another commit, nothing."""
    message = repository.run("show", "--no-patch", "--format=%B", commit)
    found = trailers(message)
    decision = repository.content(commit, DECISION)
    outcome: What = "promote" if found.get("Retrain-Outcome") == "promote" else "not promoted"
    body = message.split("\n\n")
    return Delivery(
        commit=commit,
        branch=found.get("Retrain-Branch", ""),
        base=found.get("Retrain-Base", ""),
        outcome=outcome,
        reasons=tuple(body[1].splitlines()) if found and len(body) > 2 else (),
        decision=None if decision is None else json.loads(decision),
    )


def push(repository: Repository, remote: str, delivery: Delivery) -> bool:
    """Put the commit on its branch on the remote; False if somebody else has put another there.

    Raises
    ------
    InputError
        The remote refuses it for another reason, or cannot be reached.
    """
    try:
        repository.run("push", "--quiet", remote, f"{delivery.commit}:refs/heads/{delivery.branch}")
    except GitError as error:
        there = repository.at_remote(remote, delivery.branch)
        if there is None:
            raise InputError(
                Problem(
                    f"git remote {remote}",
                    f"does not take the branch {delivery.branch} ({' '.join(str(error).split())})",
                    remedy="Give the same command again once that is mended: nothing is trained "
                    "again. Or keep the branch in this clone with --no-push.",
                )
            ) from None
        return there == delivery.commit
    return True


def settle(repository: Repository, delivery: Delivery, remote: str | None) -> None:
    """Be on the branch in this clone; `remote`: it follows the branch there."""
    name = f"refs/heads/{delivery.branch}"
    repository.point(name, delivery.commit)
    if remote is not None:
        repository.ask("config", f"branch.{delivery.branch}.remote", remote)
        repository.ask("config", f"branch.{delivery.branch}.merge", name)
    # Who has gone to another commit meanwhile stays there.
    if repository.commit_of("HEAD") in {delivery.base, delivery.commit}:
        repository.wait_until_idle()
        _complete(repository, delivery)
        repository.check_out(delivery.branch, delivery.commit)
    forget(repository)


def _complete(repository: Repository, delivery: Delivery) -> None:
    """Let files that are as before the retrain be as after it; what a user changes stays."""
    if not delivery.base:
        return
    listed = ("diff-tree", "--no-commit-id", "--name-only", "--relative", "-r", "-z")
    names = repository.run(*listed, delivery.base, delivery.commit).split("\0")
    for name in filter(None, names):
        path = repository.root / name
        here = path.read_bytes() if path.is_file() else None
        if here == repository.content(delivery.base, name):
            repository.put_back(delivery.commit, [name])
