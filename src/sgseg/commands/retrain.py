"""`sgseg retrain`: train anew if something has changed, and propose the model on a branch."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgseg.retrain.outcome import Outcome

DESCRIPTION = """\
Fetch the data; if data, parameters or code have changed since the last training, check the data,
train, have the gate compare the model with the champion, write a report to reports/retrain, and
commit and push the result on a branch of its own. The champion stays until that is merged:
`make promote` then. It works on a copy of the commit: your files stay as they are, edit on.
Run again, or after a kill, it goes on. See docs/retrain.md.
"""
EPILOG = """\
exit codes: 0 better, proposed on a branch; 10 nothing to do; 11 trained, not promoted; 12 the data
are refused; 13 gave way to another retrain; 2 something to mend
"""
LOOK = "To look at it: git switch {branch} && dvc checkout --with-deps promote quantify"
MERGE = "To accept it: a pull request, or git merge {branch} && git push; then: make promote"
PAGE = "Report: reports/retrain/report.html"


def add_parser(subparsers: Any) -> None:
    """Add `retrain` to the commands."""
    parser = subparsers.add_parser(
        "retrain",
        help="train anew if something has changed, and propose the model on a branch",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("--root", default=".", metavar="DIR", help="the project's root")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="values",
        metavar="KEY=VALUE",
        help="a parameter for this retrain, such as train.epochs=80; may be given several times",
    )
    parser.add_argument("--remote", default="origin", help="git remote of the branch")
    parser.add_argument(
        "--branch",
        metavar="NAME",
        help="by default retrain/ and a digest of what the model depends on",
    )
    parser.add_argument("--no-push", action="store_true", help="keep data and branch in this clone")
    parser.add_argument(
        "--force",
        action="store_true",
        help="run all stages although nothing has changed, as after an update of packages",
    )
    parser.add_argument(
        "--wait", action="store_true", help="wait for another retrain in this clone to end"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sgseg retrain`."""
    from pathlib import Path  # noqa: PLC0415

    from sgseg.retrain.job import Wish  # noqa: PLC0415
    from sgseg.retrain.run import retrain  # noqa: PLC0415
    from sgseg.retrain.settings import parse  # noqa: PLC0415

    outcome = retrain(
        Wish(
            root=Path(arguments.root),
            values=parse(arguments.values),
            remote=arguments.remote,
            branch=arguments.branch,
            push=not arguments.no_push,
            force=arguments.force,
            wait=arguments.wait,
        )
    )
    sys.stdout.write(said(outcome))
    return outcome.exit_code


def said(outcome: Outcome) -> str:
    """What came of it and what to do next, for a terminal."""
    reasons = [f"  {reason}" for reason in outcome.reasons]
    problems = [f"  - {problem}" for problem in outcome.problems]
    branch = outcome.branch
    heads = {
        "promote": f"Trained; the gate passes it: proposed on branch {branch}",
        "not promoted": f"Trained, not promoted: the model in use stays; branch {branch}",
        "nothing to do": "Nothing to do",
        "refused by validation": "The data are refused; nothing was trained",
        "gave way": "Gave way",
    }
    todo = []
    if outcome.outcome in {"promote", "not promoted"}:
        merge = [MERGE.format(branch=branch)] if outcome.outcome == "promote" else []
        todo = [PAGE, LOOK.format(branch=branch), *merge]
    elif outcome.outcome == "refused by validation":
        todo = [PAGE, "Mend or remove these files, commit, and give the command again."]
    return "\n".join([heads[outcome.outcome], *reasons, *problems, *todo, ""])
