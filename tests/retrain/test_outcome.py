"""What a shell, a workflow and a reader are told."""

from __future__ import annotations

import json
from pathlib import Path

from sgseg.commands.retrain import said
from sgseg.retrain.outcome import EXIT_CODES, Outcome, write_outcome


def test_each_outcome_has_a_code_of_its_own() -> None:
    assert dict(EXIT_CODES) == {
        "promote": 0,
        "nothing to do": 10,
        "not promoted": 11,
        "refused by validation": 12,
        "gave way": 13,
    }


def test_the_file(tmp_path: Path) -> None:
    write_outcome(tmp_path, Outcome("gave way", base="abc", reasons=("Faster.",), started="now"))
    assert json.loads((tmp_path / "outcome.json").read_text()) == {
        "outcome": "gave way",
        "exit_code": 13,
        "branch": "",
        "base": "abc",
        "commit": "",
        "decision": None,
        "reasons": ["Faster."],
        "problems": [],
        "started": "now",
        "ended": "",
    }


def test_the_last_lines_say_what_to_do() -> None:
    assert said(Outcome("promote", branch="retrain/1", reasons=("Better.",))) == (
        "Trained; the gate passes it: proposed on branch retrain/1\n"
        "  Better.\n"
        "Report: reports/retrain/report.html\n"
        "To look at it: git switch retrain/1 && dvc checkout --with-deps promote quantify\n"
        "To accept it: a pull request, or git merge retrain/1 && git push; then: make promote\n"
    )
    assert said(Outcome("refused by validation", problems=("a.tif: cut off",))) == (
        "The data are refused; nothing was trained\n"
        "  - a.tif: cut off\n"
        "Report: reports/retrain/report.html\n"
        "Mend or remove these files, commit, and give the command again.\n"
    )
