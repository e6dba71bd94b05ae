"""Which two states of the project a preview compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sgseg.errors import InputError, Problem
from sgseg.preview.calls import CallError, call

NO_COMMIT = "0" * 40  # what GitHub calls the state before the first push of a branch


@dataclass(frozen=True)
class Revisions:
    """Two commits; `base` is None where there is nothing to compare with, and `note` says why."""

    head: str
    base: str | None
    note: str = ""


def find_revisions(root: Path, base: str) -> Revisions:
    """The present state, with changes not committed yet, and the commit where it left `base`.

    Parameters
    ----------
    root
        The project, a git repository.
    base
        What to compare with: a branch, tag or commit. Changes made there since are not looked at.

    Raises
    ------
    InputError
        `root` is no git repository, or has no commit.
    """
    try:
        top = Path(call("git", "rev-parse", "--show-toplevel", cwd=root).strip())
        commit = call("git", "rev-parse", "--verify", "HEAD^{commit}", cwd=root).strip()
    except CallError:
        raise InputError(
            Problem(str(root), "is no git repository with a commit", remedy="Clone the project.")
        ) from None
    if top.resolve() != root.resolve():
        raise InputError(Problem(str(root), "is not the project's root", expected=str(top)))
    # A commit of the tracked files as they are now, on no branch. Asked without a change, git fails
    # where the files are newer than its index.
    changed = call("git", "status", "--porcelain", "--untracked-files=no", cwd=root).strip()
    head = call("git", "stash", "create", cwd=root).strip() if changed else commit
    if not base or base == NO_COMMIT:
        return Revisions(head, None, "No commit to compare with was given.")
    try:
        given = call("git", "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}", cwd=root)
    except CallError:
        return Revisions(head, None, f"There is no `{base}` here to compare with.")
    try:
        common = call("git", "merge-base", commit, given.strip(), cwd=root).strip()
    except CallError:
        return Revisions(head, given.strip(), f"`{base}` has no commit in common with this branch.")
    if common == head:
        return Revisions(head, None, f"Nothing differs from `{base}`.")
    return Revisions(head, common)
