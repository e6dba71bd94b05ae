"""A retrain from beginning to end, with real git, and a DVC and a gate of a few lines."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from sgseg.errors import InputError
from sgseg.retrain import delivery
from sgseg.retrain.dvc import Done
from sgseg.retrain.git import PENDING, Repository
from sgseg.retrain.job import Wish
from sgseg.retrain.lock import only_retrain
from sgseg.retrain.run import retrain

from . import project
from .project import WHO, FakeDvc, branches, bring, clone, git, go, make, merge, tools


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GIT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("retrain")).parent


@pytest.fixture
def home(untrained: Path, tmp_path: Path) -> Path:
    """A bare repository, a remote and the clone `first`, in which nothing was trained yet."""
    home = shutil.copytree(untrained, tmp_path / "home", symlinks=True)
    git(home / "first", "remote", "set-url", "origin", str(home / "origin.git"))
    return home


@pytest.fixture
def root(home: Path) -> Path:
    return home / "first"


def state(root: Path) -> dict[str, Any]:
    """What a user sees of a clone."""
    changed = git(root, "status", "--porcelain", "--untracked-files=no")
    pending = Repository(root).commit_of(PENDING)
    return {"branch": git(root, "branch", "--show-current"), "changed": changed, "left": pending}


def settled(branch: str) -> dict[str, Any]:
    return {"branch": branch, "changed": "", "left": None}


def test_a_first_model_is_proposed(home: Path, root: Path) -> None:
    base = git(root, "rev-parse", "HEAD")
    log: list[str] = []
    done = go(root, log)
    branch = f"retrain/{base[:7]}"
    assert (done.outcome, done.exit_code, done.branch, done.base) == ("promote", 0, branch, base)
    assert git(home / "origin.git", "rev-parse", branch) == done.commit
    assert git(root, "rev-parse", f"{branch}^") == base
    assert state(root) == settled(branch)
    listed = git(root, "diff", "--name-only", base, branch).splitlines()
    assert listed == [
        "dvc.lock",
        "registry/decision.json",
        "registry/history.jsonl",
        "registry/retrain.md",
        "splits/lab.csv",
    ]
    assert log == [
        f"pull {project.RAW}.dvc",
        "repro --pull validate",
        "repro --pull promote quantify",
        "push --run-cache --with-deps promote quantify",
    ]
    written = json.loads((root / "reports/retrain/outcome.json").read_text())
    assert (written["outcome"], written["exit_code"], written["commit"]) == (
        "promote",
        0,
        done.commit,
    )
    assert written["decision"] == json.loads((root / "registry/decision.json").read_text())


def test_git_switch_leads_back(root: Path) -> None:
    go(root)
    git(root, "switch", "-q", "-")
    assert state(root) == settled("main")


def test_nothing_has_changed_after_the_merge(home: Path, root: Path) -> None:
    merge(root, go(root).branch)
    fresh = clone(home, "fresh")
    done = go(fresh)
    assert (done.outcome, done.exit_code, done.branch) == ("nothing to do", 10, "")
    assert state(fresh) == settled("main")


def test_new_images_make_a_better_model(home: Path, root: Path) -> None:
    merge(root, go(root).branch)
    bring(root, image_2="good")
    git(root, "push", "-q", "origin", "main")
    fresh, log = clone(home, "fresh"), []
    assert go(fresh, log).outcome == "promote"
    made = " ".join(sorted(project.GIVES.values()))
    assert log[:2] == [f"pull {project.RAW}.dvc", f"pull --force --run-cache {made}"]
    assert "image_2" in (fresh / "splits/lab.csv").read_text()


def test_the_same_retrain_is_done_once(home: Path, root: Path) -> None:
    first = go(root)
    fresh = clone(home, "fresh")
    log: list[str] = []
    done = go(fresh, log)
    assert (done.outcome, done.branch, done.commit) == ("nothing to do", first.branch, first.commit)
    assert done.reasons[0] == f"This retrain has been done: branch {first.branch} (promote)."
    assert not any(command.startswith("repro") for command in log)
    assert state(fresh) == settled("main")


def test_a_worse_model_is_committed_and_not_promoted(home: Path, root: Path) -> None:
    merge(root, go(root).branch)
    done = go(root, values={"train.epochs": 1})
    assert (done.outcome, done.exit_code) == ("not promoted", 11)
    assert done.branch in branches(home)
    assert done.branch.startswith(f"retrain/{git(root, 'rev-parse', 'main')[:7]}-")
    params = yaml.safe_load(git(root, "show", f"{done.branch}:params.yaml"))
    assert params["train"]["epochs"] == 1
    assert state(root) == settled(done.branch)


def test_bad_images_are_refused_by_name(home: Path, root: Path) -> None:
    merge(root, go(root).branch)
    bring(root, image_2="bad: cut off", image_3="bad: black")
    done = go(root, values={"train.epochs": 3})
    assert (done.outcome, done.exit_code) == ("refused by validation", 12)
    assert done.problems == ("image_2: bad: cut off", "image_3: bad: black")
    assert state(root) == settled("main")
    assert len(branches(home)) == 2
    # The results of before are back in their places.
    assert FakeDvc(root)._lock()["out:ingest"] == project._digest(root / "data/dataset")


def test_without_a_remote_for_data_nothing_is_pushed(home: Path, root: Path) -> None:
    shutil.rmtree(home / "remote")
    log: list[str] = []
    done = go(root, log)
    assert done.outcome == "promote"
    assert branches(home) == ["main"]
    assert state(root) == settled(done.branch)
    assert log[0] == f"checkout {project.RAW}.dvc"
    git(root, "switch", "-q", "main")
    assert go(root).outcome == "nothing to do"


def test_a_branch_kept_here_is_pushed_later(home: Path, root: Path) -> None:
    done = go(root, push=False)
    assert branches(home) == ["main"]
    git(root, "switch", "-q", "main")
    again = go(root)
    assert (again.outcome, again.branch) == ("promote", done.branch)
    assert done.branch in branches(home)


def test_force_trains_again_on_a_branch_of_its_own(home: Path, root: Path) -> None:
    first = go(root)
    git(root, "switch", "-q", "main")
    log: list[str] = []
    done = go(root, log, force=True)
    assert done.branch == f"{first.branch}-2"
    assert "repro --force validate" in log
    assert set(branches(home)) == {"main", first.branch, done.branch}


def test_changed_files_are_named(root: Path) -> None:
    (root / "notes.txt").write_text("better\n")
    (root / "params.yaml").write_text("x: 1\n")
    with pytest.raises(InputError) as caught:
        go(root)
    assert [problem.where for problem in caught.value.problems] == ["notes.txt", "params.yaml"]


def test_what_stages_write_may_differ(home: Path, root: Path) -> None:
    merge(root, go(root).branch)
    (root / "dvc.lock").write_text("{half of a fi")
    (root / "splits/lab.csv").write_text("image_id,set\nimage_1,test\n")
    done = go(root)
    # As good as the champion is no better.
    assert (done.outcome, state(root)) == ("not promoted", settled(done.branch))


def test_a_file_edited_while_it_trains_stops_the_commit(home: Path, root: Path) -> None:
    class Edits(project.FakeJudge):
        def judge(self, root: Path) -> Any:
            (root / "notes.txt").write_text("meanwhile\n")
            return super().judge(root)

    with pytest.raises(InputError, match="changed meanwhile"):
        retrain(Wish(root), tools(judge=Edits()))
    assert (root / "notes.txt").read_text() == "meanwhile\n"
    git(root, "checkout", "-q", "notes.txt")
    log: list[str] = []
    assert go(root, log).outcome == "promote"
    assert branches(home) == ["main", f"retrain/{git(root, 'rev-parse', 'main')[:7]}"]


def test_another_champion_meanwhile_is_asked_for(root: Path) -> None:
    class Later(project.FakeJudge):
        def judge(self, root: Path) -> Any:
            (root.parent / "champion").write_text("99")
            return super().judge(root)

    log: list[str] = []
    done = retrain(Wish(root), tools(log, judge=Later()))
    assert done.outcome == "not promoted"
    assert "commit --force promote" in log
    assert done.decision is not None
    assert done.decision["champion"] == 99


def test_a_stage_that_stops_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "error: no memory\nERROR: failed to reproduce 'train': exited with 1"
    monkeypatch.setattr(FakeDvc, "_repro", lambda *_, **__: Done(255, text))
    with pytest.raises(InputError, match=r"stage train: stopped .*no memory"):
        go(root)
    assert state(root)["branch"] == "main"


def test_data_that_nobody_has_are_named(root: Path, home: Path) -> None:
    shutil.rmtree(root / ".dvc/cache")
    for item in (home / "remote").iterdir():
        shutil.rmtree(item)
    shutil.rmtree(root / project.RAW)
    with pytest.raises(InputError, match=f"{project.RAW}: cannot be brought in"):
        go(root)


def test_no_git_and_no_dvc(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        go(tmp_path)
    assert len(caught.value.problems) == 4


def test_who_comes_second_in_a_clone_gives_way(root: Path) -> None:
    with only_retrain(root, since="2026-01-01T00:00:00Z", wait=False):
        done = go(root)
    assert (done.outcome, done.exit_code) == ("gave way", 13)
    assert "since 2026-01-01T00:00:00Z" in done.reasons[0]
    assert go(root).outcome == "promote"


def test_who_pushes_second_gives_way(
    home: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge(root, go(root).branch)
    bring(root, image_2="good")
    git(root, "push", "-q", "origin", "main")
    slow, fast = clone(home, "slow"), clone(home, "fast")
    (slow / "mine.txt").write_text("not in git")
    files = [path for path in slow.rglob("*") if path.is_file() and ".git" not in path.parts]
    before = {path: path.read_bytes() for path in files}
    push = delivery.push

    def after_the_other(*arguments: Any) -> bool:
        monkeypatch.setattr(delivery, "push", push)
        # The very same commit, by the same person in the same second, would be no other.
        with monkeypatch.context() as patched:
            patched.setenv("GIT_COMMITTER_NAME", "Grace")
            assert go(fast).outcome == "promote"
        (slow / project.RAW / "image_3").write_text("brought in meanwhile")
        return push(*arguments)

    monkeypatch.setattr(delivery, "push", after_the_other)
    done = go(slow)
    winner = f"retrain/{git(slow, 'rev-parse', 'main')[:7]}"
    assert (done.outcome, done.exit_code, done.branch) == ("gave way", 13, winner)
    assert state(slow) == settled("main")
    assert {p: p.read_bytes() for p in before} == before
    # The lab's own files are never put back.
    (slow / project.RAW / "image_3").unlink()
    again = go(slow)
    assert (again.outcome, again.branch) == ("nothing to do", winner)
    git(slow, "switch", "-q", winner)
    assert state(slow) == settled(winner)


def test_a_remote_that_refuses_loses_nothing(home: Path, root: Path) -> None:
    hook = home / "origin.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(InputError, match=r"does not take the branch .*protected"):
        go(root)
    assert state(root)["branch"] == "main"
    hook.unlink()
    log: list[str] = []
    done = go(root, log)
    assert done.outcome == "promote"
    assert log == []  # committed already: delivered at once
    assert state(root) == settled(done.branch)


def test_who_goes_elsewhere_meanwhile_stays_there(
    home: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = delivery.push

    def after_a_commit(*arguments: Any) -> bool:
        (root / "notes.txt").write_text("more\n")
        git(root, "commit", "-q", "-m", "Notes", "notes.txt")
        return push(*arguments)

    monkeypatch.setattr(delivery, "push", after_a_commit)
    done = go(root)
    assert done.branch in branches(home)
    assert git(root, "log", "-1", "--format=%s %D").startswith("Notes HEAD -> main")
    assert (root / "notes.txt").read_text() == "more\n"


def test_github_is_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, summary = tmp_path / "output", tmp_path / "summary"
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = go(root)
    assert output.read_text() == f"outcome=promote\nbranch={done.branch}\n"
    assert summary.read_text() == "# Retrain: promote\n\n"
    git(root, "switch", "-q", "main")
    assert go(root).outcome == "nothing to do"
    assert "\n# Retrain: nothing to do\n\nThis retrain has been done: branch" in summary.read_text()


def test_a_stale_lock_of_git_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgseg.retrain.git.PATIENCE_SECONDS", 0.1)
    (root / ".git/index.lock").touch()
    with pytest.raises(InputError, match=r"index\.lock: git is at work"):
        go(root)
    (root / ".git/index.lock").unlink()
    assert go(root).outcome == "promote"


LAST_STEPS = 36
"""From here on the result is there and delivered, and each step counts."""


@pytest.mark.parametrize("part", [0, 1])
def test_killed_anywhere_it_ends_the_same(home: Path, root: Path, part: int) -> None:
    # A process per step would take minutes: each is forked from this one, which has imported all.
    expected = go(clone(home, "undisturbed"), push=False)
    tree = git(home / "undisturbed", "rev-parse", f"{expected.branch}^{{tree}}")
    step, killed = part, True
    while killed:
        # Of the steps before, every sixth.
        step += 2 if step >= LAST_STEPS else 6
        victim = home / f"victim-{step}"
        shutil.copytree(root, victim, symlinks=True)
        killed = dies_at(victim, step)
        over = git(victim, "branch", "--show-current") == expected.branch
        done = go(victim)
        assert git(victim, "rev-parse", f"{expected.branch}^{{tree}}") == tree, step
        assert state(victim) == settled(expected.branch), step
        assert done.outcome == "promote" or over, step
        assert branches(home) == ["main", expected.branch], step
        git(home / "origin.git", "update-ref", "-d", f"refs/heads/{expected.branch}")
        shutil.rmtree(victim)
    assert step > LAST_STEPS + 10


def dies_at(root: Path, step: int) -> bool:
    """Retrain in another process, which is killed at a step; False: it ended before."""
    child = os.fork()
    if child == 0:
        try:
            project.die_at(step)
            go(root)
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
