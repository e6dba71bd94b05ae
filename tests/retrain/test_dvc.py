"""DVC itself, as far as a retrain relies on it; one small project, and what it prints."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sgseg.retrain.dvc import LOCKS, Done, Dvc, changes_in_short, outputs

from .project import git

PIPELINE = """\
stages:
  validate:
    cmd: python check.py
    deps: [data/raw.txt]
    outs: [checked.txt]
  promote:
    cmd: python -c "open('model.txt', 'w').write(open('checked.txt').read())"
    deps: [checked.txt]
    outs: [model.txt]
"""
CHECK = """\
import sys
text = open("data/raw.txt").read()
if "bad" in text:
    print("error: 2 problems:\\n  - a.tif: cut off\\n  - b.tif: black", file=sys.stderr)
    sys.exit(2)
open("checked.txt", "w").write(text)
"""
REFUSED = """\
Running stage 'validate':
> python pipelines/validate.py
error: 2 problems:
  - a.tif: cut off; expected a TIFF. Mend it.
  - b.tif: black
ERROR: failed to reproduce 'validate': failed to run: python pipelines/validate.py, exited with 2
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dvc:
    """A project with a remote, of which the first stage's data were added."""
    root = tmp_path_factory.mktemp("small")
    (root / "remote").mkdir()
    git(root, "init", "-q", "project")
    root /= "project"
    (root / "data").mkdir()
    (root / "data/raw.txt").write_text("good")
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "check.py").write_text(CHECK)
    dvc = Dvc(root)
    assert dvc.run("init", "-q").status == 0
    assert not dvc.has_remote()
    (root / ".dvc/config").write_text("['remote \"share\"']\n    url = ../../remote\n")
    return dvc


def test_a_remote_must_be_the_default(small: Dvc) -> None:
    with pytest.raises(Exception, match=r"none of its remotes is the default \(share\)"):
        small.has_remote()
    config = small.root / ".dvc/config"
    config.write_text("[core]\n    remote = share\n" + config.read_text())
    assert small.has_remote()


def test_results_come_back_from_the_remote(small: Dvc) -> None:
    root = small.root
    assert set(small.status("promote")) == {"validate", "promote"}
    assert small.run("repro", "--pull", "promote").status == 0
    assert small.status("promote") == {}
    assert small.run("push", "--run-cache", "--with-deps", "promote").status == 0
    lock = (root / "dvc.lock").read_bytes()
    # As in another clone, and with the lock file of before: nothing is run again.
    (root / "dvc.lock").unlink()
    shutil.rmtree(root / ".dvc/cache")
    (root / "model.txt").unlink()
    (root / "check.py").write_text("raise SystemExit(1)")
    (root / LOCKS).write_text('{"write": {"/half')  # of a killed DVC
    small.run("pull", "--force", "--run-cache")
    assert small.run("repro", "--pull", "promote").status == 0
    assert (root / "dvc.lock").read_bytes() == lock
    assert (root / "model.txt").read_text() == "good"


def test_what_a_stage_refuses_is_taken_from_what_it_prints(small: Dvc) -> None:
    (small.root / "check.py").write_text(CHECK)
    (small.root / "data/raw.txt").write_text("bad")
    done = small.run("repro", "promote")
    assert (done.stage, done.stage_status) == ("validate", 2)
    assert done.problems == ("a.tif: cut off", "b.tif: black")
    changed = changes_in_short(small.status("promote"), outputs(small.root, "promote"))
    assert changed == "data/raw.txt"


def test_the_words_of_a_stage() -> None:
    done = Done(255, REFUSED)
    assert (done.stage, done.stage_status) == ("validate", 2)
    assert done.problems == ("a.tif: cut off; expected a TIFF. Mend it.", "b.tif: black")
    one = Done(255, "x\nerror: params.yaml: no such file\nERROR: failed to reproduce 'ingest'")
    assert one.problems == ("params.yaml: no such file",)
    assert Done(1, "Killed").stage_status is None


def test_what_has_changed_in_short() -> None:
    status = {
        "train@0": [{"changed deps": {"params.yaml": {"train.epochs": "modified"}, "src": "new"}}],
        "train@1": [{"changed deps": {"src": "new"}}, "changed command"],
        "promote": [{"changed outs": {"reports/promotion": "deleted"}}],
    }
    assert changes_in_short(status) == "train.epochs, src, changed command, reports/promotion"
    assert changes_in_short(status, ["reports", "src"]) == "train.epochs, changed command"
    assert changes_in_short(status, most=2) == "train.epochs, src and 2 more"


def test_outputs_are_those_on_the_way_to_a_stage(tmp_path: Path) -> None:
    def stage(deps: list[str], *outs: str) -> dict[str, list[dict[str, str]]]:
        return {"deps": [{"path": p} for p in deps], "outs": [{"path": p} for p in outs]}

    stages = {
        "simulate": stage(["simulate.py"], "data/raw/simulated"),
        "ingest": stage(["data/raw/lab"], "data/dataset"),
        "train@0": stage(["data/dataset/manifest.csv"], "models/folds/0"),
        "train@1": stage(["data/dataset"], "models/folds/1"),
        "evaluate": stage(["models/folds"], "models/evaluated"),
        "quantify": stage(["models/evaluated"], "reports/quantify"),
    }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    made = ["data/dataset", "models/evaluated", "models/folds/0", "models/folds/1"]
    assert outputs(tmp_path, "evaluate") == made
    assert outputs(tmp_path, "train") == [made[0], *made[2:]]
    assert outputs(tmp_path / "elsewhere", "train") == []


def test_children_find_this_python(small: Dvc) -> None:
    where = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sgseg.retrain.dvc as d; print(d._environment(d.Path('/there'))['PATH'])",
        ],
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.startswith(str(Path(sys.executable).parent))


def test_a_copy_has_cache_remotes_and_rights(small: Dvc, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere/copy"
    (copy / ".dvc").mkdir(parents=True)
    (small.root / ".dvc/config.local").write_text(
        "['remote \"lab\"']\n    url = https://lab.example\n    password = of Ada\n"
    )
    small.share(copy)
    git(copy, "init", "-q")
    theirs = Dvc(copy)
    assert theirs.ask("cache", "dir").strip() == str(small.root / ".dvc/cache")
    # The address is relative to the project's settings.
    remotes = {
        line.split()[0]: line.split()[1] for line in theirs.ask("remote", "list").splitlines()
    }
    assert remotes["lab"] == "https://lab.example"
    assert (copy / ".dvc" / remotes["share"]).resolve() == small.root.parent / "remote"
    written = copy / ".dvc/config.local"
    assert "password = of Ada" in written.read_text()
    assert written.stat().st_mode & 0o077 == 0
    (small.root / ".dvc/config.local").unlink()
    small.share(copy)
    assert "Ada" not in written.read_text()
