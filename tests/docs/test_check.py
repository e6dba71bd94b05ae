"""What does not exist is found: in commands, in parameters, in the plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import check, contents
from .markdown import Block
from .plan import Plan, Rule, unplanned, unused
from .shell import commands


def said_of(text: str, *, whole: bool = True) -> str | None:
    (command,) = commands(text)
    return check.complaint(command.words, whole=whole)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sgseg predict images", "--out"),
        ("sgseg predict images --out found --colour", "--colour"),
        ("sgseg outline images", "outline"),
        ("sgseg registry rollback --version 1", "--version"),
        ("make runs", "no target runs"),
        ("make serve PROT=1", "no variable PROT"),
        ("dvc repo", "repo"),
        ("dvc repro trane", "no stage trane"),
        ("dvc repro experiments/dvc.yaml:train", "no stage train"),
        ("dvc push --forced", "--forced"),
        ("mlflow models sevre -m a", "sevre"),
        ("mlflow models serve --env-manager local", "model-uri"),
        ("mlflow ui --colour", "--colour"),
        ("mlflow run . -e training", "no entry point training"),
        ("mlflow run . -e train -P flod=0", "no parameter flod"),
        ("python benchmarks/serving.py --round 8", "--round"),
        ("python benchmarks/speed.py", "no benchmarks/speed.py"),
        ("python -c 'print('", "never closed"),
        ("pip install 'sgseg[postgres]'", "no extra postgres"),
        ("git pulls", "no command pulls"),
        ("cat docs/nothing.md", "no docs/nothing.md"),
        ("sudo -u me fetch it", "fetch"),
    ],
)
def test_what_does_not_exist_is_named(text: str, expected: str) -> None:
    assert expected in (said_of(text) or "")


@pytest.mark.parametrize(
    "text",
    [
        "sgseg predict images --out found --overlay",
        "make serve PORT=5002",
        "dvc repro experiments/dvc.yaml:pretrain",
        "dvc repro train@0",
        "mlflow run . --env-manager local -e train -P fold=0",
        "python benchmarks/serving.py --rounds 8",
        "pip install 'sgseg[postgresql]' 'boto3>=1.40'",
        "sudo -u postgres createdb --owner mlflow mlflow",
    ],
)
def test_what_exists_is_not(text: str) -> None:
    assert said_of(text) is None


def test_in_a_sentence_the_names_count_and_what_is_missing_does_not() -> None:
    assert said_of("sgseg predict --url", whole=False) is None
    assert "--uri" in (said_of("sgseg predict --uri", whole=False) or "")
    assert "no command role" in (said_of("sgseg registry role", whole=False) or "")
    assert said_of("mlflow models serve", whole=False) is None
    assert "--uri" in (said_of("mlflow models serve --uri", whole=False) or "")
    assert check.unknown_option("--orientations 1") is None
    assert "--orientation" in (check.unknown_option("--orientation 1") or "")


def test_parameters_are_those_of_the_project(tmp_path: Path) -> None:
    def said(text: str) -> str | None:
        return contents.complaint(Block("p.md", 1, "yaml", text), tmp_path)

    assert said("train:\n  epochs: 3\n") is None
    assert "train.epoch" in (said("train:\n  epoch: 3\n") or "")
    assert "network.depth" in (said("network.depth: { start: 3, lo: 2, high: 4 }\n") or "")
    assert said("on: push\n") is None  # of another program
    assert said("a: [\n") is not None
    assert contents.wrong_key("tune.budget: full") is None
    assert contents.wrong_key("tune.buget: full") == "params.yaml has no tune.buget"
    assert contents.wrong_key("numpy.linalg") is None


def test_a_language_that_nobody_checks_is_refused(tmp_path: Path) -> None:
    assert "perl" in (contents.complaint(Block("p.md", 1, "perl", "1;\n"), tmp_path) or "")
    assert contents.complaint(Block("p.md", 1, "json", "{...}\n"), tmp_path) is not None
    assert contents.complaint(Block("p.md", 1, "ini", "[a\nb = 1\n"), tmp_path) is not None


def test_a_block_that_no_plan_knows_is_found() -> None:
    block = Block("docs/new.md", 3, "sh", "make run\n")
    assert unplanned(block, {"README.md": Plan()})
    assert not unplanned(block, {"docs/new.md": Plan()})
    assert not unplanned(Block("docs/new.md", 3, "text", "all is well\n"), {})


def test_what_a_plan_says_of_a_page_that_has_changed_is_found() -> None:
    block = Block("p.md", 3, "sh", "make run\nmake test\n")

    def found(**rule: object) -> list[str]:
        return unused(["p.md"], [block], {"p.md": Plan(rules=(Rule(**rule),))})  # type: ignore[arg-type]

    assert found(has="make run", replace={"test": "help"}, leave_out={"make test": "long"}) == []
    assert found(has="make serve") == ["p.md: no block has: make serve"]
    assert found(has="make run", replace={"5001": "5002"}) == ["p.md: 5001"]
    assert found(has="make run", leave_out={"test": "long"}) == ["p.md: test"]
    assert unused(["p.md"], [block], {"q.md": Plan()}) == ["q.md: no such page"]
