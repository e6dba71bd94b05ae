"""The files of a study's trials, and what is shown of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.errors import InputError, Problem
from sgseg.tracking.files import Point
from sgseg.tracking.trials import (
    Trial,
    artifacts,
    best,
    counts,
    note,
    progress,
    read_trial,
    read_trials,
)

from .studies import HISTORY, T0, trial, write_study, write_trial


def read(folder: Path, content: dict[str, Any], history: str = HISTORY) -> Trial:
    return read_trial(*write_trial(folder, content, history))


def test_scores_at_step_0_and_curves_at_their_epochs(tmp_path: Path) -> None:
    found = read(tmp_path, trial(1, cost=2e6))
    began, ended = T0 + 10_000, T0 + 18_000
    assert list(found.points) == [
        Point("value", 0.51, ended, 0),
        Point("cost", 2e6, ended, 0),
        Point("oof_object_f1", 0.51, ended, 0),
        Point("oof_foreground_iou", 0.25, ended, 0),
        # `threshold` is not among the scores shown of a fold
        Point("fold_0/oof_object_f1", 0.5, ended, 0),
        # 8 s for two epochs: one ended after 4 s; `iou` is not among the curves
        Point("fold_0/loss", 0.9, began + 4_000, 1),
        Point("fold_0/val_loss", 0.8, began + 4_000, 1),
        Point("fold_0/loss", 0.7, ended, 2),
        Point("fold_0/val_loss", 0.6, ended, 2),
        Point("fold_0/val_object_f1", 0.5, ended, 2),
    ]
    assert found.params == {"train.learning_rate": "0.002", "train.loss.name": "dice"}


def test_each_fold_has_its_own_curve_and_times_are_kept(tmp_path: Path) -> None:
    history = "fold,epoch,timestamp_ms,loss\n0,1,11,0.5\n1,1,12,0.4\n1,2,13,0.3\n"
    found = read(tmp_path, trial(0, scores={}, folds={}), history)
    assert list(found.points)[1:] == [
        Point("fold_0/loss", 0.5, 11, 1),
        Point("fold_1/loss", 0.4, 12, 1),
        Point("fold_1/loss", 0.3, 13, 2),
    ]


def test_only_a_complete_trial_has_a_value(tmp_path: Path) -> None:
    # Of a pruned trial value and scores are those of the folds until then.
    found = read(tmp_path, trial(0, "PRUNED", value=0.9, scores={"object_f1": 0.9}), "")
    assert found.value is None
    assert [point[:2] for point in found.points] == [("fold_0/oof_object_f1", 0.5)]


def test_a_trial_that_failed_early_has_no_curve(tmp_path: Path) -> None:
    found = read(tmp_path, trial(0, "FAIL", ended_ms=None), "")
    assert (found.points, found.error) == ((), "ValueError: out of memory")
    assert found.ended_ms == found.started_ms


def test_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, trial(0, value=float("nan"), scores={"object_f1": None}, folds={}), "")
    assert (found.value, found.points) == (None, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "RUNNING"},
        {"started_ms": "noon"},
        {"value": "high"},
        {"params": [1]},
        {"scores": {"object_f1": "high"}},
        {"folds": {"0": 3}},
    ],
)
def test_a_trial_that_cannot_be_read_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"0\.json: cannot be read"):
        read(tmp_path, trial(0) | changes)


def test_trials_that_cannot_be_read_do_not_lose_the_others(tmp_path: Path) -> None:
    folder = write_study(tmp_path, *(trial(number) for number in (10, 9, 2, 1)))
    (folder / "trials/1.json").write_text("{")
    (folder / "trials/9.csv").write_text("fold,epoch,loss\n0,1,low\n")
    problems: list[Problem] = []
    assert [item.number for item in read_trials(folder, problems)] == [2, 10]
    said = {Path(problem.where.partition(",")[0]).name for problem in problems}
    assert said == {"1.json", "9.csv"}


def test_the_digest_knows_both_files(tmp_path: Path) -> None:
    digests = {
        read(tmp_path / "a", trial(0)).digest,
        read(tmp_path / "b", trial(0, cost=1.0)).digest,
        read(tmp_path / "c", trial(0), HISTORY.replace("0.9", "0.8")).digest,
        read(tmp_path / "d", trial(0), "").digest,
    }
    assert len(digests) == 4
    assert read(tmp_path / "e", trial(0)).digest in digests


def made(number: int, state: str, value: float | None, ended_ms: int) -> Trial:
    return Trial(number, state, 0, ended_ms, {}, value, None, "", (), "")


def test_progress_of_a_study() -> None:
    trials = [
        made(0, "COMPLETE", 0.5, 30),
        made(1, "PRUNED", None, 10),
        made(2, "COMPLETE", 0.4, 20),
        made(3, "FAIL", None, 40),
    ]
    # in the order in which they ended: 1 pruned, 2 (0.4), 0 (0.5, better), 3 failed
    points = progress(trials)
    leaders = [(0.4, 20, 2), (0.5, 30, 3), (0.5, 40, 4)]
    assert [point[1:] for point in points if point.name == "best_value"] == leaders
    assert [p.value for p in points if p.name == "best_trial"] == [2, 0, 0]
    assert [p.value for p in points if p.name == "trials_complete"] == [0, 1, 2, 2]
    assert [p.value for p in points if p.name == "trials_failed"] == [0, 0, 0, 1]
    assert counts(trials) == "2 complete, 1 pruned, 1 failed"
    assert [item.number for item in best(trials)] == [0, 2]


@given(
    st.lists(st.tuples(st.sampled_from(["COMPLETE", "PRUNED"]), st.integers(0, 9)), max_size=8),
    st.integers(0, 8),
)
def test_a_study_that_grows_changes_no_value(drawn: list[tuple[str, int]], known: int) -> None:
    trials = [
        made(number, state, value / 10 if state == "COMPLETE" else None, 100 + number)
        for number, (state, value) in enumerate(drawn)
    ]
    before = progress(trials[:known])
    assert progress(trials)[: len(before)] == before
    values = [point.value for point in progress(trials) if point.name == "best_value"]
    assert values == sorted(values)


def test_the_table_of_the_best_trials(tmp_path: Path) -> None:
    folder = write_study(
        tmp_path,
        *(trial(number, cost=1234567.0) for number in range(6)),
        trial(6, "PRUNED"),
        trial(7, params={"train.loss.name": "tversky", "train.loss.alpha": 0.123456}),
    )
    lines = note(read_trials(folder, [])).replace("&emsp;", "").splitlines()
    assert lines[0] == "### Trials"
    assert lines[2] == "| trial | value | cost | loss | loss.alpha | learning_rate |"
    assert lines[3] == "| --- | --- | --- | --- | --- | --- |"
    assert lines[4] == "| 7 | 0.570 |  | tversky | 0.123 |  |"
    assert lines[5] == "| 5 | 0.550 | 1.23e+06 | dice |  | 0.006 |"
    assert lines[-1] == "7 complete, 1 pruned, 0 failed; what was chosen is in recipe.yaml."
    assert len(lines) == 2 + 2 + 5 + 2  # the five best


def test_a_study_in_which_nothing_was_completed(tmp_path: Path) -> None:
    folder = write_study(tmp_path, trial(0, "FAIL"))
    trials = read_trials(folder, [])
    assert "|" not in note(trials)
    assert {point.name for point in progress(trials)} == {
        "trials_complete",
        "trials_pruned",
        "trials_failed",
    }


def test_files_that_the_study_shows(tmp_path: Path) -> None:
    folder = write_study(tmp_path)
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "study.log").write_text("")
    assert {item.shown_as for item in artifacts(folder)} == {
        "figures/slice.png",
        "importances.json",
        "recipe.yaml",
        "report.md",
        "run.json",
        "trials.csv",
    }
    assert json.loads((folder / "run.json").read_text())["name"] == "tune simulated 5eed000"
