"""What `sgseg track` does for the registered model: from files, once, and never backwards."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sgseg.registry import aliases, promote_version, put_back, roll_back
from sgseg.registry.models import aliases_of, versions

from .project import champion, evaluate, everything, lines_of_log, reopen, save, submit, submit_each


def track(root: Path) -> str:
    done = put_back(root, save=save)
    assert done is not None
    return str(done)


def test_nothing_to_put_back(root: Path) -> None:
    assert put_back(root, save=save) is None
    evaluate(root, 0.6)
    assert put_back(root, save=save) is None


def test_a_store_that_has_it_is_left_as_it_is(two: Path) -> None:
    before = everything(two)
    assert track(two) == "reports/promotion: already there"
    evaluate(two, 0.5)
    submit(two)
    before = everything(two)
    assert track(two) == "reports/promotion: already there"
    assert everything(two) == before


def test_a_lost_store_gets_its_champion_back(two: Path, forget: Callable[[], None]) -> None:
    registry = reopen(two)
    tags = versions(registry)[-1].tags
    log = lines_of_log(two)
    forget()
    said = "reports/promotion: put back; it is version 1, the champion"
    assert track(two) == said
    registry = reopen(two)
    (version,) = versions(registry)
    assert aliases_of(registry) == {"challenger": 1, "champion": 1}
    own = {"sgseg.run_id": version.run_id}
    assert version.tags == {**tags, **own}
    # The log of the store that is gone stays in the file, that of the new one begins.
    assert lines_of_log(two)[: len(log)] == log
    steps = [(line["number"], line["alias"], line["how"]) for line in lines_of_log(two)[len(log) :]]
    assert steps == [(1, "challenger", "put back"), (2, "champion", "put back")]
    before = everything(two)
    assert track(two) == "reports/promotion: already there"
    assert everything(two) == before
    assert submit(two).what == "champion already"
    assert everything(two) == before


def test_a_refused_model_is_no_champion_in_a_new_store(
    two: Path, forget: Callable[[], None]
) -> None:
    evaluate(two, 0.5)
    submit(two)
    forget()
    said = track(two)
    assert said.startswith("reports/promotion: put back; it is version 1, which was not promoted;")
    assert aliases_of(reopen(two)) == {"challenger": 1}
    assert track(two) == "reports/promotion: already there"


def test_the_champion_never_goes_backwards(two: Path, root: Path) -> None:
    # Version 1's files, as an older commit has them, in a store that has gone on.
    older = root
    evaluate(older, 0.5)
    submit(older)
    submit_each(two, 0.9)
    for name in ("models", "reports"):
        shutil.rmtree(two / name)
        shutil.copytree(older / name, two / name)
    said = track(two)
    assert "was compared with another champion than version 3, which stays" in said
    assert aliases_of(reopen(two)) == {"challenger": 4, "champion": 3}
    before = everything(two)
    track(two)
    assert everything(two) == before


def test_what_somebody_rolled_back_stays_so(two: Path, forget: Callable[[], None]) -> None:
    roll_back(reopen(two), reason="misses small granules")
    before = everything(two)
    assert track(two) == "reports/promotion: already there"
    assert everything(two) == before
    # In a new store as well: the file of the log knows.
    forget()
    assert "not made champion again" in track(two)
    assert "misses small granules" in track(two)
    assert champion(two) is None
    promote_version(reopen(two), 1, reason="it is the best there is")
    assert track(two) == "reports/promotion: already there"
    assert champion(two) == 1


def test_what_was_deleted_stays_deleted(two: Path) -> None:
    reopen(two).client.delete_model_version("sgseg", "2")
    assert track(two) == "reports/promotion: deleted in the store"
    assert [version.number for version in versions(reopen(two))] == [1]


def test_a_stage_that_was_killed_is_finished(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(two, 0.9)

    class Killed(BaseException):
        """The process ends here."""

    def die(registry: object, change: aliases.Change) -> None:
        if change.alias == "champion":
            raise Killed
        put(registry, change)  # type: ignore[arg-type]

    put = aliases._put
    with monkeypatch.context() as patch:
        patch.setattr(aliases, "_put", die)
        with pytest.raises(Killed):
            submit(two)
    assert champion(two) == 2
    assert track(two) == "reports/promotion: put back; it is version 3, the champion"
    assert champion(two) == 3


def test_a_decision_on_another_model(two: Path) -> None:
    before = everything(two)
    evaluate(two, 0.9)
    assert "not the model of the decision" in track(two)
    assert everything(two) == before


RETRAIN = "Retrain of abc1234: it may replace the model\n\nBetter.\n\nRetrain-Outcome: {}\n"


def git(root: Path, *arguments: str) -> str:
    """Run git as somebody, in the project."""
    who = ("-c", "user.name=ada", "-c", "user.email=ada@lab.example", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(root: Path, message: str) -> str:
    git(root, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(root, "rev-parse", "--short", "HEAD")


@pytest.fixture
def proposed(two: Path, forget: Callable[[], None]) -> tuple[Path, str]:
    """A clone at the branch of a retrain, with a store that knows nothing; and its commit."""
    git(two, "init", "--quiet", "--initial-branch=main")
    commit(two, "begin")
    git(two, "switch", "--quiet", "--create", "retrain/abc1234")
    forget()
    return two, commit(two, RETRAIN.format("promote"))


def test_a_proposed_model_waits_for_the_merge_in_any_store(proposed: tuple[Path, str]) -> None:
    root, retrain = proposed
    said = track(root)
    assert f"is proposed by the retrain {retrain}, which is not merged; `sgseg promote`" in said
    assert aliases_of(reopen(root)) == {"challenger": 1}
    before = everything(root)
    track(root)
    assert everything(root) == before
    # Looked at, and something written on top of it.
    commit(root, "a word in the report")
    assert f"the retrain {retrain}, which is not merged" in track(root)
    git(root, "switch", "--quiet", "main")
    git(root, "merge", "--quiet", "--no-ff", "--no-edit", "retrain/abc1234")
    assert track(root) == "reports/promotion: put back; it is version 1, the champion"
    assert champion(root) == 1


def test_a_fresh_store_gets_the_champion_of_a_merged_retrain(proposed: tuple[Path, str]) -> None:
    root, _ = proposed
    git(root, "switch", "--quiet", "main")
    git(root, "merge", "--quiet", "--ff-only", "retrain/abc1234")
    # And on a branch that left main later.
    git(root, "switch", "--quiet", "--create", "feature")
    commit(root, "a feature")
    track(root)
    assert champion(root) == 1


def test_what_the_remote_has_on_its_main_branch_is_merged(proposed: tuple[Path, str]) -> None:
    root, _ = proposed
    git(root, "branch", "--quiet", "--delete", "--force", "main")
    git(root, "update-ref", "refs/remotes/origin/trunk", "HEAD~1")
    git(root, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    assert "not merged" in track(root)
    git(root, "update-ref", "refs/remotes/origin/trunk", "HEAD")
    track(root)
    assert champion(root) == 1


def test_without_a_main_branch_the_commit_itself_says_it(proposed: tuple[Path, str]) -> None:
    root, _ = proposed
    git(root, "branch", "--quiet", "--delete", "--force", "main")
    assert "not merged" in track(root)
    assert champion(root) is None
    commit(root, "on it goes")
    track(root)
    assert champion(root) == 1


def test_another_project_s_git_is_not_asked(
    proposed: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = proposed
    git(tmp_path, "init", "--quiet", "other")
    # As in a hook of another repository.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    assert "not merged" in track(root)
