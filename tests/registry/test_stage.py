"""From the evaluated model to the champion, with a gate that reads the scores bundles claim."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sgseg.errors import InputError, Problem
from sgseg.gate.decision import read_decision
from sgseg.inference.bundle import networks_digest
from sgseg.registry import promote_version, put_back, read_log, registration, roll_back, stage
from sgseg.registry.models import aliases_of, versions
from sgseg.registry.steering import decision_of
from sgseg.tracking.store import StoreError

from .project import (
    FakeGate,
    champion,
    evaluate,
    everything,
    lines_of_log,
    make_params,
    reopen,
    save,
    submit,
    submit_each,
    tags_of_log,
)


def test_the_first_model_needs_no_rival(root: Path) -> None:
    bundle = evaluate(root, 0.6)
    gate = FakeGate()
    done = submit(root, gate)
    assert (done.what, done.against) == ("promoted", [])
    assert gate.asked == [(bundle, "")]
    assert aliases_of(reopen(root)) == {"challenger": 1, "champion": 1}
    assert done.said == (
        "Version 1 is the new champion (before: none): Object F1 is 0.60, against no champion."
    )


def test_a_model_below_the_floors_is_no_champion(root: Path) -> None:
    evaluate(root, 0.2)
    done = submit(root)
    assert (done.what, done.champion) == ("refused", None)
    assert done.against == ["Object F1 is 0.20, against no champion."]
    assert aliases_of(reopen(root)) == {"challenger": 1}


def test_a_better_one_is_promoted_and_a_worse_one_refused(root: Path) -> None:
    submit_each(root, 0.6, 0.8)
    assert champion(root) == 2
    evaluate(root, 0.7)
    done = submit(root)
    assert done.what == "refused"
    assert done.said.startswith("Version 3 is not promoted, the champion stays version 2: Object")
    assert aliases_of(reopen(root)) == {"challenger": 3, "champion": 2}


def test_what_a_version_says_of_itself(root: Path) -> None:
    bundle = evaluate(root, 0.6)
    done = submit(root)
    registry = reopen(root)
    (version,) = versions(registry)
    decision = decision_of(version)
    assert {name: text for name, text in version.tags.items() if "decision" not in name} == {
        "sgseg.bundle": bundle,
        "sgseg.networks": networks_digest(root / "models/evaluated"),
        "sgseg.code": registration.code_digest(),
        "sgseg.data": "d" * 32 + ".dir",
        "sgseg.commit": "c" * 40,
        "sgseg.source": "simulated",
        "sgseg.cv_key": done.challenger.tags["sgseg.cv_key"],
        "sgseg.run_id": version.run_id,
        "sgseg.score.oof_object_f1": "0.6000",
    }
    assert (decision["outcome"], decision["verdict"], decision["champion"]) == (
        "promote",
        "first",
        "",
    )
    run = registry.client.get_run(version.run_id)
    assert run.info.run_name.startswith("cv unet")
    # Logging a model under a run must not end it now.
    assert (run.info.status, run.info.end_time) == ("FINISHED", 2000)
    assert [item.model_id for item in run.outputs.model_outputs] == [Path(version.source).parts[-2]]
    shown = {item.path for item in registry.client.list_artifacts(version.run_id, "promotion")}
    assert shown == {"promotion/decision.json", "promotion/decision.html"}
    page = registry.client.get_model_version(registry.name, "1").description
    assert bundle in page


def test_every_change_is_in_the_log_twice(root: Path) -> None:
    submit_each(root, 0.6, 0.8, 0.7)
    log = lines_of_log(root)
    steps = [(line["alias"], line["from_version"], line["to_version"], line["how"]) for line in log]
    assert steps == [
        ("challenger", None, 1, "registered"),
        ("champion", None, 1, "gate"),
        ("challenger", 1, 2, "registered"),
        ("champion", 1, 2, "gate"),
        ("challenger", 2, 3, "registered"),
    ]
    assert [line["number"] for line in log] == [1, 2, 3, 4, 5]
    assert list(tags_of_log(reopen(root)).values()) == log
    assert log[3]["why"] == "Object F1 is 0.80, against 0.60."
    assert log[3]["gate"] == "promote"
    assert log[3]["decision"] == decision_of(versions(reopen(root))[1])["digest"]
    assert log[3]["from_bundle"] == log[1]["to_bundle"]


@pytest.mark.parametrize("score", [0.8, 0.5])
def test_twice_changes_nothing(root: Path, score: float) -> None:
    # 0.8: promoted, so that the challenger is the champion the second time; 0.5: refused.
    submit_each(root, 0.6)
    evaluate(root, score)
    submit(root)
    before = everything(root)
    gate = FakeGate()
    done = submit(root, gate)
    assert everything(root) == before
    assert gate.asked == []
    if score == 0.8:
        assert (done.what, done.against) == ("champion already", [])
        assert done.said == "Version 2 is the champion already."
    else:
        assert done.what == "refused"


def test_dvc_removes_the_outputs_and_gets_the_same_bytes(root: Path) -> None:
    submit_each(root, 0.6, 0.8)
    before = everything(root)
    for path in (root / "reports/promotion").iterdir():
        path.unlink()
    gate = FakeGate()
    submit(root, gate)
    # Against the champion that it replaced, not against itself.
    (asked,) = gate.asked
    assert asked == tuple(reversed([line["to_bundle"] for line in before["log"][1::2]]))
    assert everything(root) == before


def test_a_stricter_rule_does_not_dethrone(root: Path) -> None:
    submit_each(root, 0.6, 0.8)
    done = submit(root, FakeGate(floor=0.9))
    assert done.what == "champion already"
    assert "would not be promoted" in done.said
    assert done.against == ["Object F1 is 0.80, against 0.60."]
    assert champion(root) == 2


def test_what_a_person_took_away_the_gate_does_not_bring_back(root: Path) -> None:
    submit_each(root, 0.6, 0.8)
    roll_back(reopen(root), reason="finds granules in empty wells")
    before = everything(root)
    done = submit(root)
    assert done.what == "withheld"
    assert "finds granules in empty wells" in done.said
    assert "sgseg registry promote --version 2" in done.said
    assert done.against == [done.said]
    assert everything(root) == before
    # A model that is better than both is another matter.
    submit_each(root, 0.9)
    assert champion(root) == 3


def test_nor_does_it_in_another_bundle(root: Path) -> None:
    submit_each(root, 0.6, 0.8)
    roll_back(reopen(root), reason="finds granules in empty wells")
    evaluate(root, 0.8, commit="d" * 40)
    done = submit(root)
    assert (done.what, done.challenger.number, champion(root)) == ("withheld", 2, 1)
    assert "finds granules in empty wells" in done.said
    assert put_back(root, save=save) is not None
    assert champion(root) == 1


def test_the_champion_evaluated_again_is_champion_already(root: Path) -> None:
    submit_each(root, 0.6, 0.8)
    before = everything(root)
    bundle = evaluate(root, 0.8, commit="d" * 40)
    done = submit(root)
    assert (done.what, done.against) == ("champion already", [])
    after = everything(root)
    assert [after[name] for name in ("model", "versions", "log")] == [
        before[name] for name in ("model", "versions", "log")
    ]
    assert read_decision(root / "reports/promotion").challenger.digest == bundle
    gate = FakeGate()
    submit(root, gate)
    assert gate.asked == []


def test_time_alone_takes_no_promotion_back(root: Path) -> None:
    submit_each(root, 0.6, 0.8)
    before = decision_of(versions(reopen(root))[1])
    (root / "reports/promotion/decision.json").unlink()
    done = submit(root, FakeGate(seconds=2.0))
    assert (done.what, done.against) == ("champion already", [])
    assert read_decision(root / "reports/promotion").outcome == "promote"
    assert decision_of(versions(reopen(root))[1]) == before
    # Of a newcomer it does.
    evaluate(root, 0.9)
    assert submit(root, FakeGate(seconds=2.0)).what == "refused"


def test_a_stricter_rule_leaves_what_was_decided_then(root: Path) -> None:
    submit_each(root, 0.6, 0.8)
    before = decision_of(versions(reopen(root))[1])
    assert submit(root, FakeGate(floor=0.9)).decision.outcome == "keep"
    assert decision_of(versions(reopen(root))[1]) == before


@pytest.fixture
def mended(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with champion 2, in which the code that serves was changed since."""
    submit_each(root, 0.6, 0.8)
    monkeypatch.setattr(registration, "code_digest", lambda: "mended")
    return root


