"""One process's work: a training, its predictions, and the files that are left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgseg.config import Params
from sgseg.experiments import fold as module
from sgseg.experiments.bench import Bench
from sgseg.experiments.fold import load_result, result_file, run_job, save_result, write_job
from sgseg.training.out_of_fold import FoldResult

from .lab import fold_result, tiny_params, write_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return write_bench(tmp_path)


class Training:
    """In the place of `cross_validate`: notes how it is called."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.calls: list[dict[str, Any]] = []

    def __call__(self, params: Params, **given: Any) -> Iterator[FoldResult]:
        (fold,) = given["folds"]
        chosen = given["choose"](fold, ["d", "e"]) if given["choose"] else "all"
        self.calls.append({"orientations": params.predict.orientations, "chosen": chosen})
        (given["checkpoints"] / f"fold_{fold}.npz").write_bytes(b"state")
        # The first call trains for 5 s and predicts for 1 s, the next one predicts for 1 s.
        seconds = 6.0 if len(self.calls) == 1 else 1.0
        yield fold_result(fold, {"a": 0.25, "b": 0.75}, self.bench, seconds=seconds)


def job(bench: Bench, folder: Path, **changes: Any) -> None:
    given: dict[str, Any] = {
        "params": tiny_params(),
        "fold": 0,
        "train_ids": None,
        "orientations": {8, 1},
        "dataset": bench.dataset,
        "roles": bench.split / "roles.csv",
    }
    write_job(folder, **(given | changes))


def test_it_trains_once_and_predicts_in_every_number_of_orientations(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(bench)
    monkeypatch.setattr(module, "cross_validate", training)
    folder = tmp_path / "job"
    job(bench, folder)
    run_job(folder)
    assert [call["orientations"] for call in training.calls] == [1, 8]
    assert {path.name for path in folder.iterdir()} == {
        "job.json",
        "orientations_1.npz",
        "orientations_8.npz",
    }
    # 5 s of training and 1 s of prediction; in 8 orientations 1 s more.
    seconds = [
        load_result(result_file(folder, n), bench.dataset, bench.roles).seconds for n in (1, 8)
    ]
    assert seconds == [6.0, 7.0]


@pytest.mark.parametrize(("train_ids", "chosen"), [(None, "all"), (("e",), ["e"])])
def test_it_trains_on_the_images_it_is_told_to(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    train_ids: tuple[str, ...] | None,
    chosen: object,
) -> None:
    training = Training(bench)
    monkeypatch.setattr(module, "cross_validate", training)
    job(bench, tmp_path / "job", train_ids=train_ids, orientations=[1])
    run_job(tmp_path / "job")
    assert [call["chosen"] for call in training.calls] == [chosen]


def test_a_job_holds_all_parameters(bench: Bench, tmp_path: Path) -> None:
    params = tiny_params(train__learning_rate=0.0123)
    job(bench, tmp_path / "job", params=params)
    content = json.loads((tmp_path / "job" / "job.json").read_text())
    assert Params.model_validate(content["params"]) == params


def test_a_result_comes_back_as_it_was_with_the_truth_of_the_data(
    bench: Bench, tmp_path: Path
) -> None:
    result = fold_result(1, {"d": np.linspace(0, 1, 32 * 40).reshape(32, 40), "e": 0.5}, bench)
    save_result(tmp_path / "x.npz", result)
    back = load_result(tmp_path / "x.npz", bench.dataset, bench.roles)
    assert [(i.image_id, i.group, i.fold) for i in back.images] == [("d", "d", 1), ("e", "e", 1)]
    for image, original in zip(back.images, result.images, strict=True):
        assert image.probability.dtype == np.float32
        np.testing.assert_array_equal(image.probability, original.probability)
        np.testing.assert_array_equal(image.truth, original.truth)
        assert image.truth.max() == 2
    assert (back.history, back.best_epoch, back.n_train) == (
        [{"loss": 0.5, "val_loss": 0.25}],
        1,
        2,
    )
    assert (back.seconds, back.milliseconds_per_megapixel) == (2.0, 3.0)
