"""The statistics as a whole: what is there is found, and nothing where nothing is. In small: see
benchmarks/quantify_conditions.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sgseg.config import load_params
from sgseg.quantify.statistics import StatisticsOptions, compare_conditions

ROOT = Path(__file__).parents[2]
AGAINST = StatisticsOptions(reference="first")


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import quantify_conditions  # noqa: PLC0415

        yield quantify_conditions
        del sys.modules["quantify_conditions"]


def test_three_conditions_come_in_their_order(bench: ModuleType) -> None:
    params = load_params(ROOT / "params.yaml").simulate.model_copy(update={"size": 256})
    names = ["control", "arsenite_low", "arsenite_high"]
    found = compare_conditions(*bench.true_tables(params, names, 3, 2))
    assert found.design.is_paired
    assert bench.is_ordered(found, names)
    assert not bench.is_ordered(found, names[::-1])


def test_the_true_tables_are_those_that_the_code_measures(bench: ModuleType) -> None:
    from sgseg.dataset.simulate import simulate_field  # noqa: PLC0415
    from sgseg.quantify.per_cell import measure_cells  # noqa: PLC0415

    params = load_params(ROOT / "params.yaml").simulate.model_copy(update={"size": 256})
    cells, _, _ = bench.true_tables(params, ["arsenite_high"], 1, 1)
    seen = simulate_field(params, condition="arsenite_high", replicate=1, field=1)
    expected = measure_cells(
        seen.cells, seen.granules, seen.image[0], pixel_size_um=params.pixel_size_um
    )
    for name in ("cell", "n_granules", "is_positive", "granule_area_fraction", "is_counted"):
        assert cells[name].tolist() == pytest.approx(expected[name].tolist())


@pytest.mark.parametrize("paired", [False, True])
def test_halves_of_one_condition_do_not_differ(bench: ModuleType, paired: bool) -> None:
    # Days differ by 40 %. With cells as the unit that is an effect more often than not; with
    # replicates in at most 5 of 100 (with a standard deviation of 2.2).
    effects, on_cells = 0, 0
    for seed in range(30):
        tables = bench.drawn_tables(seed, day=0.4, replicates=4, paired=paired)
        found = compare_conditions(*tables, options=AGAINST)
        assert found.design.is_paired is paired
        effects += bench.reports_effect(found)
        on_cells += bench.reports_effect_on_cells(found)
    assert effects <= 3
    if not paired:
        assert on_cells >= 9


def test_halves_are_made_of_whole_replicates(bench: ModuleType) -> None:
    _, _, fields = bench.drawn_tables(0, day=0.0, replicates=4, paired=False)
    split = bench.halves(fields)
    assert split.groupby("condition")["replicate"].apply(set).tolist() == [
        {"0", "1", "2", "3"},
        {"4", "5", "6", "7"},
    ]
