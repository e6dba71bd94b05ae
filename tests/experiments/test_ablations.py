"""Recipes and their table: what each is made of, what it is compared with, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sgseg.config import Params
from sgseg.errors import InputError
from sgseg.evaluation.data import DataSet
from sgseg.experiments import bench as bench_module
from sgseg.experiments.ablation_report import write_ablations
from sgseg.experiments.ablations import averaged, run_ablations, variants
from sgseg.experiments.bench import Bench
from sgseg.experiments.compare import ceiling_scores, classical

from .lab import FakeChildren, fold_result, tiny_params, write_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return write_bench(tmp_path)


def with_rows(*rows: dict[str, Any]) -> Params:
    return tiny_params(ablations={"workers": 1, "rows": list(rows)})


ROWS = (
    {"name": "plain", "from": "recipe", "values": {"train.learning_rate": 0.5}},
    {"name": "+ seed", "values": {"train.seed": 5}},
    {"name": "wide", "from": "recipe", "values": {"network.width": 3}},
    {"name": "wide twice", "seeds": [7, 8]},
)


def test_a_row_is_the_one_it_comes_from_with_its_own_values() -> None:
    found = {v.name: v for v in variants(with_rows(*ROWS))}
    assert [(v.name, v.origin) for v in found.values()] == [
        ("recipe", ""),
        ("plain", "recipe"),
        ("+ seed", "plain"),
        ("wide", "recipe"),
        ("wide twice", "wide"),
    ]
    assert found["+ seed"].params.train.learning_rate == 0.5
    assert found["wide"].params.train.learning_rate != 0.5
    assert found["wide twice"].params.network.width == 3
    assert found["wide twice"].seeds == (7, 8)


def test_a_row_without_seeds_is_trained_with_its_own_seed(bench: Bench) -> None:
    found = {v.name: v for v in variants(with_rows(*ROWS))}
    assert found["recipe"].seeds == (found["recipe"].params.train.seed,)
    assert found["+ seed"].seeds == (5,)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"name": "x"}, {"name": "x"}], "'x' is there already"),
        ([{"name": "recipe"}], "'recipe' is there already"),
        ([{"name": "x", "from": "y"}, {"name": "y"}], "no row above is named 'y'"),
        ([{"name": "x", "values": {"split.seed": 3}}], "ablations"),
        ([{"name": "x", "seeds": []}], "seeds"),
    ],
)
def test_rows_that_make_no_sense_are_refused(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_rows(*rows)


def test_all_values_that_are_not_allowed_are_named_before_anything_is_trained(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeChildren(bench)
    monkeypatch.setattr(bench_module, "run_children", fake)
    params = with_rows(
        {"name": "x", "values": {"network.width": 0}},
        {"name": "fine"},
        {"name": "y", "from": "recipe", "values": {"train.optimizer": {"name": "magic"}}},
    )
    with pytest.raises(InputError) as caught:
        run_ablations(params, bench)
    width, magic = map(str, caught.value.problems)
    assert width.startswith("ablations, row 'x', params: network.width: got 0")
    assert magic.startswith("ablations, row 'y', params: train.optimizer")
    assert fake.trained == []


def test_the_mean_of_several_trainings(bench: Bench) -> None:
    def training(*levels: float) -> Sequence[Any]:
        first, second = levels
        return [
            fold_result(0, {"a": first, "b": second}, bench, seconds=3.0),
            fold_result(1, {"d": 0.5}, bench, seconds=4.0),
        ]

    mean = averaged([training(0.2, 0.9), training(0.6, 0.9), training(0.1, 0.6)])
    levels = {i.image_id: i.probability for result in mean for i in result.images}
    # (0.2 + 0.6 + 0.1) / 3, (0.9 + 0.9 + 0.6) / 3, 0.5
    for name, level in {"a": 0.3, "b": 0.8, "d": 0.5}.items():
        np.testing.assert_allclose(levels[name], level, rtol=1e-6)
        assert levels[name].dtype == np.float32
    assert [result.seconds for result in mean] == [9.0, 12.0]
    assert [result.milliseconds_per_megapixel for result in mean] == [9.0, 9.0]


def test_the_table_holds_every_recipe_and_what_became_of_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_module, "run_children", FakeChildren(bench, fails=("plain",)))
    params = with_rows(*ROWS)
    outcomes = run_ablations(params, bench)
    data = DataSet(bench.dataset, bench.roles, params.split.folds)
    ceiling = {"pairs": 1, "iou": 0.54, "dice": 0.7, "object_f1": 0.88}
    write_ablations(
        tmp_path,
        outcomes,
        params,
        data,
        baseline=classical(params, data),
        ceiling=ceiling_scores({"ceiling": ceiling}),
    )
    table = pd.read_csv(tmp_path / "table.csv").set_index("recipe")
    assert list(table.index) == [
        "difference of Gaussians",
        "recipe",
        *(row["name"] for row in ROWS),
        "two labellers",
    ]
    # The fake networks are perfect, so no recipe gains anything over another.
    assert table.loc["wide", ["object_f1", "object_f1_gain", "object_f1_gain_high"]].tolist() == [
        1.0,
        0.0,
        0.0,
    ]
    assert table.loc["plain", "error"] == "ValueError: no luck"
    assert np.isnan(table.loc["plain", "object_f1"])
    # What came from it is scored, and compared with nothing.
    assert table.loc["+ seed", "object_f1"] == 1.0
    assert np.isnan(table.loc["+ seed", "object_f1_gain"])
    assert table.loc["wide twice", "single_object_f1"] == "1.000000 1.000000"
    assert table.loc["two labellers", "foreground_iou"] == 0.54
    # Two folds of 2 s each; two trainings of them.
    assert table.loc[["wide", "wide twice"], "seconds"].tolist() == [4.0, 8.0]

    images = pd.read_csv(tmp_path / "per_image.csv")
    assert images["recipe"].value_counts().to_dict() == dict.fromkeys(
        ["difference of Gaussians", "recipe", "+ seed", "wide", "wide twice"], 6
    )
    page = (tmp_path / "table.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 7
    assert len({line.count("|") for line in lines}) == 1
    assert "failed: ValueError: no luck" in page
    assert "![worst images](worst.png)" in page
    assert (tmp_path / "worst.png").is_file()


def test_a_table_of_failures_only_is_written_as_well(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_module, "run_children", FakeChildren(bench, fails=("recipe",)))
    params = with_rows()
    data = DataSet(bench.dataset, bench.roles, params.split.folds)
    write_ablations(
        tmp_path,
        run_ablations(params, bench),
        params,
        data,
        baseline=classical(params, data),
        ceiling={},
    )
    assert "failed: ValueError: no luck" in (tmp_path / "table.md").read_text()
    assert not (tmp_path / "worst.png").exists()
