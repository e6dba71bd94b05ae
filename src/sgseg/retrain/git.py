"""What a retrain asks of git. In the user's clone it writes objects and one branch, no more.

Neither the files nor the index nor HEAD of a clone are read or written here, but for the names of
what differs from the commit.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sgseg.errors import InputError, Problem
from sgseg.retrain.environment import MARK, without_repository

INDEX = ".dvc/tmp/retrain.index"
AUTHOR = ("sgseg retrain", "sgseg@localhost")
"""Where git knows nobody."""


class GitError(InputError):
    """A git command failed; `said` is what it said."""

    def __init__(self, command: str, said: str) -> None:
        self.said = " ".join(said.split())
        super().__init__(Problem(f"git {command}", f"failed ({self.said})"))


@dataclass(frozen=True)
class Repository:
    """The git repository around a project's root."""

    root: Path

    def run(self, *arguments: str, index: Path | None = None, text: str = "") -> str:
        """What a git command prints.

        Raises
        ------
        GitError
            It fails.
        """
        return self._call(*arguments, index=index, text=text).decode("utf-8", errors="replace")

    def _call(self, *arguments: str, index: Path | None = None, text: str = "") -> bytes:
        environment = without_repository(os.environ)
        # A push may start a helper that keeps a password for a while: it is no stage left running.
        environment.pop(MARK, None)
        environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"}
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        name = next((word for word in arguments if not word.startswith("-")), "")
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self.root,
                env=environment,
                input=text.encode("utf-8"),
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise GitError(name, f"it cannot be run: {error}") from None
        if done.returncode:
            said = (done.stderr or done.stdout).decode("utf-8", errors="replace")
            raise GitError(name, said or f"status {done.returncode}")
        return done.stdout

    def ask(self, *arguments: str) -> str | None:
        """What a git command prints, without the line's end; None where it fails."""
        try:
            return self.run(*arguments).rstrip("\n")
        except GitError:
            return None

    def prefix(self) -> str:
        """The path from the repository's top to the root, with a slash at its end, or empty."""
        return self.run("rev-parse", "--show-prefix").rstrip("\n")

    def path(self, name: str) -> Path:
        """A file of git's own, such as `objects`."""
        return (self.root / self.run("rev-parse", "--git-path", name).rstrip("\n")).resolve()

    def commit_of(self, name: str) -> str | None:
        """The commit that a name means; None if there is none."""
        return self.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")

    def changed(self, *names: str) -> list[str]:
        """Tracked ones of these files and folders that differ from the commit or are staged."""
        prefix = self.prefix()
        command = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no", "--")
        entries = self.run(*command, *names).split("\0")
        return sorted(entry[3:].removeprefix(prefix) for entry in entries if entry)

    def entries(self, commit: str, *names: str) -> str:
        """What a commit has of these files and folders: a line each, with a digest of the content.

        Those that it does not have are left out.
        """
        return self.run("ls-tree", "--full-tree", commit, "--", *self._from_top(names))

    def content(self, commit: str, name: str) -> bytes | None:
        """A file at a commit; None if it is not there."""
        if not self.entries(commit, name):
            return None
        return self._call("cat-file", "--filters", f"{commit}:./{name}")

    def _from_top(self, names: tuple[str, ...]) -> list[str]:
        prefix = self.prefix()
        return [f"{prefix}{name}" for name in names]

    def has_remote(self, remote: str) -> bool:
        """Whether the clone has a remote of this name."""
        return remote in (self.ask("remote") or "").splitlines()

    def branches(self) -> dict[str, str]:
        """The commit of each branch of the clone."""
        return _by_branch(self.refs("refs/heads"))

    def refs(self, *below: str) -> str:
        """The names below these, sorted, a line each: the commit and the name."""
        return self.run("for-each-ref", "--format=%(objectname) %(refname)", *below)

    def branches_at(self, remote: str) -> dict[str, str]:
        """The commit of each branch on a remote.

        Raises
        ------
        InputError
            The remote cannot be reached.
        """
        try:
            return _by_branch(self.run("ls-remote", "--heads", remote))
        except GitError as error:
            raise InputError(
                Problem(
                    f"git remote {remote}",
                    f"cannot be read ({error.said})",
                    remedy="Check the network and the right to it; or keep the result in this "
                    "clone with --no-push.",
                )
            ) from None

    def fetch(self, remote: str, branch: str) -> None:
        """Bring in what a branch of a remote holds."""
        fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head")
        self.run(*fetch, remote, f"refs/heads/{branch}")

    def commit(self, base: str, files: Mapping[str, Path], message: str) -> str:
        """A commit on top of another one, with the content of `files` under their names."""
        index = self.root / INDEX
        ours = (index, index.with_name(f"{index.name}.lock"))
        for path in ours:  # of a killed one
            path.unlink(missing_ok=True)
        prefix = self.prefix()
        self.run("read-tree", base, index=index)
        lines = []
        for name, path in files.items():
            blob = self.run("hash-object", "-w", f"--path={name}", str(path)).strip()
            lines.append(f"100644 {blob}\t{prefix}{name}\0")
        self.run("update-index", "-z", "--index-info", index=index, text="".join(lines))
        tree = self.run("write-tree", index=index).strip()
        for path in ours:
            path.unlink(missing_ok=True)
        return self._as_somebody("commit-tree", tree, "-p", base, "-F", "-", text=message).strip()

    def make_branch(self, branch: str, commit: str) -> None:
        """A branch that is not there yet."""
        ref = f"refs/heads/{branch}"
        # Only a retrain has to do with it, and there is one: this is what a killed one left.
        self.path(f"{ref}.lock").unlink(missing_ok=True)
        self.run("update-ref", ref, commit, "0" * 40)

    def drop_branch(self, branch: str) -> None:
        """Delete a branch, unless somebody has it checked out."""
        self.ask("branch", "--quiet", "-D", branch)

    def _as_somebody(self, *arguments: str, text: str = "") -> str:
        """A command that notes who gave it."""
        if self.ask("var", "GIT_COMMITTER_IDENT") is None:
            name, email = AUTHOR
            known = ("-c", f"user.name={name}", "-c", f"user.email={email}")
            return self.run(*known, *arguments, text=text)
        return self.run(*arguments, text=text)


def _by_branch(said: str) -> dict[str, str]:
    pairs = (line.split(maxsplit=1) for line in said.splitlines())
    return {ref.removeprefix("refs/heads/"): commit for commit, ref in pairs}


def trailers(message: str) -> Mapping[str, str]:
    """The lines `Retrain-...: value` at the end of a commit's message."""
    lines = [line.partition(": ") for line in message.splitlines() if line.startswith("Retrain-")]
    return {name: value for name, _, value in lines}