def test_mended_code_reaches_the_champion(mended: Path) -> None:
    before = decision_of(versions(reopen(mended))[1])
    done = submit(mended, FakeGate(floor=0.95))
    assert (done.what, done.challenger.number, champion(mended)) == ("repackaged", 3, 3)
    last = lines_of_log(mended)[-1]
    assert (last["alias"], last["how"], last["from_version"], last["to_version"]) == (
        *("champion", "repackaged"),
        *(2, 3),
    )
    assert last["from_networks"] == last["to_networks"]
    assert (last["gate"], last["decision"]) == ("promote", before["digest"])
    assert decision_of(versions(reopen(mended))[2]) == before
    again = everything(mended)
    assert submit(mended, FakeGate(floor=0.95)).what == "champion already"
    assert everything(mended) == again
    # `track` has nothing to do with code.
    put_back(mended, save=save)
    assert champion(mended) == 3


def test_track_does_not_take_other_code_into_use(mended: Path) -> None:
    put_back(mended, save=save)
    assert [version.number for version in versions(reopen(mended))] == [1, 2]
    assert champion(mended) == 2


def test_code_that_a_person_went_back_from_stays_out(mended: Path) -> None:
    submit(mended)
    roll_back(reopen(mended), reason="answers in the wrong units")
    assert champion(mended) == 2
    done = submit(mended)
    assert (done.what, champion(mended)) == ("withheld", 2)
    assert "answers in the wrong units" in done.said
    assert done.against == [done.said]
    promote_version(reopen(mended), 3, reason="the units were right")
    assert submit(mended).what == "champion already"


