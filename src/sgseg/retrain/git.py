"""What a retrain asks of git. No command here takes the lock of the index or touches a file.

A git that is killed while it holds `.git/index.lock` stops every later one. So commits are made in
an index of their own, which takes the place of the clone's in one rename.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sgseg.errors import InputError, Problem
from sgseg.images.write import replacing

PENDING = "refs/sgseg/retrain"
"""A commit that is made and not yet where it belongs."""
INDEX = "sgseg-index"
LOCKS, PATIENCE_SECONDS = ("index.lock", "HEAD.lock"), 5.0
AUTHOR = ("sgseg retrain", "sgseg@localhost")
"""Where git knows nobody."""
OURS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


class GitError(Exception):
    """A git command failed; the text is what it said."""


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
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"}
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self.root,
                env=environment,
                input=text,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise GitError(f"git cannot be run: {error}") from None
        if done.returncode:
            raise GitError((done.stderr or done.stdout).strip())
        return done.stdout

    def ask(self, *arguments: str) -> str | None:
        """What a git command prints, without the line's end; None where it fails."""
        try:
            return self.run(*arguments).rstrip("\n")
        except GitError:
            return None

    def path(self, name: str) -> Path:
        """A file of git's own, such as `index`."""
        return self.root / self.run("rev-parse", "--git-path", name).rstrip("\n")

    def commit_of(self, name: str) -> str | None:
        """The commit that a name means; None if there is none."""
        return self.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")

    def branch(self) -> str:
        """The branch that is checked out; empty where none is."""
        return self.ask("symbolic-ref", "--short", "--quiet", "HEAD") or ""

    def wait_until_idle(self) -> None:
        """Wait until no other git command changes the clone.

        Raises
        ------
        InputError
            One does for longer than such a command takes; or was killed.
        """
        locks = [self.path(name) for name in LOCKS]
        until = time.monotonic() + PATIENCE_SECONDS
        while busy := [path for path in locks if path.exists()]:
            if time.monotonic() > until:
                raise InputError(
                    Problem(
                        str(busy[0]),
                        "git is at work in this clone",
                        remedy="If no git command runs here, one was killed: delete that file. "
                        "Then give the same command again.",
                    )
                )
            time.sleep(0.2)

    def changed(self) -> list[str]:
        """Tracked files below the root that differ from the commit or are staged."""
        prefix = self.run("rev-parse", "--show-prefix").rstrip("\n")
        command = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no", "--", ".")
        entries = self.run(*command).split("\0")
        return sorted(entry[3:].removeprefix(prefix) for entry in entries if entry)

    def content(self, commit: str, name: str) -> bytes | None:
        """A file at a commit; None if it is not there."""
        shown = subprocess.run(
            ["git", "cat-file", "--filters", f"{commit}:./{name}"],
            cwd=self.root,
            capture_output=True,
            check=False,
        )
        return None if shown.returncode else shown.stdout

    def put_back(self, commit: str, names: Sequence[str]) -> None:
        """Let files be as at a commit, absent ones too, without git's index."""
        for name in names:
            path, content = self.root / name, self.content(commit, name)
            if content is None:
                path.unlink(missing_ok=True)
            elif not path.is_file() or path.read_bytes() != content:
                with replacing(path) as temporary:
                    temporary.write_bytes(content)

    def has_remote(self, remote: str) -> bool:
        """Whether the clone has a remote of this name."""
        return remote in (self.ask("remote") or "").splitlines()

    def at_remote(self, remote: str, branch: str) -> str | None:
        """The commit of a branch on the remote; None if it has no such branch.

        Raises
        ------
        InputError
            The remote cannot be reached.
        """
        try:
            found = self.run("ls-remote", "--heads", remote, f"refs/heads/{branch}").split()
        except GitError as error:
            raise InputError(
                Problem(
                    f"git remote {remote}",
                    f"cannot be read ({' '.join(str(error).split())})",
                    remedy="Check the network and the right to it; or keep the result in this "
                    "clone with --no-push.",
                )
            ) from None
        return found[0] if found else None

    def commit(self, base: str, names: Sequence[str], message: str) -> str:
        """A commit of these files on top of another one; no branch, index or file changes."""
        with _index(self) as index:
            self.run("read-tree", base, index=index)
            self.run("add", "--force", "--", *names, index=index)
            tree = self.run("write-tree", index=index).strip()
        return self._as_somebody("commit-tree", tree, "-p", base, "-F", "-", text=message).strip()

    def point(self, ref: str, commit: str | None) -> None:
        """Let a ref of ours point at a commit, or delete it."""
        # Only a retrain has to do with it, and there is one: this is what a killed one left.
        self.path(f"{ref}.lock").unlink(missing_ok=True)
        if commit is None:
            self.run("update-ref", "-d", ref)
        else:
            self.run("update-ref", ref, commit)

    def check_out(self, branch: str, commit: str) -> None:
        """Be on a branch that the files are at already: index, then HEAD; no file changes."""
        before = self.branch() or (self.commit_of("HEAD") or "")
        real = self.path("index")
        with _index(self) as index:
            shutil.copyfile(real, index)
            self.run("read-tree", "-m", "-i", commit, index=index)
            self._refresh(index)
            index.replace(real)
        if before != branch:
            # The words by which `git switch -` finds the way back.
            how = f"checkout: moving from {before} to {branch}"
            self._as_somebody("symbolic-ref", "-m", how, "HEAD", f"refs/heads/{branch}")

    def _refresh(self, index: Path) -> None:
        try:
            self.run("update-index", "-q", "--refresh", index=index)
        except GitError:
            return  # it says by its status that a file differs, which `git status` will show

    def _as_somebody(self, *arguments: str, text: str = "") -> str:
        """A command that notes who gave it."""
        if self.ask("var", "GIT_COMMITTER_IDENT") is None:
            name, email = AUTHOR
            known = ("-c", f"user.name={name}", "-c", f"user.email={email}")
            return self.run(*known, *arguments, text=text)
        return self.run(*arguments, text=text)


@contextmanager
def _index(repository: Repository) -> Iterator[Path]:
    """The name of an index of our own, beside git's; nothing stays of it."""
    path = repository.path(f"{INDEX}-{os.getpid()}")
    for left in path.parent.glob(f"{INDEX}-*"):
        left.unlink()
    try:
        yield path
    finally:
        for left in path.parent.glob(f"{path.name}*"):
            left.unlink()


def trailers(message: str) -> Mapping[str, str]:
    """The lines `Retrain-...: value` at the end of a commit's message."""
    lines = [line.partition(": ") for line in message.splitlines() if line.startswith("Retrain-")]
    return {name: value for name, _, value in lines}
