"""A retrain as it was asked for, and as it is under way: of which commit, to which branch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from sgseg.errors import InputError, Problem
from sgseg.retrain import delivery, tree
from sgseg.retrain.checks import source_at
from sgseg.retrain.dvc import Dvc
from sgseg.retrain.git import Repository
from sgseg.retrain.judge import Judge, ProjectJudge
from sgseg.retrain.outcome import Outcome, What

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """What a user asks for.

    Parameters
    ----------
    values
        Parameters by dotted key, other than in params.yaml.
    remote
        Of git; the branch is pushed there.
    branch
        Its name; by default made of what the model depends on.
    push
        Whether data and branch leave the clone.
    force
        Train again, although nothing has changed.
    wait
        Where another retrain runs in this clone, until it has ended.
    """

    root: Path = Path()
    values: Mapping[str, Any] = field(default_factory=dict)
    remote: str = "origin"
    branch: str | None = None
    push: bool = True
    force: bool = False
    wait: bool = False


class Report(Protocol):
    """Writes the report, see `sgseg.retrain.report.write_report`."""

    def __call__(
        self,
        root: str | Path,
        folder: str | Path,
        *,
        base: str,
        branch: str,
        outcome: str,
        problems: Sequence[Problem | str] = (),
    ) -> None: ...


def _write_report(root: str | Path, folder: str | Path, **about: Any) -> None:
    from sgseg.retrain.report import write_report  # noqa: PLC0415 - takes seconds to import

    write_report(root, folder, **about)


@dataclass(frozen=True)
class Tools:
    """What a retrain works with; others in tests."""

    dvc: Callable[[Path], Dvc] = Dvc
    judge: Judge = field(default_factory=ProjectJudge)
    report: Report = _write_report


@dataclass(frozen=True)
class Job:
    """A retrain under way."""

    wish: Wish
    dvc: Dvc
    """Of the project, until there is a copy to work in."""
    repository: Repository
    tools: Tools
    base: str
    branch: str
    inputs: str
    source: str
    stores: bool
    """Whether DVC has a remote."""
    pushes: bool
    """Whether the branch goes to the git remote."""

    @property
    def root(self) -> Path:
        """Of the copy."""
        return self.dvc.root

    @property
    def project(self) -> Path:
        """The user's folder."""
        return self.wish.root

    def at(self, commit: str) -> Job:
        """The job at work in a copy of a commit."""
        root = tree.at_commit(self.repository, commit, self.tools.dvc(self.project))
        return replace(self, dvc=self.tools.dvc(root))

    def ends(self, outcome: What, *reasons: str, problems: Sequence[str] = ()) -> Outcome:
        """An end without a commit."""
        return Outcome(outcome, base=self.base, reasons=reasons, problems=tuple(problems))


def begin(wish: Wish, tools: Tools) -> Job:
    """The retrain of the commit that is checked out.

    Raises
    ------
    InputError
        No remote of DVC is the default, or the branch cannot have this name.
    """
    repository, dvc = Repository(wish.root), tools.dvc(wish.root)
    base = repository.run("rev-parse", "--verify", "HEAD^{commit}").strip()
    source = source_at(repository, base, wish.values)
    inputs = delivery.inputs(repository, base, source, wish.values)
    branch = wish.branch or f"retrain/{inputs[:7]}"
    if repository.ask("check-ref-format", "--branch", branch) is None:
        raise InputError(Problem(f"--branch {branch}", "no name for a branch", "such as retrain/1"))
    stores = dvc.has_remote()
    if wish.push and not stores:
        logger.info(
            "DVC has no remote (docs/import.md): it goes on with what is here, and the branch "
            "stays in this clone, as nobody else could fetch its data"
        )
    there = repository.has_remote(wish.remote)
    if wish.push and stores and not there:
        logger.info("git has no remote %s: the branch stays in this clone", wish.remote)
    pushes = wish.push and stores and there
    return Job(wish, dvc, repository, tools, base, branch, inputs, source, stores, pushes)