def test_code_mended_again_is_another_matter(mended: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(mended)
    roll_back(reopen(mended))
    monkeypatch.setattr(registration, "code_digest", lambda: "mended again")
    assert submit(mended).what == "repackaged"
    assert champion(mended) == 4


def test_an_alias_that_another_machine_is_at_is_waited_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(root, 0.6)
    change_alias, calls = stage.change_alias, []

    def at_first_not(*arguments: object, **options: object) -> object:
        calls.append(arguments[1])
        if len(calls) == 1:
            raise stage.MovedMeanwhileError(Problem("sgseg@challenger", "is being changed"))
        return change_alias(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "change_alias", at_first_not)
    monkeypatch.setattr(stage, "PAUSE_SECONDS", 0.0)
    assert submit(root).what == "promoted"
    assert calls == ["challenger", "challenger", "champion"]


def test_a_champion_that_was_deleted_is_missed(root: Path) -> None:
    submit_each(root, 0.6, 0.8)
    registry = reopen(root)
    registry.client.delete_model_version(registry.name, "2")
    evaluate(root, 0.5)
    done = submit(root)
    assert (done.what, done.champion and done.champion.number) == ("promoted", 3)
    steps = [(c.alias, c.from_version, c.to_version, c.how) for c in read_log(registry)[4:]]
    # Its aliases went with it, which nobody wrote down.
    assert steps[:2] == [("challenger", 2, None, "outside"), ("champion", 2, None, "outside")]
    assert steps[2:] == [("challenger", None, 3, "registered"), ("champion", None, 3, "gate")]


def test_a_champion_who_changes_meanwhile_is_compared_instead(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_each(root, 0.6, 0.8)
    roll_back(reopen(root))
    evaluate(root, 0.7)
    carry_out, calls = stage._carry_out, []

    def after_somebody_else(*arguments: object, propose: bool) -> stage.Promotion:
        if not calls:
            registry = reopen(root)
            registry.client.set_registered_model_alias(registry.name, "champion", "2")
        calls.append(arguments)
        return carry_out(*arguments, propose=propose)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "_carry_out", after_somebody_else)
    done = submit(root)
    # 0.70 beats 0.60 but by now 0.80 is the champion.
    assert len(calls) == 2
    assert (done.what, champion(root)) == ("refused", 2)
    decided = json.loads((root / "reports/promotion/decision.json").read_text())
    assert decided["reasons"] == ["Object F1 is 0.70, against 0.80."]


def test_two_processes_at_once_make_one_version(root: Path) -> None:
    evaluate(root, 0.6)
    command = [sys.executable, "-m", "registry.project", str(root)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        for _ in range(2)
    ]
    said = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert set(said) <= {"promoted", "champion already"}
    assert "promoted" in said
    registry = reopen(root)
    assert [version.number for version in versions(registry)] == [1]
    assert len(lines_of_log(root)) == len(tags_of_log(registry)) == 2


def test_a_store_that_cannot_be_used_is_no_decision(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(root, 0.6)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="cannot be used"):
        submit(root)
    assert not (root / "reports/promotion").exists()


def test_nothing_evaluated(root: Path) -> None:
    with pytest.raises(InputError) as caught:
        stage.promote(root, make_params(), gate=FakeGate(), save=save)
    assert [problem.where for problem in caught.value.problems] == [
        str(root / "models/evaluated"),
        str(root / "reports/evaluation/run.json"),
    ]
