"""A retrain from beginning to end, with real git, and a DVC and a gate of a few lines."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from sgseg.errors import InputError
from sgseg.retrain import delivery, tree
from sgseg.retrain.dvc import Done
from sgseg.retrain.git import Repository
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
    """What a user sees of a clone, staged and not staged, and whether a copy is left."""
    changed = git(root, "status", "--porcelain")
    left = [path.name for path in (root / ".dvc/tmp").glob("retrain*") if path.suffix == ".part"]
    left += ["copy"] * (root / tree.PLACE).exists()
    return {"branch": git(root, "branch", "--show-current"), "changed": changed, "left": left}


SETTLED = {"branch": "main", "changed": "", "left": []}
"""As before; a retrain never changes more than its branch."""


def at(root: Path, branch: str, name: str) -> str:
    """A file on a branch."""
    return git(root, "show", f"{branch}:{name}")


def test_a_first_model_is_proposed(home: Path, root: Path) -> None:
    base = git(root, "rev-parse", "HEAD")
    log: list[str] = []
    done = go(root, log)
    branch = done.branch
    assert re.fullmatch("retrain/[0-9a-f]{7}", branch)
    assert (done.outcome, done.exit_code, done.branch, done.base) == ("promote", 0, branch, base)
    assert git(home / "origin.git", "rev-parse", branch) == done.commit
    assert git(root, "rev-parse", f"{branch}^") == base
    assert state(root) == SETTLED
    listed = git(root, "diff", "--name-only", base, branch).splitlines()
    assert listed == [
        "dvc.lock",
        "registry/decision.json",
        "registry/history.jsonl",
        "registry/retrain.md",
        "splits/lab.csv",
    ]
    assert log == [
        f"pull --force {project.RAW}.dvc",
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
    assert written["decision"] == json.loads(at(root, branch, "registry/decision.json"))
    assert (root / "reports/retrain/summary.md").read_text() == "# Retrain: promote\n"


def test_nothing_has_changed_after_the_merge(home: Path, root: Path) -> None:
    merge(root, go(root).branch)
    fresh = clone(home, "fresh")
    done = go(fresh)
    assert (done.outcome, done.exit_code, done.branch) == ("nothing to do", 10, "")
    assert state(fresh) == SETTLED


def test_new_images_make_a_better_model(home: Path, root: Path) -> None:
    merge(root, go(root).branch)
    bring(root, image_2="good")
    git(root, "push", "-q", "origin", "main")
    fresh, log = clone(home, "fresh"), []
    assert go(fresh, log).outcome == "promote"
    made = " ".join(sorted(project.GIVES.values()))
    assert log[:2] == [f"pull --force {project.RAW}.dvc", f"pull --force --run-cache {made}"]
    assert "image_2" in at(fresh, git(fresh, "branch", "--list", "retrain/*"), "splits/lab.csv")


def test_the_same_retrain_is_done_once(home: Path, root: Path) -> None:
    first = go(root)
    fresh = clone(home, "fresh")
    log: list[str] = []
    done = go(fresh, log)
    assert (done.outcome, done.branch, done.commit) == ("nothing to do", first.branch, first.commit)
    assert done.reasons[0] == f"This retrain has been done: branch {first.branch} (promote)."
    assert not any(command.startswith("repro") for command in log)
    assert state(fresh) == SETTLED


def test_a_worse_model_is_committed_and_not_promoted(home: Path, root: Path) -> None:
    merge(root, go(root).branch)
    done = go(root, values={"train.epochs": 1})
    assert (done.outcome, done.exit_code) == ("not promoted", 11)
    assert done.branch in branches(home)
    params = yaml.safe_load(at(root, done.branch, "params.yaml"))
    assert params["train"]["epochs"] == 1
    assert state(root) == SETTLED


def test_bad_images_are_refused_by_name(home: Path, root: Path) -> None:
    merge(root, go(root).branch)
    bring(root, image_2="bad: cut off", image_3="bad: black")
    done = go(root, values={"train.epochs": 3})
    assert (done.outcome, done.exit_code) == ("refused by validation", 12)
    assert done.problems == ("image_2: bad: cut off", "image_3: bad: black")
    assert state(root) == SETTLED
    assert len(branches(home)) == 2
    assert (root / "reports/retrain/summary.md").is_file()


def test_without_a_remote_for_data_nothing_is_pushed(home: Path, root: Path) -> None:
    shutil.rmtree(home / "remote")
    log: list[str] = []
    done = go(root, log)
    assert done.outcome == "promote"
    assert branches(home) == ["main"]
    assert state(root) == SETTLED
    assert log[0] == f"checkout --force {project.RAW}.dvc"
    assert go(root).outcome == "nothing to do"


def test_a_branch_kept_here_is_pushed_later_and_its_data_first(home: Path, root: Path) -> None:
    done = go(root, push=False)
    assert branches(home) == ["main"]
    assert go(root, push=False).outcome == "nothing to do"
    log: list[str] = []
    again = go(root, log)
    assert (again.outcome, again.branch, again.commit) == ("promote", done.branch, done.commit)
    assert log == ["push --run-cache --with-deps promote quantify"]
    assert done.branch in branches(home)
    assert state(root) == SETTLED
    fresh = clone(home, "fresh")
    git(fresh, "switch", "-q", done.branch)
    assert FakeDvc(fresh).run("pull", "models/evaluated").status == 0


def test_force_trains_again_on_a_branch_of_its_own(home: Path, root: Path) -> None:
    first = go(root)
    log: list[str] = []
    done = go(root, log, force=True)
    assert done.branch == f"{first.branch}-2"
    assert "repro --force validate" in log
    assert set(branches(home)) == {"main", first.branch, done.branch}


def test_what_is_not_committed_is_named(root: Path) -> None:
    (root / "notes.txt").write_text("better\n")
    (root / "params.yaml").write_text("x: 1\n")
    (root / "splits/lab.csv").write_text("image_id,set\nimage_1,test\n")
    (root / project.RAW / "image_1").unlink()
    (root / project.RAW / "image_7").write_text("renamed")
    before = state(root)
    with pytest.raises(InputError, match="commit them first, or give parameters with --set") as e:
        go(root, values={"train.epochs": 3})
    named = [problem.where for problem in e.value.problems]
    assert named == ["params.yaml", "splits/lab.csv", project.RAW]
    assert state(root) == before
    assert [path.name for path in (root / project.RAW).iterdir()] == ["image_7"]


def test_a_data_set_that_is_not_in_git_is_named(root: Path) -> None:
    (root / "data/raw/mine.dvc").write_text("")
    assert go(root).outcome == "promote"  # none of its business
    with pytest.raises(InputError, match=r"data/raw/mine\.dvc: not committed"):
        go(root, values={"data.source": "mine"})


def test_nothing_of_the_users_is_touched(root: Path) -> None:
    merge(root, go(root).branch)
    git(root, "tag", "trained")
    (root / "notes.txt").write_text("staged\n")
    git(root, "add", "notes.txt")
    (root / "notes.txt").write_text("and more\n")
    with (root / "registry/history.jsonl").open("a") as stream:
        stream.write("by hand\n")
    (root / "dvc.lock").write_text("{half of a fi")
    (root / "src").mkdir()
    (root / "src/new.py").write_text("half a thought\n")
    (root / ".git/index.lock").touch()
    git_files = {name: (root / ".git" / name).read_bytes() for name in ("index", "HEAD")}
    files = {p: p.read_bytes() for p in contents(root)}
    done = go(root, values={"train.epochs": 200})
    assert done.outcome == "promote"
    assert {p: p.read_bytes() for p in contents(root)} == files
    assert {name: (root / ".git" / name).read_bytes() for name in git_files} == git_files
    assert git(root, "diff", "--name-only", "trained", done.branch).splitlines() == [
        "dvc.lock",
        "params.yaml",
        "registry/decision.json",
    ]


def contents(root: Path) -> list[Path]:
    """All files of a clone but git's, DVC's own and the report."""
    own = (root / ".git", root / ".dvc", root / "reports/retrain")
    files = [path for path in root.rglob("*") if path.is_file()]
    return [path for path in files if not any(path.is_relative_to(folder) for folder in own)]


def test_edits_while_a_stage_trains_change_nothing(home: Path, root: Path) -> None:
    undisturbed = go(clone(home, "undisturbed"), push=False)
    run_stage = project.run_stage

    def meanwhile(tree: Path, stage: str, *arguments: Any) -> str:
        if stage == "train":
            params = yaml.safe_load((root / "params.yaml").read_text())
            params["train"]["epochs"] = 999
            (root / "params.yaml").write_text(yaml.safe_dump(params))
            (root / project.RAW / "image_9").write_text("brought in meanwhile")
            git(root, "switch", "-q", "-c", "elsewhere")
            git(root, "commit", "-q", "-a", "-m", "Other parameters")
        return run_stage(tree, stage, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(project, "run_stage", meanwhile)
        done = go(root)
    assert done.branch == undisturbed.branch
    assert git(root, "rev-parse", f"{done.branch}^") == git(root, "rev-parse", "main")
    theirs = git(home / "undisturbed", "rev-parse", f"{undisturbed.branch}^{{tree}}")
    assert git(root, "rev-parse", f"{done.branch}^{{tree}}") == theirs
    assert state(root) == SETTLED | {"branch": "elsewhere"}
    assert "999" in (root / "params.yaml").read_text()
    # Nor does DVC give back, for the other parameters, the model of these.
    (root / project.RAW / "image_9").unlink()
    before = len(project.ran)
    go(root, push=False)
    assert "train" in project.ran[before:]


def test_a_detached_head_and_gits_own_variables(
    home: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(root, "switch", "-q", "--detach")
    other = clone(home, "other")
    head = git(other, "rev-parse", "HEAD")
    with monkeypatch.context() as hook:
        hook.setenv("GIT_DIR", str(other / ".git"))
        hook.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
        hook.setenv("GIT_WORK_TREE", str(other))
        done = go(root)
    assert done.outcome == "promote"
    assert state(root) == SETTLED | {"branch": ""}
    assert git(root, "rev-parse", done.branch) == done.commit
    assert git(other, "for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main"
    assert (git(other, "rev-parse", "HEAD"), state(other)) == (head, SETTLED)


def test_a_commit_to_the_docs_makes_no_other_retrain(root: Path) -> None:
    first = go(root)
    (root / "notes.txt").write_text("better\n")
    git(root, "commit", "-q", "-a", "-m", "Notes")
    done = go(root)
    assert (done.outcome, done.branch, done.commit) == ("nothing to do", first.branch, first.commit)
    # A split, which a model depends on, does.
    (root / "splits/lab.csv").write_text("image_id,set\nimage_1,test\n")
    git(root, "commit", "-q", "-a", "-m", "Another split")
    assert go(root).branch != first.branch


def test_a_name_is_of_one_retrain(home: Path, root: Path) -> None:
    first = go(root, branch="mine")
    assert go(root, branch="mine").outcome == "nothing to do"
    message = r"branch mine: is there and holds something else than this retrain"
    log: list[str] = []
    for place in (root, clone(home, "fresh")):
        with pytest.raises(InputError, match=message):
            go(place, log, branch="mine", values={"train.epochs": 3})
    with pytest.raises(InputError, match="branch main: is there and holds something else"):
        go(root, log, branch="main")
    assert log == []
    assert git(home / "origin.git", "rev-parse", "mine") == first.commit


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_branch_that_is_in_the_way_is_named_before_training(
    home: Path, root: Path, where: str
) -> None:
    git(root if where == "here" else home / "origin.git", "branch", "retrain", "main")
    log: list[str] = []
    with pytest.raises(InputError, match="cannot be made: git allows none beside the branch retr"):
        go(root, log)
    assert not any(command.startswith("repro") for command in log)


def test_a_project_in_a_subfolder(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    root = make(tmp_path / "plain")
    outer = tmp_path / "lab/outer"
    shutil.copytree(root, outer / "inner", ignore=shutil.ignore_patterns(".git"))
    (tmp_path / "lab/outer/remote").mkdir()
    git(outer, "init", "-q", "-b", "main")
    git(outer, "add", "-A")
    git(outer, "add", "-f", f"inner/{project.RAW}.dvc")
    git(outer, "commit", "-q", "-m", "All")
    done = go(outer / "inner")
    assert done.outcome == "promote"
    listed = git(outer, "diff", "--name-only", "main", done.branch).splitlines()
    assert listed[0] == "inner/dvc.lock"
    assert all(name.startswith("inner/") for name in listed)
    assert done.branch != go(root, push=False).branch
    assert git(outer, "status", "--porcelain") == ""


def test_what_git_refuses_is_said_in_its_words(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Repository._call

    def full(self: Repository, *arguments: str, **options: Any) -> bytes:
        if arguments[0] == "write-tree":
            return call(self, "no-such-command")
        return call(self, *arguments, **options)

    monkeypatch.setattr(Repository, "_call", full)
    with pytest.raises(InputError, match=r"failed \(git: 'no-such-command' is not a git command"):
        go(root)


def test_another_champion_meanwhile_is_asked_for(home: Path, root: Path) -> None:
    class Later(project.FakeJudge):
        def judge(self, root: Path) -> Any:
            home.joinpath("champion").write_text("99")
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
    with pytest.raises(InputError, match=f"{project.RAW}: cannot be brought in.*`dvc add "):
        go(root)
    assert (root / project.RAW / "image_1").read_text() == "good"


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
    push = delivery.push

    def after_the_other(*arguments: Any) -> bool:
        monkeypatch.setattr(delivery, "push", push)
        # The very same commit, by the same person in the same second, would be no other.
        with monkeypatch.context() as patched:
            patched.setenv("GIT_COMMITTER_NAME", "Grace")
            assert go(fast).outcome == "promote"
        return push(*arguments)

    monkeypatch.setattr(delivery, "push", after_the_other)
    done = go(slow)
    (winner,) = set(branches(home)) & {done.branch}
    assert (done.outcome, done.exit_code) == ("gave way", 13)
    assert state(slow) == SETTLED
    again = go(slow)
    assert (again.outcome, again.branch) == ("nothing to do", winner)
    git(slow, "fetch", "-q")
    git(slow, "switch", "-q", winner)
    assert git(slow, "rev-parse", "HEAD") == git(home / "origin.git", "rev-parse", winner)


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
    # Committed already: delivered at once.
    assert log == ["push --run-cache --with-deps promote quantify"]
    assert state(root) == SETTLED


def test_github_is_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, summary = tmp_path / "output", tmp_path / "summary"
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = go(root)
    assert output.read_text() == f"outcome=promote\nbranch={done.branch}\n"
    assert summary.read_text() == "# Retrain: promote\n\n"
    assert go(root).outcome == "nothing to do"
    assert "\n# Retrain: nothing to do\n\nThis retrain has been done: branch" in summary.read_text()


LAST_STEPS = 62
"""From here on the result is there and delivered, and each step counts."""


@pytest.mark.parametrize("part", [0, 1])
def test_killed_anywhere_it_ends_the_same(home: Path, root: Path, part: int) -> None:
    # A process per step would take minutes: each is forked from this one, which has imported all.
    expected = go(clone(home, "undisturbed"), push=False)
    tree = git(home / "undisturbed", "rev-parse", f"{expected.branch}^{{tree}}")
    step, killed = part, True
    while killed:
        # Of the steps before, every tenth.
        step += 2 if step >= LAST_STEPS else 10
        victim = home / f"victim-{step}"
        shutil.copytree(root, victim, symlinks=True)
        killed = dies_at(victim, step)
        over = expected.branch in branches(home)
        done = go(victim)
        assert git(victim, "rev-parse", f"{expected.branch}^{{tree}}") == tree, step
        assert state(victim) == SETTLED, step
        assert done.outcome == "promote" or over, step
        assert branches(home) == ["main", expected.branch], step
        git(home / "origin.git", "update-ref", "-d", f"refs/heads/{expected.branch}")
        shutil.rmtree(victim)
    assert step > LAST_STEPS + 8


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
