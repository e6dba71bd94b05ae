"""From finished files to a branch: one commit, on a branch of the clone, then pushed.

The branch is made in one step, so it is there whole or not at all. One that is in the clone alone
is of a retrain that was killed or did not push; it is pushed by the next that does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgseg.errors import InputError, Problem
from sgseg.retrain.git import GitError, Repository, trailers
from sgseg.retrain.outcome import Outcome, What

LOCK_FILE, LOG = "dvc.lock", "registry/history.jsonl"
PAGE, DECISION = "registry/retrain.md", "registry/decision.json"
MADE_FROM = {PAGE: "reports/retrain/summary.md", DECISION: "reports/promotion/decision.json"}


@dataclass(frozen=True)
class Delivery:
    """The commit of a retrain, and what it says of itself.

    Parameters
    ----------
    base
        The commit that it was made from.
    inputs
        What tells this retrain from others, see `inputs`.
    """

    commit: str
    branch: str
    base: str
    inputs: str
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


def inputs(repository: Repository, base: str, source: str, values: Mapping[str, Any]) -> str:
    """A digest of all that the model of a retrain depends on: two of the same are one retrain.

    Taken from what the commit has of it, so that a commit to the docs makes no other one.
    """
    raw = f"data/raw/{source}"
    names = ("params.yaml", "dvc.yaml", LOCK_FILE, "pipelines", "src/sgseg")
    listed = repository.entries(base, *names, f"{raw}.dvc", raw, f"splits/{source}.csv")
    text = f"{listed}\n{json.dumps(values, sort_keys=True)}"
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def make(
    repository: Repository,
    tree: Path,
    *,
    branch: str,
    base: str,
    inputs: str,
    outcome: What,
    reasons: tuple[str, ...],
    source: str,
) -> Delivery:
    """Commit what the stages and the report wrote in `tree`, on a new branch of the clone.

    Raises
    ------
    GitError
        Somebody has made the branch meanwhile, or the disk is full.
    """
    names = [LOCK_FILE, "params.yaml", f"splits/{source}.csv", LOG]
    origins = {name: tree / name for name in names} | {
        name: tree / origin for name, origin in MADE_FROM.items()
    }
    files = {name: path for name, path in origins.items() if path.is_file()}
    words = "may replace the model in use" if outcome == "promote" else "the model in use stays"
    noted = {"Outcome": outcome, "Base": base, "Branch": branch, "Inputs": inputs}
    message = "\n\n".join(
        [
            f"Retrain of {base[:7]}: {words}",
            "\n".join(reasons),
            "\n".join(f"Retrain-{name}: {value}" for name, value in noted.items()),
        ]
    )
    commit = repository.commit(base, files, message)
    repository.make_branch(branch, commit)
    return read(repository, commit)


def read(repository: Repository, commit: str) -> Delivery:
    """What the commit of a retrain says of itself; of another commit, nothing."""
    message = repository.run("show", "--no-patch", "--format=%B", commit)
    found = trailers(message)
    decision = repository.content(commit, DECISION) if found else None
    outcome: What = "promote" if found.get("Retrain-Outcome") == "promote" else "not promoted"
    body = message.split("\n\n")
    return Delivery(
        commit=commit,
        branch=found.get("Retrain-Branch", ""),
        base=found.get("Retrain-Base", ""),
        inputs=found.get("Retrain-Inputs", ""),
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
        there = repository.branches_at(remote).get(delivery.branch)
        if there is None:
            raise InputError(
                Problem(
                    f"git remote {remote}",
                    f"does not take the branch {delivery.branch} ({error.said})",
                    remedy="Give the same command again once that is mended: nothing is trained "
                    "again. Or keep the branch in this clone with --no-push.",
                )
            ) from None
        return there == delivery.commit
    return True
