"""The copy of a commit that a retrain works in, and what a killed one leaves of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sgseg.registry.unmerged import unmerged_retrain
from sgseg.retrain import tree
from sgseg.retrain.environment import MARK, of_retrain
from sgseg.retrain.git import GitError, Repository

from .project import FakeDvc, git


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one commit."""
    root = tmp_path / "project"
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    (root / ".dvc").mkdir()
    (root / ".dvc/config").touch()
    (root / ".gitignore").write_text("/.dvc/tmp/\n/.dvc/config.local\n/kept/\n/checkpoints/\n")
    (root / "a.txt").write_text("one\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "One")
    return root


def copy(project: Path, commit: str = "HEAD") -> Path:
    repository = Repository(project)
    found = repository.commit_of(commit)
    assert found is not None
    (project / ".dvc/tmp").mkdir(exist_ok=True)
    return tree.at_commit(repository, found, FakeDvc(project))


def test_it_has_what_is_committed_and_leaves_what_is_not(project: Path) -> None:
    (project / "a.txt").write_text("two\n")
    (project / "b.txt").write_text("new\n")
    git(project, "add", "b.txt")
    before = git(project, "status", "--porcelain")
    root = copy(project)
    assert (root / "a.txt").read_text() == "one\n"
    assert not (root / "b.txt").exists()
    assert git(project, "status", "--porcelain") == before
    assert git(project, "worktree", "list").count("\n") == 0


def test_it_knows_what_is_merged(project: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(project), "other")
    other = tmp_path / "other"
    git(other, "switch", "-q", "-c", "retrain/1")
    git(other, "commit", "-q", "--allow-empty", "-m", "A model\n\nRetrain-Outcome: promote")
    root = copy(other)
    assert unmerged_retrain(root) == unmerged_retrain(other) != ""
    assert git(root, "rev-parse", "origin/HEAD") == git(project, "rev-parse", "main")
    git(other, "branch", "-f", "main", "retrain/1")
    copy(other)
    assert unmerged_retrain(root) == ""


def test_what_git_ignores_survives_a_kill(project: Path) -> None:
    root = copy(project)
    (root / "kept").mkdir()
    (root / "kept/checkpoint").write_text("epoch 7")
    (root / "a.txt").write_text("half")
    (root / "more.txt").write_text("half")
    (root / ".git/index.lock").touch()
    assert copy(project) == root
    assert (root / "kept/checkpoint").read_text() == "epoch 7"
    assert (root / "a.txt").read_text() == "one\n"
    assert not (root / "more.txt").exists()


@pytest.mark.parametrize("broken", ["HEAD", "objects", "config"])
def test_a_broken_one_is_made_anew(project: Path, broken: str) -> None:
    root = copy(project)
    (root / "kept").mkdir()
    subprocess.run(["rm", "-r", str(root / ".git" / broken)], check=True)
    (root / "a.txt").write_text("half")
    copy(project)
    assert (root / "a.txt").read_text() == "one\n"
    assert git(root, "rev-parse", "HEAD") == git(project, "rev-parse", "HEAD")


def test_one_without_git_never_touches_the_project(project: Path) -> None:
    root = copy(project)
    subprocess.run(["rm", "-r", str(root / ".git")], check=True)
    (project / "a.txt").write_text("of a person\n")
    with of_retrain(project, root), pytest.raises(GitError):
        Repository(root).run("reset", "--hard", "HEAD")
    copy(project)
    assert (project / "a.txt").read_text() == "of a person\n"


def test_another_commit_has_a_copy_of_its_own(project: Path) -> None:
    root = copy(project)
    (root / "kept").mkdir()
    (project / "a.txt").write_text("two\n")
    git(project, "commit", "-q", "-a", "-m", "Two")
    assert (copy(project) / "a.txt").read_text() == "two\n"
    assert not (root / "kept").exists()
    tree.remove(project)
    assert not root.exists()


def test_checkpoints_fit_any_commit(project: Path) -> None:
    # As a cache of CI brings them back, or a killed retrain of another commit has left them.
    kept = project / tree.PLACE / "checkpoints/0a1b/fold_0.npz"
    kept.parent.mkdir(parents=True)
    kept.write_text("epoch 7")
    root = copy(project)
    assert (root / "a.txt").read_text() == "one\n"
    (project / "a.txt").write_text("two\n")
    git(project, "commit", "-q", "-a", "-m", "Two")
    copy(project)
    assert (root / "a.txt").read_text() == "two\n"
    assert kept.read_text() == "epoch 7"


def test_shallow_clones_and_subfolders(project: Path, tmp_path: Path) -> None:
    git(project, "commit", "-q", "--allow-empty", "-m", "Two")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{project}", "shallow")
    root = copy(tmp_path / "shallow")
    assert git(root, "log", "--format=%s") == "Two"
    git(tmp_path, "init", "-q", "outer")
    inner = tmp_path / "outer/inner"
    (inner / ".dvc").mkdir(parents=True)
    (inner / "a.txt").write_text("inner\n")
    git(inner, "add", "a.txt")
    (inner / ".dvc/config").touch()
    git(inner, "add", ".dvc/config")
    git(inner, "commit", "-q", "-m", "Inner")
    root = copy(inner)
    assert root == inner / tree.PLACE / "inner"
    assert (root / "a.txt").read_text() == "inner\n"


def test_a_linked_worktree_has_one_of_its_own(project: Path, tmp_path: Path) -> None:
    git(project, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    assert (copy(tmp_path / "linked") / "a.txt").read_text() == "one\n"


def test_a_stage_that_outlives_its_retrain_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "PAUSE_SECONDS", 0.05)
    # All files closed, another folder, its parent gone: as DVC leaves a stage.
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(1)"],
        env=os.environ | {MARK: str(tree.place(tmp_path))},
        close_fds=True,
        cwd="/",
    )
    tree.wait_for_left_over(tmp_path / "of another project")
    assert child.poll() is None
    tree.wait_for_left_over(tmp_path)
    # A process has lost its environment a moment before it has ended.
    assert child.wait(timeout=0.5) == 0
