"""The targets that CI runs, with programs that only note how they were called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from preview.lab import commit, git, repository

ROOT = Path(__file__).parents[1]
NOTE = """\
#!{python}
import json, os, sys
from pathlib import Path
program = Path(sys.argv[0]).name
words = sys.argv[1:]
bodies = [Path(words[i + 1]).read_text() for i, w in enumerate(words) if w == "--body-file"]
with open(os.environ["NOTES"], "a") as notes:
    notes.write(json.dumps([program, *words, *bodies]) + "\\n")
answers = json.loads(os.environ.get("ANSWERS", "{{}}"))
for begin, (status, said) in answers.items():
    if " ".join([program, *words]).startswith(begin):
        print(said, end="")
        sys.exit(status)
"""


class Lab:
    """A folder with the project's Makefile, and programs that write down what they were given."""

    def __init__(self, folder: Path, *, in_git: bool = False) -> None:
        self.folder = folder
        ignored = {".gitignore": "/.venv\n/reports\n/notes\n"}
        if in_git:
            commit(folder, "a project", **ignored)
        else:
            repository(folder, **ignored)
        shutil.copy(ROOT / "Makefile", folder)
        shutil.copytree(ROOT / ".ci", folder / ".ci")
        programs = folder / ".venv/bin"
        programs.mkdir(parents=True)
        for name in ("gh", "sgseg", "dvc"):
            (programs / name).write_text(NOTE.format(python=sys.executable), encoding="utf-8")
            (programs / name).chmod(0o755)
        (programs / "python").symlink_to(sys.executable)
        for name in ("requirements.lock", "pyproject.toml", ".venv/.ready"):
            (folder / name).touch()

    def make(
        self, *words: str, fails: bool = False, answers: dict[str, object] | None = None, **env: str
    ) -> str:
        """Run targets, and what they write; `env` is the environment's, as in a workflow."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        env |= {"NOTES": str(self.folder / "notes"), "ANSWERS": json.dumps(answers or {})}
        done = subprocess.run(
            ["make", "--no-print-directory", *words],
            cwd=self.folder,
            env=kept | env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def calls(self) -> list[list[str]]:
        """How the programs were called, in order."""
        notes = self.folder / "notes"
        if not notes.exists():
            return []
        return [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]

    def retrained(self, outcome: str, branch: str = "retrain/abc1234", commit: str = "") -> None:
        """Leave the result of a retrain."""
        (self.folder / "reports/retrain").mkdir(parents=True, exist_ok=True)
        text = json.dumps({"outcome": outcome, "branch": branch, "commit": commit})
        (self.folder / "reports/retrain/outcome.json").write_text(text, encoding="utf-8")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_retrain_hands_parameters_on_as_words(lab: Lab) -> None:
    lab.make("retrain", SET="train.epochs=80  network.width=24", FORCE="1")
    assert lab.calls() == [
        ["sgseg", "retrain", "--set=train.epochs=80", "--set=network.width=24", "--force"]
    ]


@pytest.mark.parametrize(
    "value",
    [
        "a=1;touch>x",
        "$(touch$IFS$9x)",
        "`touch${IFS}x`",
        "a=*",
        "--remote=evil",
        "a=${HOME}",
        "a=$$",
    ],
)
def test_what_is_filled_in_is_never_run(lab: Lab, value: str) -> None:
    lab.make("retrain", SET=value)
    assert lab.calls() == [["sgseg", "retrain", f"--set={value}"]]
    assert not (lab.folder / "x").exists()


def test_retrain_takes_parameters_on_its_command_line(lab: Lab) -> None:
    lab.make("retrain", "SET=train.epochs=80")
    assert lab.calls() == [["sgseg", "retrain", "--set=train.epochs=80"]]


def test_without_parameters_there_are_none(lab: Lab) -> None:
    lab.make("retrain", SET="", FORCE="")
    assert lab.calls() == [["sgseg", "retrain"]]


@pytest.mark.parametrize("status", [0, 10, 11, 1, 2, 12, 13])
def test_a_retrain_without_a_better_model_is_no_failure(lab: Lab, status: int) -> None:
    lab.make("retrain", fails=status not in {0, 10, 11}, answers={"sgseg": [status, ""]})


def proposed(lab: Lab, report: str = "# Report\n", *, outcome: str = "promote") -> str:
    """A commit as a retrain leaves it; the gate has passed the model in any case."""
    files = {"registry/retrain.md": report, "registry/decision.json": '{"outcome": "promote"}'}
    title = "Retrain: object F1 0.71 to 0.74"
    return commit(lab.folder, f"{title}\n\nIt is so.\n\nRetrain-Outcome: {outcome}", **files)


def test_a_better_model_becomes_a_pull_request(lab: Lab) -> None:
    lab.retrained("promote", commit=proposed(lab))
    lab.make("pull-request")
    asked, created = lab.calls()
    assert asked[:7] == ["gh", "pr", "list", "--head", "retrain/abc1234", "--state", "open"]
    assert created[:5] == ["gh", "pr", "create", "--head", "retrain/abc1234"]
    assert created[5:7] == ["--title", "Retrain: object F1 0.71 to 0.74"]
    assert created[-1] == "# Report\n"


def test_an_open_pull_request_gets_the_new_text(lab: Lab) -> None:
    lab.retrained("promote", commit=proposed(lab))
    lab.make("pull-request", answers={"gh pr list": [0, "12\n"]})
    assert lab.calls()[1][:4] == ["gh", "pr", "edit", "12"]
    assert lab.calls()[1][-1] == "# Report\n"


def test_a_long_report_is_cut_to_what_github_takes(lab: Lab) -> None:
    lab.retrained("promote", commit=proposed(lab, "é" * 70_000))
    lab.make("pull-request", LANG="C.UTF-8")
    assert len(lab.calls()[1][-1]) < 65_536


@pytest.mark.parametrize("outcome", ["nothing to do", "not promoted", "keep", "gave way"])
def test_no_better_model_no_pull_request(lab: Lab, outcome: str) -> None:
    lab.retrained(outcome, branch="")
    assert "Nothing to propose" in lab.make("pull-request")
    assert lab.calls() == []


def on_the_remote(lab: Lab, made: str) -> None:
    """The branch of an earlier retrain, which this one has found."""
    git(lab.folder, "branch", "retrain/abc1234", made)
    where = git(lab.folder, "rev-parse", "--show-toplevel").strip()
    git(lab.folder, "remote", "add", "origin", where)
    lab.retrained("nothing to do")


def created(lab: Lab) -> list[list[str]]:
    return [words for words in lab.calls() if words[:3] == ["gh", "pr", "create"]]


@pytest.mark.parametrize("state", ["missing", "there"])
def test_a_branch_that_was_pushed_and_not_proposed_is_proposed(lab: Lab, state: str) -> None:
    on_the_remote(lab, proposed(lab))
    answers: dict[str, object] = {}
    if state == "there":  # closed by a person, say
        answers = {"gh pr list --head retrain/abc1234 --state all": [0, "12\n"]}
    said = lab.make("pull-request", answers=answers)
    assert len(created(lab)) == (state == "missing")
    assert ("Nothing to propose" in said) == (state == "there")


def test_a_model_that_a_person_took_out_of_use_is_never_proposed(lab: Lab) -> None:
    on_the_remote(lab, proposed(lab, outcome="not promoted"))
    assert "Nothing to propose" in lab.make("pull-request")
    assert lab.calls() == []


def test_a_project_in_a_subfolder_is_proposed_too(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "granules").mkdir()
    lab = Lab(tmp_path / "granules", in_git=True)
    on_the_remote(lab, proposed(lab))
    lab.make("pull-request")
    assert created(lab)[0][-1] == "# Report\n"
    lab.retrained("promote", commit="retrain/abc1234")
    lab.make("pull-request")
    assert created(lab)[1][-1] == "# Report\n"


def test_a_proposal_wants_a_retrain(lab: Lab) -> None:
    assert "Run `make retrain` first" in lab.make("pull-request", fails=True)


def test_one_comment_is_renewed(lab: Lab) -> None:
    (lab.folder / "reports/preview").mkdir(parents=True)
    (lab.folder / "reports/preview/summary.md").write_text("Preview", encoding="utf-8")
    lab.make("comment", PR="12")
    (words,) = lab.calls()
    assert words[:4] == ["gh", "pr", "comment", "12"]
    assert {"--edit-last", "--create-if-none"} <= set(words)
    assert words[-1] == "Preview"


def test_a_comment_wants_a_number(lab: Lab) -> None:
    assert "make comment PR=12" in lab.make("comment", fails=True)
    assert lab.calls() == []


@pytest.mark.parametrize(("remotes", "verb"), [("lab  s3://lab\n", "pull"), ("", "checkout")])
def test_promote_fetches_what_the_gate_reads(lab: Lab, remotes: str, verb: str) -> None:
    lab.make("promote", answers={"dvc remote list": [0, remotes]})
    _, fetched, promoted = lab.calls()
    assert fetched[:2] == ["dvc", verb]
    assert {"data/dataset", "data/split", "models/evaluated"} <= set(fetched)
    assert promoted == ["sgseg", "promote", "--strict"]


def test_nothing_is_promoted_that_could_not_be_fetched(lab: Lab) -> None:
    lab.make("promote", fails=True, answers={"dvc remote": [0, "lab"], "dvc pull": [1, ""]})
    assert lab.calls()[-1][0] == "dvc"


def test_credentials_are_for_their_owner_only(lab: Lab) -> None:
    text = "['remote \"lab\"']\n    password = $HOME `x` %s"
    lab.make("credentials", DVC_CONFIG_LOCAL=text, DVC_KEY_FILE="key")
    config, key = (lab.folder / ".dvc" / name for name in ("config.local", "tmp/key"))
    assert config.read_text(encoding="utf-8") == f"{text}\n"
    assert key.read_text(encoding="utf-8") == "key\n"
    assert config.stat().st_mode & 0o077 == key.stat().st_mode & 0o077 == 0


def test_no_credentials_leave_what_is_there(lab: Lab) -> None:
    (lab.folder / ".dvc").mkdir()
    (lab.folder / ".dvc/config.local").write_text("mine", encoding="utf-8")
    lab.make("credentials", DVC_CONFIG_LOCAL="")
    assert (lab.folder / ".dvc/config.local").read_text(encoding="utf-8") == "mine"
    assert not (lab.folder / ".dvc/tmp/key").exists()
