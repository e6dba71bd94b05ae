"""A model that is judged now and put to use later, perhaps elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sgseg.registry import promote_version, put_back
from sgseg.registry.models import aliases_of, versions
from sgseg.registry.verdict import PROPOSED
from sgseg.tracking.store import store_lock

from .project import FakeGate, champion, evaluate, lines_of_log, reopen, save, submit, submit_each

OUTPUTS = ("models", "reports")


def files(root: Path) -> dict[str, bytes]:
    folder = root / "reports/promotion"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_another_clone(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with the outputs pulled, and the same registry."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    clone = root.parent / "clone"
    for name in OUTPUTS:
        shutil.copytree(root / name, clone / name)
    shutil.copy(root / "params.yaml", clone)
    return clone


def test_the_champion_stays_and_the_decision_is_the_same(root: Path) -> None:
    submit_each(root, 0.6)
    evaluate(root, 0.8)
    done = submit(root, propose=True)
    assert (done.what, done.against) == ("proposed", [])
    assert done.said == (
        "Version 2 passes the gate (the champion is version 1). It is proposed: `sgseg promote` "
        "makes it the champion. Object F1 is 0.80, against 0.60."
    )
    assert aliases_of(reopen(root)) == {"challenger": 2, "champion": 1}
    proposed = files(root)
    shutil.rmtree(root / "reports/promotion")
    submit(root)
    assert files(root) == proposed


def test_it_is_taken_up_in_another_clone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit_each(root, 0.6)
    evaluate(root, 0.8)
    submit(root, propose=True)
    clone = in_another_clone(root, monkeypatch)
    gate = FakeGate()
    done = submit(clone, gate)
    assert (done.what, gate.asked) == ("promoted", [])
    assert champion(root) == 2
    last = lines_of_log(clone)[-1]
    assert (last["alias"], last["how"], last["gate"]) == ("champion", "gate", "promote")
    assert PROPOSED not in versions(reopen(root))[-1].tags


def test_another_champion_meanwhile_is_decided_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_each(root, 0.6)
    evaluate(root, 0.8)
    submit(root, propose=True)
    clone = in_another_clone(root, monkeypatch)
    submit_each(root, 0.9)
    gate = FakeGate()
    done = submit(clone, gate)
    assert (done.what, len(gate.asked)) == ("refused", 1)
    assert champion(root) == 3


def test_track_does_not_put_it_to_use(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit_each(root, 0.6)
    evaluate(root, 0.8)
    submit(root, propose=True)
    for folder in (root, in_another_clone(root, monkeypatch)):
        said = str(put_back(folder, save=save))
        assert said == (
            "reports/promotion: already there; version 2 is proposed; `sgseg promote` makes it "
            "the champion"
        )
    assert champion(root) == 1


def test_a_first_model_is_proposed_too(root: Path) -> None:
    evaluate(root, 0.6)
    assert submit(root, propose=True).what == "proposed"
    assert aliases_of(reopen(root)) == {"challenger": 1}
    assert put_back(root, save=save) is not None
    assert aliases_of(reopen(root)) == {"challenger": 1}
    assert submit(root).what == "promoted"


def test_new_code_around_the_champion_is_proposed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_each(root, 0.6)
    monkeypatch.setattr("sgseg.registry.registration.code_digest", lambda: "e" * 32)
    done = submit(root, propose=True)
    assert (done.what, champion(root)) == ("proposed", 1)
    assert submit(root).what == "repackaged"
    assert champion(root) == 2


def test_what_is_refused_is_refused(root: Path) -> None:
    submit_each(root, 0.6)
    evaluate(root, 0.5)
    done = submit(root, propose=True)
    assert (done.what, done.against) == ("refused", ["Object F1 is 0.50, against 0.60."])


def test_taken_up_and_killed_it_is_for_track(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit_each(root, 0.6)
    evaluate(root, 0.8)
    submit(root, propose=True)
    with monkeypatch.context() as patched:
        patched.setattr("sgseg.registry.stage._carry_out", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            submit(root)
    put_back(root, save=save)
    assert champion(root) == 2


def test_by_hand_it_may_be_put_to_use(root: Path) -> None:
    submit_each(root, 0.6)
    evaluate(root, 0.8)
    submit(root, propose=True)
    assert promote_version(reopen(root), 2, reason="the congress is tomorrow") is not None
    assert champion(root) == 2


def test_clones_that_share_a_database_share_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import Timeout  # noqa: PLC0415

    monkeypatch.setattr("sgseg.tracking.store.LOCK_SECONDS", 0.05)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with store_lock(tmp_path / "one"), pytest.raises(Timeout), store_lock(tmp_path / "two"):
        pass
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with store_lock(tmp_path / "one"), store_lock(tmp_path / "two"):
        assert (tmp_path / "two/mlflow.db.lock").exists()
