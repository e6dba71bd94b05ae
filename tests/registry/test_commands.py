"""`sgseg registry` and `sgseg promote`: what is said, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sgseg.cli import parser
from sgseg.errors import InputError
from sgseg.registry import registration, stage

from .project import FakeGate, champion, evaluate, lines_of_log, reopen, save, submit


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate and the packaging of the tests of sgseg.registry."""
    monkeypatch.setattr(stage, "ProjectGate", lambda *_: FakeGate())
    monkeypatch.setattr("sgseg.serving.package.save_model", _save)


def _save(bundle: Path, path: Path, *, card: Path | None = None) -> None:
    save(bundle, path, card)


def sgseg(root: Path, *words: str) -> int:
    command, *rest = words
    arguments = parser().parse_args([command, "--root", str(root), *rest])
    return int(arguments.run(arguments))


def params(root: Path) -> None:
    source = Path(__file__).parents[2] / "params.yaml"
    (root / "params.yaml").write_text(source.read_text())


def test_the_versions(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sgseg(two, "registry", "list") == 0
    titles, rule, first, second, store = capsys.readouterr().out.splitlines()
    assert titles.split()[:3] == ["version", "aliases", "created"]
    assert set(rule) == {"-", " "}
    assert first.split()[:2] == ["1", "-"]
    assert first.split()[3:5] == ["0.6000", "-"]
    assert second.startswith("2        challenger, champion  20")
    # Digests in short: data, commit, bundle.
    assert second.split()[-4:-1] == ["promote", "dddddddd", "cccccccc"]
    assert (
        store
        == f"Scores are out of fold, each on its own images. The registry is sqlite:///{two}/mlflow.db"
    )
    assert sgseg(two, "registry", "list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [item["version"] for item in found] == [1, 2]
    assert found[1]["aliases"] == ["challenger", "champion"]
    assert found[1]["reasons"] == "Object F1 is 0.80, against 0.60."


def test_the_log(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sgseg(two, "registry", "history", "--alias", "champion") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[2].split()[1:7] == ["champion", "-", "->", "1", "gate", "promote"]
    assert lines[3].endswith("Object F1 is 0.80, against 0.60.")
    assert sgseg(two, "registry", "history", "--json") == 0
    assert json.loads(capsys.readouterr().out) == lines_of_log(two)


def test_changes_of_another_store_are_counted(
    two: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = two / "registry/history.jsonl"
    other = json.loads(path.read_text().splitlines()[0]) | {"registry": "other", "id": "other"}
    path.write_text(f"{json.dumps(other)}\n{path.read_text()}")
    sgseg(two, "registry", "history")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 4 + 1
    assert lines[-1].startswith("1 more of other registries")


def test_back_and_by_hand(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sgseg(two, "registry", "rollback", "--reason", "worse on plate 7") == 0
    running = "Servers that run keep the version they have until they are started again.\n"
    said = f"Version 1 is the champion now (before: 2).\n{running}"
    assert capsys.readouterr().out == said
    assert sgseg(two, "registry", "promote", "--version", "2", "--reason", "plate 7 was bad") == 0
    said = f"Version 2 is the champion now (before: 1). The gate passed it.\n{running}"
    assert capsys.readouterr().out == said
    assert sgseg(two, "registry", "promote", "--version", "2", "--reason", "x") == 0
    said = "Version 2 is the champion already; nothing was changed.\n"
    assert capsys.readouterr().out == said
    assert champion(two) == 2
    for words in (("--version", "1"), ("--version", "7", "--reason", "x")):
        with pytest.raises(InputError):
            sgseg(two, "registry", "promote", *words)


def test_strict_tells_a_refusal_by_its_status(
    two: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate(two, 0.7)
    params(two)
    assert sgseg(two, "promote") == 0
    out = capsys.readouterr()
    assert out.out.startswith("Version 3 is not promoted, the champion stays version 2: Object F1")
    assert out.err == ""
    assert sgseg(two, "promote", "--strict") == 1
    out = capsys.readouterr()
    assert out.err.splitlines() == [
        "error: not promoted, and --strict was given:",
        "  - Object F1 is 0.70, against 0.80.",
    ]
    evaluate(two, 0.9)
    params(two)
    assert sgseg(two, "promote", "--strict") == 0
    assert sgseg(two, "promote", "--strict") == 0
    assert champion(two) == 4


def test_without_a_version_the_gate_decides(
    two: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate(two, 0.9)
    params(two)
    assert sgseg(two, "registry", "promote") == 0
    first, running, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("Version 3 is the new champion (before: version 2)")
    assert running.startswith("Servers that run keep the version they have until")
    sgseg(two, "registry", "promote")
    assert "Servers that run" not in capsys.readouterr().out
    assert lines_of_log(two)[-1]["how"] == "gate"


def test_a_reason_is_for_a_choice_by_hand(two: Path) -> None:
    evaluate(two, 0.9)
    params(two)
    with pytest.raises(InputError, match="--reason: given without --version"):
        sgseg(two, "registry", "promote", "--reason", "better on plate 7")
    assert champion(two) == 2


def test_back_to_the_same_networks_is_said_to_be_that(
    two: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "code_digest", lambda: "mended")
    assert submit(two).what == "repackaged"
    sgseg(two, "registry", "rollback")
    assert "They hold the same networks with other code." in capsys.readouterr().out


def test_track_puts_the_model_back_too(
    two: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate(two, 0.7)
    submit(two)
    registry = reopen(two)
    registry.client.delete_registered_model("sgseg")
    assert sgseg(two, "track") == 0
    assert "reports/promotion: put back" in capsys.readouterr().out
    sgseg(two, "track")
    assert "reports/promotion: already there" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("list",), ("history",), ("rollback",)])
def test_where_there_is_no_registry(tmp_path: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="no such store"):
        sgseg(tmp_path, "registry", *words)


@pytest.mark.parametrize("words", [[], ["forget"], ["promote", "--version", "two"]])
def test_a_wrong_command_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["registry", *words])
    assert stop.value.code == 2
    assert "usage: sgseg registry" in capsys.readouterr().err
