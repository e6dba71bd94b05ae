"""Which images are trained on, and for how long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgseg.errors import InputError
from sgseg.experiments import bench as bench_module
from sgseg.experiments.bench import Bench
from sgseg.experiments.curve_report import write_learning_curve
from sgseg.experiments.learning_curve import as_long, run_learning_curve, some_groups
from sgseg.training.batches import Example, Sampling, steps_per_epoch

from .lab import FakeChildren, tiny_params, write_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return write_bench(tmp_path)


def roles(sizes: list[int]) -> pd.DataFrame:
    """A group of each size, all of it to train on, and an image that is held out."""
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    names = [f"i{number}" for number in range(len(groups))]
    return pd.DataFrame(
        {
            "image_id": [*names, "other"],
            "group": [*groups, "other"],
            "role_0": ["train"] * len(names) + ["held_out"],
        }
    )


SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=12)


@settings(max_examples=40)
@given(SIZES, st.lists(st.integers(1, 30), min_size=2, max_size=4), st.integers(0, 9))
def test_smaller_sets_lie_within_larger_ones_and_groups_are_whole(
    sizes: list[int], wanted: list[int], seed: int
) -> None:
    table = roles(sizes)
    group = dict(zip(table["image_id"], table["group"], strict=True))
    before: set[str] = set()
    for size in sorted(wanted):
        chosen = some_groups(table, 0, size, seed=seed)
        assert before <= set(chosen)
        groups = {group[image_id] for image_id in chosen}
        assert set(chosen) == {image_id for image_id in group if group[image_id] in groups}
        assert "other" not in chosen
        # No set of whole groups in this order comes nearer: one group is 4 images at most.
        assert abs(len(chosen) - min(size, sum(sizes))) <= 2 or len(groups) == 1
        before = set(chosen)


def test_single_images_are_counted_exactly_and_drawn_at_random() -> None:
    table = roles([1] * 20)
    draws = {tuple(some_groups(table, 0, 5, seed=seed)) for seed in range(10)}
    assert all(len(chosen) == 5 for chosen in draws)
    assert len(draws) == 10


def blanks(n: int, side: int = 80) -> list[Example]:
    image = np.zeros((side, side), np.float32)
    return [Example(str(number), image, image.astype(np.int32)) for number in range(n)]


@pytest.mark.parametrize(
    ("n", "patches_each", "epochs"),
    [
        # All 47 images: a patch each, 6 steps of at most 8 patches, 60 epochs: 360 steps.
        (5, 9, 60),  # 45 patches: 6 steps; with 10 each there would be 7
        (20, 2, 72),  # 40 patches: 5 steps of 72 epochs are 360; 60 patches would be 8 steps
        (40, 1, 72),
        (47, 1, 60),
    ],
)
def test_few_images_are_trained_for_as_many_steps_as_all(
    n: int, patches_each: int, epochs: int
) -> None:
    sampling = Sampling(patch_size=80, coverage=0.4, batch_size=8, foreground_share=0.5)
    coverage, found = as_long(sampling, 60, some=blanks(n), every=blanks(47))
    assert max(1, round(coverage)) == patches_each  # a patch covers the whole image
    assert found == epochs


@given(st.integers(1, 30), st.integers(16, 90), st.sampled_from([0.1, 0.4, 1.0, 3.0]))
def test_the_number_of_steps_is_nearly_kept(n: int, side: int, coverage: float) -> None:
    sampling = Sampling(patch_size=32, coverage=coverage, batch_size=8, foreground_share=0.5)
    every, some = blanks(30, side), blanks(n, side)
    changed, epochs = as_long(sampling, 60, some=some, every=every)
    steps = epochs * steps_per_epoch(
        some, Sampling(32, changed, batch_size=8, foreground_share=0.5)
    )
    asked = 60 * steps_per_epoch(every, sampling)
    assert changed >= coverage
    # Rounding the epochs, of which there are at least 60, is off by half of one at most.
    assert abs(steps - asked) / asked <= 0.5 / 60 + 1e-9


def curve_params(start: Path, **values: object) -> object:
    start.write_bytes(b"a network")
    changes = {
        "learning_curve__sizes": [1, 40, "all"],
        "learning_curve__pretrained": {"train.init": str(start)},
    }
    return tiny_params(**(changes | values))


def test_every_size_is_trained_with_and_without_a_start(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeChildren(bench)
    monkeypatch.setattr(bench_module, "run_children", fake)
    params = curve_params(tmp_path / "start.keras")
    points = run_learning_curve(params, bench)
    # No fold has 40 images. Fold 0 trains on `d` or `e`, fold 1 on the group of `a` and `b`.
    assert [(p.size, p.pretrained, p.images, p.groups) for p in points] == [
        (1, False, 1.5, 1.0),
        (1, True, 1.5, 1.0),
        ("all", False, 2.0, 1.5),
        ("all", True, 2.0, 1.5),
    ]
    assert len({point.steps for point in points}) == 1
    # Each fold of each point once, but fold 1, of which 1 image is all, once for both sizes.
    assert len(fake.trained) == 2 * 4 - 2
    assert [point.scores["object_f1"]["value"] for point in points] == [1.0] * 4
    assert [point.seconds for point in points] == [4.0] * 4
    starts = {fold.params.train.init for p in points if p.pretrained for fold in p.folds}
    assert starts == {str(tmp_path / "start.keras")}

    write_learning_curve(tmp_path, points, params, baseline=points[0].scores, ceiling={})
    table = pd.read_csv(tmp_path / "curve.csv")
    assert table["size"].astype(str).tolist() == ["1", "1", "all", "all"]
    assert table["object_f1"].tolist() == [1.0] * 4
    page = (tmp_path / "report.md").read_text()
    assert len({line.count("|") for line in page.splitlines() if line.startswith("|")}) == 1
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_training_that_fails_is_named(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = ("1 images, pre-trained",)
    monkeypatch.setattr(bench_module, "run_children", FakeChildren(bench, fails))
    with pytest.raises(InputError, match="1 images, pre-trained: ValueError: no luck"):
        run_learning_curve(curve_params(tmp_path / "start.keras"), bench)
