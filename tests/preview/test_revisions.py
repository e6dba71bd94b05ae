"""Which commits a preview compares."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgseg.errors import InputError
from sgseg.preview.revisions import NO_COMMIT, find_revisions

from .lab import commit, git, repository


def test_a_branch_is_compared_with_where_it_left(tmp_path: Path) -> None:
    first = repository(tmp_path, a="1")
    git(tmp_path, "switch", "--quiet", "--create", "change")
    change = commit(tmp_path, "change", a="2")
    git(tmp_path, "switch", "--quiet", "main")
    commit(tmp_path, "another's", b="1")  # not what the branch has done
    git(tmp_path, "switch", "--quiet", "change")
    found = find_revisions(tmp_path, "main")
    assert (found.base, found.head, found.note) == (first, change, "")


def test_what_is_not_committed_counts_and_is_left_alone(tmp_path: Path) -> None:
    first = repository(tmp_path, a="1")
    (tmp_path / "a").write_text("2", encoding="utf-8")
    found = find_revisions(tmp_path, "main")
    assert found.base == first
    assert git(tmp_path, "show", f"{found.head}:a") == "2"
    assert git(tmp_path, "status", "--short") == "M a"
    assert git(tmp_path, "stash", "list") == ""


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("main", "Nothing differs"),
        ("origin/main", "There is no `origin/main`"),
        (NO_COMMIT, "No commit to compare with"),
        ("", "No commit to compare with"),
        ("--upload-pack=x", "There is no"),
    ],
)
def test_without_a_base_the_present_state_is_left(tmp_path: Path, base: str, said: str) -> None:
    first = repository(tmp_path, a="1")
    found = find_revisions(tmp_path, base)
    assert (found.base, found.head) == (None, first)
    assert said in found.note


def test_histories_with_nothing_in_common_are_compared_as_they_are(tmp_path: Path) -> None:
    first = repository(tmp_path, a="1")
    git(tmp_path, "switch", "--quiet", "--orphan", "other")
    commit(tmp_path, "other", a="2")
    found = find_revisions(tmp_path, "main")
    assert found.base == first
    assert "no commit in common" in found.note


def test_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no git repository with a commit"):
        find_revisions(tmp_path, "main")


def test_a_folder_within_the_project_is_refused(tmp_path: Path) -> None:
    repository(tmp_path, a="1")
    (tmp_path / "docs").mkdir()
    with pytest.raises(InputError, match="not the project's root"):
        find_revisions(tmp_path / "docs", "main")
