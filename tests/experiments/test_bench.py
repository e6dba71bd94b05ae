"""What is trained, what is kept, and by what a fold is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sgseg.errors import InputError
from sgseg.experiments import bench as module
from sgseg.experiments.bench import Bench
from sgseg.training.out_of_fold import cross_validate

from .lab import FakeChildren, tiny_params, write_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return write_bench(tmp_path)


def children(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fails: tuple[str, ...] = ()
) -> FakeChildren:
    fake = FakeChildren(bench, fails)
    monkeypatch.setattr(module, "run_children", fake)
    return fake


def keys(bench: Bench, **values: object) -> list[str]:
    return [fold.key for fold in bench.folds(tiny_params(**values))]


def test_a_fold_is_known_by_what_shapes_its_network(bench: Bench) -> None:
    own = keys(bench)
    assert len(set(own)) == 2
    assert keys(bench) == own
    for changes in ({"train__seed": 9}, {"network__width": 3}, {"preprocess__normalise": "zscore"}):
        assert not set(keys(bench, **changes)) & set(own), changes
    # How it predicts, and how that is scored, change no weight.
    for changes in ({"predict__orientations": 8}, {"evaluate__seed": 9}):
        assert keys(bench, **changes) == own, changes


def test_the_network_to_start_from_counts_with_its_content(bench: Bench, tmp_path: Path) -> None:
    start = tmp_path / "start.keras"
    found = []
    for content in (b"one", b"two"):
        start.write_bytes(content)
        found += keys(bench, train__init=str(start))
    assert len(set(found)) == 4
    start.unlink()
    with pytest.raises(InputError, match=r"train\.init"):
        keys(bench, train__init=str(start))


def test_all_training_images_named_are_the_same_as_none_named(bench: Bench) -> None:
    (every,) = bench.folds(tiny_params(), {1: ["b", "a"]})
    (some,) = bench.folds(tiny_params(), {1: ["a"]})
    assert every == bench.folds(tiny_params())[1]
    assert (some.train_ids, every.train_ids) == (("a",), None)
    assert some.key != every.key


def test_a_finished_fold_is_not_trained_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = children(bench, monkeypatch)
    folds = bench.folds(tiny_params())
    assert list(bench.run({"once": folds})) == [("once", "")]
    assert fake.trained == [("once", 0, (1,)), ("once", 1, (1,))]
    assert list(bench.run({"twice": folds})) == [("twice", "")]
    assert len(fake.trained) == 2
    images = bench.result(folds[0]).images
    assert [image.image_id for image in images] == ["a", "b", "c"]


def test_what_a_stop_left_unfinished_is_trained(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = children(bench, monkeypatch)
    folds = bench.folds(tiny_params())
    list(bench.run({"half": folds[:1]}))
    list(bench.run({"whole": folds}))
    assert fake.trained == [("half", 0, (1,)), ("whole", 1, (1,))]


def test_recipes_that_differ_in_prediction_only_are_trained_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = children(bench, monkeypatch)
    recipes = {
        "one": bench.folds(tiny_params()),
        "eight": bench.folds(tiny_params(predict__orientations=8)),
        "one again": bench.folds(tiny_params()),
    }
    assert dict(bench.run(recipes)) == dict.fromkeys(recipes, "")
    assert fake.trained == [("one", 0, (1, 8)), ("one", 1, (1, 8))]


def test_a_recipe_that_fails_leaves_the_others_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    children(bench, monkeypatch, fails=("bad",))
    recipes = {
        "bad": bench.folds(tiny_params()),
        "same": bench.folds(tiny_params(predict__orientations=8)),
        "good": bench.folds(tiny_params(train__seed=3)),
    }
    assert list(bench.run(recipes)) == [
        ("bad", "ValueError: no luck"),
        ("good", ""),
        ("same", "a recipe that trains the same folds failed"),
    ]


def test_a_real_process_trains_what_this_one_would(bench: Bench) -> None:
    params = tiny_params()
    folds = bench.folds(params, {1: ["a"]})
    assert list(bench.run({"real": folds})) == [("real", "")]
    found = bench.result(folds[0])
    (expected,) = cross_validate(
        params,
        dataset=bench.dataset,
        roles=bench.roles,
        folds=[1],
        checkpoints=bench.work / "here",
        choose=lambda _fold, _ids: ["a"],
    )
    assert found.n_train == expected.n_train == 1
    assert found.history[0]["val_loss"] == pytest.approx(expected.history[0]["val_loss"], rel=1e-4)
    for image, other in zip(found.images, expected.images, strict=True):
        assert (image.image_id, image.group) == (other.image_id, other.group)
        np.testing.assert_allclose(image.probability, other.probability, atol=1e-4)


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (1, "a\nTraceback:\n  File\nMemoryError: too large\n", "MemoryError: too large"),
        (2, "fold 0: 10%\nerror: 2 problems:\n  - a: b\n  - c: d\n", "2 problems: - a: b - c: d"),
        (-9, "fold 0: 10%", "killed by signal 9"),
        (1, "", ""),
    ],
)
def test_a_failure_is_told_in_one_line(
    tmp_path: Path, status: int, said: str, expected: str
) -> None:
    (tmp_path / "log.txt").write_text(said)
    assert module._last_words(tmp_path / "log.txt", status) == expected
