"""A study and its trials in the store: live, at its end, put back, and each of them once."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from sgseg.errors import InputError
from sgseg.tracking import log_trial, log_tuning, read_tuning, track
from sgseg.tracking import runs as runs_of
from sgseg.tracking.process import name_of
from sgseg.tracking.store import open_store

from .studies import STUDY, T0, TRIALS, trial, write_study, write_trial
from .tracked import snapshot


def _log(root: Path) -> str:
    done = log_tuning(root / "reports/tuning", root=root)
    assert done is not None
    return done.what


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = write_study(tmp_path)
    assert read_tuning(folder) == STUDY
    (folder / "run.json").write_text('{"key": "x", "datasets": []}')
    with pytest.raises(InputError, match=r"run\.json: cannot be read"):
        read_tuning(folder)


def test_a_run_per_study_with_a_child_per_trial(root: Path) -> None:
    write_study(root)
    assert _log(root) == "put back"
    seen = snapshot(root)
    assert set(seen) == {STUDY.name, "trial 0", "trial 1", "trial 2", "trial 3"}

    study = seen[STUDY.name]
    assert (study["status"], study["start"], study["end"]) == ("FINISHED", T0, T0 + 100_000)
    assert study["params"] == STUDY.params
    assert study["inputs"] == [
        ("simulated", "d" * 32 + ".dir", '{"uri": "data/dataset"}', None),
    ]
    # 0.5 + 0/100 when trial 0 has ended, 0.5 + 3/100 with trial 3
    assert [item[::2] for item in study["metrics"]["best_value"]] == [
        (1, 0.5),
        (2, 0.5),
        (3, 0.5),
        (4, 0.53),
    ]
    tags = study["tags"]
    assert tags["sgseg.kind"] == "study"
    assert (tags["sgseg.best_trial"], tags["sgseg.best_value"]) == ("3", "0.53")
    assert tags["sgseg.trials"] == "2 complete, 1 pruned, 1 failed"
    assert tags["mlflow.note.content"].startswith("### Trials")
    assert set(study["artifacts"]) == {
        "figures/slice.png",
        "importances.json",
        "recipe.yaml",
        "report.md",
        "run.json",
        "trials.csv",
    }

    complete = seen["trial 3"]
    assert (complete["start"], complete["end"]) == (T0 + 30_000, T0 + 38_000)
    assert complete["params"] == {"train.learning_rate": "0.004", "train.loss.name": "dice"}
    assert complete["metrics"]["value"] == [(0, T0 + 38_000, 0.53)]
    assert complete["metrics"]["oof_foreground_iou"] == [(0, T0 + 38_000, 0.25)]
    assert [item[::2] for item in complete["metrics"]["fold_0/loss"]] == [(1, 0.9), (2, 0.7)]
    assert complete["tags"]["mlflow.parentRunId"] == STUDY.name
    assert complete["tags"]["mlflow.source.git.commit"] == "f" * 40


def test_states_of_trials(root: Path) -> None:
    write_study(root)
    _log(root)
    seen = snapshot(root)
    found = [seen[f"trial {number}"] for number in range(4)]
    assert [run["status"] for run in found] == ["FINISHED", "KILLED", "FAILED", "FINISHED"]
    states = [run["tags"]["sgseg.trial_state"] for run in found]
    assert states == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    assert [run["tags"].get("sgseg.error") for run in found] == [
        None,
        None,
        "ValueError: out of memory",
        None,
    ]
    store = open_store(root, "sgseg")
    pruned = store.client.search_runs(
        [store.experiment_id], "tags.`sgseg.trial_state` = 'PRUNED' and attributes.status='KILLED'"
    )
    assert [run.info.run_name for run in pruned] == ["trial 1"]


def test_an_error_of_many_pages_is_cut(root: Path) -> None:
    write_study(root, trial(0, "FAIL", error="x" * 100_000))
    assert _log(root) == "put back"
    assert len(snapshot(root)["trial 0"]["tags"]["sgseg.error"]) == 2000 + len(" ...")


def test_a_study_is_logged_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(root)
    _log(root)
    before = snapshot(root)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is written, and no curve read, for what is there")

    for name in ("log_points", "logged_points", "create_run"):
        monkeypatch.setattr(runs_of, name, refuse)
    assert _log(root) == "already there"
    assert [item.what for item in track(root)] == ["already there"]
    assert snapshot(root) == before


def test_a_study_that_grows(root: Path) -> None:
    write_study(root)
    _log(root)
    before = snapshot(root)
    write_study(root, *TRIALS, trial(4), study=replace(STUDY, ended_ms=T0 + 200_000))
    assert _log(root) == "completed"
    after = snapshot(root)
    assert set(after) - set(before) == {"trial 4"}
    for name in ("trial 0", "trial 1", "trial 2", "trial 3"):
        assert after[name] == before[name]
    curve = after[STUDY.name]["metrics"]["best_value"]
    assert curve[:4] == before[STUDY.name]["metrics"]["best_value"]
    assert curve[4][::2] == (5, 0.54)
    assert after[STUDY.name]["end"] == T0 + 200_000
    assert after[STUDY.name]["tags"]["sgseg.best_trial"] == "4"


def test_trials_appear_as_they_end(root: Path) -> None:
    work = root / "tuning/work"
    log_trial(STUDY, *write_trial(work, TRIALS[0]), root=root)
    log_trial(STUDY, *write_trial(work, TRIALS[1]), root=root)
    live = snapshot(root)
    assert set(live) == {STUDY.name, "trial 0", "trial 1"}
    assert live[STUDY.name]["status"] == "RUNNING"
    assert live["trial 1"]["status"] == "KILLED"

    write_study(root)
    assert _log(root) == "completed"
    after = snapshot(root)
    assert {name: after[name] for name in ("trial 0", "trial 1")} == {
        name: live[name] for name in ("trial 0", "trial 1")
    }
    assert after[STUDY.name]["status"] == "FINISHED"
    assert "sgseg.process" not in after[STUDY.name]["tags"]


def test_a_lost_store_comes_back_as_it_was(root: Path, forget: Callable[[], None]) -> None:
    folder = write_study(root)
    for number in (1, 0, 3, 2):
        path = folder / f"trials/{number}.json"
        log_trial(STUDY, path, path.with_suffix(".csv"), root=root)
    _log(root)
    before = snapshot(root)
    forget()
    assert [item.what for item in track(root)] == ["put back"]
    assert snapshot(root) == before
    assert [item.what for item in track(root)] == ["already there"]


def test_figures_that_were_lost_are_copied_again(root: Path) -> None:
    write_study(root)
    _log(root)
    before = snapshot(root)
    shutil.rmtree(root / "mlruns")
    assert [item.what for item in track(root)] == ["completed"]
    assert snapshot(root) == before


def test_half_of_a_trial_is_completed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(root)
    real = runs_of.log_points

    def die_halfway(store: object, run_id: str, points: list[object]) -> None:
        real(store, run_id, points[: len(points) // 2])  # type: ignore[arg-type]
        raise ConnectionError("gone")

    monkeypatch.setattr(runs_of, "log_points", die_halfway)
    assert log_tuning(root / "reports/tuning", root=root) is None
    assert snapshot(root)["trial 0"]["status"] == "RUNNING"
    monkeypatch.undo()
    assert _log(root) == "completed"
    metrics = snapshot(root)["trial 0"]["metrics"]
    assert [item[0] for item in metrics["fold_0/loss"]] == [1, 2]
    assert all(len({item[0] for item in values}) == len(values) for values in metrics.values())


def test_trials_of_a_study_begun_anew_replace_the_earlier(root: Path) -> None:
    write_study(root, trial(0))
    _log(root)
    write_study(root, trial(0, started_ms=T0 + 50_000, ended_ms=T0 + 58_000))
    _log(root)
    seen = snapshot(root)
    assert set(seen) == {STUDY.name, "trial 0", "trial 0 (superseded)"}
    assert seen["trial 0"]["start"] == T0 + 50_000


def test_a_study_begun_anew_without_a_trial_0_replaces_all_of_the_earlier(root: Path) -> None:
    """Chaos found it: a trial that is killed is repeated under the next number."""
    folder = write_study(root, trial(0), trial(1))
    _log(root)
    shutil.rmtree(folder)
    anew = replace(STUDY, started_ms=T0 + 50_000, ended_ms=T0 + 80_000)
    later = [trial(n, started_ms=T0 + 10_000 * (5 + n), ended_ms=T0 + 80_000) for n in (1, 2)]
    write_study(root, *later, study=anew)
    _log(root)
    expected = {STUDY.name, "trial 0 (superseded)", "trial 1 (superseded)", "trial 1", "trial 2"}
    assert set(snapshot(root)) == expected
    _log(root)
    assert set(snapshot(root)) == expected


def test_what_was_deleted_in_mlflow_stays_deleted(root: Path) -> None:
    folder = write_study(root)
    _log(root)
    store = open_store(root, "sgseg")
    ids = {
        run.info.run_name: run.info.run_id
        for run in store.client.search_runs([store.experiment_id])
    }
    store.client.delete_run(ids["trial 0"])
    assert _log(root) == "already there"
    store.client.delete_run(ids[STUDY.name])
    assert _log(root) == "deleted in the store"
    assert set(snapshot(root)) == {"trial 1", "trial 2", "trial 3"}
    # a trial that has just been run is wanted, and so is its study
    log_trial(STUDY, *write_trial(folder / "trials", trial(4)), root=root)
    assert set(snapshot(root)) == {STUDY.name, "trial 1", "trial 2", "trial 3", "trial 4"}


def test_a_description_that_somebody_wrote_is_kept(root: Path) -> None:
    write_study(root)
    log_trial(STUDY, *write_trial(root / "work", TRIALS[0]), root=root)
    store = open_store(root, "sgseg")
    study = runs_of.find_run(store, {"sgseg.kind": "study"})
    store.client.set_tag(study.info.run_id, "mlflow.note.content", "for the paper")  # type: ignore[union-attr]
    _log(root)
    assert snapshot(root)[STUDY.name]["tags"]["mlflow.note.content"] == "for the paper"


def test_a_store_that_fails_costs_a_warning(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_study(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, logger="sgseg"):
        log_trial(STUDY, folder / "trials/0.json", folder / "trials/0.csv", root=root)
        assert log_tuning(folder, root=root) is None
    assert len(caplog.records) == 2
    assert caplog.text.count("sgseg track") == 2


def test_a_trial_that_cannot_be_read_costs_the_search_a_warning(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log_trial(STUDY, root / "0.json", root / "0.csv", root=root)
    assert "0.json" in caplog.text
    assert snapshot(root) == {}


def test_broken_files_are_named_and_the_others_logged(root: Path) -> None:
    folder = write_study(root)
    (folder / "trials/0.json").write_text("{")
    with pytest.raises(InputError, match=r"0\.json"):
        track(root)
    assert set(snapshot(root)) == {STUDY.name, "trial 1", "trial 2", "trial 3"}


def _set_process(root: Path, process: str) -> None:
    store = open_store(root, "sgseg")
    study = runs_of.find_run(store, {"sgseg.kind": "study"})
    assert study is not None
    store.client.set_tag(study.info.run_id, runs_of.PROCESS, process)


def test_a_study_whose_process_was_killed_is_marked_and_goes_on(root: Path) -> None:
    work = root / "tuning/work"
    log_trial(STUDY, *write_trial(work, TRIALS[0]), root=root)
    _set_process(root, f"{socket.gethostname()}/1/1")  # number 1 did not start in 1970
    runs_of.end_the_killed(open_store(root, "sgseg"))
    seen = snapshot(root)[STUDY.name]
    assert (seen["status"], seen["end"]) == ("KILLED", TRIALS[0]["ended_ms"])
    log_trial(STUDY, *write_trial(work, TRIALS[1]), root=root)
    assert snapshot(root)[STUDY.name]["status"] == "RUNNING"


def test_a_study_at_which_another_process_works_goes_on(root: Path) -> None:
    write_study(root)
    log_trial(STUDY, *write_trial(root / "work", TRIALS[0]), root=root)
    _set_process(root, name_of(psutil.Process(os.getppid())))
    _log(root)
    assert snapshot(root)[STUDY.name]["status"] == "RUNNING"
    _set_process(root, "another-machine/1/1")  # nothing is known of it: the files decide
    _log(root)
    assert snapshot(root)[STUDY.name]["status"] == "FINISHED"


def test_a_study_without_an_end(root: Path) -> None:
    folder = write_study(root, study=replace(STUDY, ended_ms=None))
    log_trial(STUDY, folder / "trials/0.json", folder / "trials/0.csv", root=root)
    _log(root)  # this process is at it
    assert snapshot(root)[STUDY.name]["status"] == "RUNNING"
    _set_process(root, f"{socket.gethostname()}/1/1")
    _log(root)
    seen = snapshot(root)[STUDY.name]
    assert (seen["status"], seen["end"]) == ("KILLED", TRIALS[-1]["ended_ms"])


def test_workers_that_log_at_once(root: Path) -> None:
    folder = write_study(root, *(trial(number) for number in range(6)))
    paths = [folder / f"trials/{number}.json" for number in range(6)] * 2

    def put(path: Path) -> None:
        log_trial(STUDY, path, path.with_suffix(".csv"), root=root)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, paths))
    _log(root)
    assert set(snapshot(root)) == {STUDY.name, *(f"trial {number}" for number in range(6))}
    metrics = snapshot(root)["trial 5"]["metrics"]
    assert metrics["value"] == [(0, T0 + 58_000, 0.55)]
