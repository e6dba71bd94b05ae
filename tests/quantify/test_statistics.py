from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from quantify.tables import draw_tables
from sgseg.errors import InputError
from sgseg.quantify.comparisons import COMPARISON_COLUMNS, NOT_TESTED
from sgseg.quantify.effect import holm
from sgseg.quantify.statistics import Statistics, StatisticsOptions, compare_conditions

STRESS = {"low": 3.0, "control": 0.5, "high": 8.0}


def by_hand(counts: dict[tuple[str, str], list[list[int]]], **options: object) -> Statistics:
    """Statistics of cells given as (condition, replicate) -> fields -> granules per cell."""
    cells, fields = [], []
    for (condition, replicate), of_fields in counts.items():
        for number, numbers in enumerate(of_fields):
            field = f"{condition}_{replicate}_{number}"
            fields.append((field, condition, replicate))
            cells += [(field, k, n, n > 0) for k, n in enumerate(numbers, 1)]
    return compare_conditions(
        pd.DataFrame(cells, columns=["field", "cell", "n_granules", "is_positive"]),
        pd.DataFrame({"field": pd.Series(dtype=str), "cell": pd.Series(dtype=int)}),
        pd.DataFrame(fields, columns=["field", "condition", "replicate"]),
        options=StatisticsOptions(**options),
    )


def row(found: Statistics, condition: str, measure: str) -> pd.Series:
    table = found.comparisons
    return table[(table["condition"] == condition) & (table["measure"] == measure)].iloc[0]


def test_a_replicate_counts_once_whatever_its_number_of_cells() -> None:
    found = by_hand(
        {
            ("control", "1"): [[0, 2], [4]],  # mean of three cells, not of two fields: 2
            ("control", "2"): [[0] * 10],  # 0
            ("control", "3"): [[1]],  # 1
        }
    )
    assert found.replicates["granules_per_cell"].tolist() == [2, 0, 1]
    assert found.replicates["positive_fraction"].tolist() == pytest.approx([2 / 3, 0, 1])
    assert found.replicates["n_cells"].tolist() == [3, 10, 1]
    assert found.replicates["n_fields"].tolist() == [2, 1, 1]
    mean = found.conditions.set_index("measure").loc["granules_per_cell"]
    # (2 + 0 + 1) / 3; squares 1 + 1 + 0 over 2; t_(0.975, 2) / sqrt(3) = 4.302653 / 1.732051.
    assert (mean["mean"], mean["sd"], mean["n_replicates"]) == (1, 1, 3)
    assert mean["mean_high"] == pytest.approx(1 + 4.302653 / 1.732051, abs=1e-5)
    # No cell of replicate 2 is positive: it has no such value, and is not 0 there.
    positive = found.conditions.set_index("measure").loc["granules_per_positive_cell"]
    assert (positive["mean"], positive["n_replicates"]) == ((3 + 1) / 2, 2)
    assert math.isnan(positive["mean_low"])


def test_paired_means_are_compared_as_scipy_does() -> None:
    found = compare_conditions(*draw_tables(STRESS, day=0.5))
    assert found.names == ["control", "low", "high"]
    assert found.design.is_paired
    means = found.replicates.pivot_table(
        index="replicate", columns="condition", values="granules_per_cell"
    )
    expected = stats.ttest_rel(means["high"], means["control"])
    high = row(found, "high", "granules_per_cell")
    assert high["p_uncorrected"] == pytest.approx(expected.pvalue)
    assert high["difference"] == pytest.approx((means["high"] - means["control"]).mean())
    assert (high["design"], high["n"], high["df"]) == ("paired", 4, 3)
    assert high["finding"] == "higher"


def test_replicates_are_matched_by_name_not_by_order() -> None:
    tables = draw_tables(STRESS)
    cells, granules, fields = tables
    shuffled = fields.sample(frac=1, random_state=0)
    order = {"control": 0, "low": 1, "high": 2}
    shuffled = shuffled.sort_values("condition", key=lambda c: c.map(order), kind="stable")
    for one, other in zip(
        (compare_conditions(*tables),),
        (compare_conditions(cells.iloc[::-1], granules, shuffled),),
        strict=True,
    ):
        key = ["condition", "measure"]
        columns = ["difference", "p", "hedges_g"]
        expected = one.comparisons.set_index(key)[columns].sort_index()
        actual = other.comparisons.set_index(key)[columns].sort_index()
        pd.testing.assert_frame_equal(actual, expected)


def test_unequal_replicates_are_independent() -> None:
    replicates = {"control": ["1", "2", "3", "4"], "high": ["a", "b", "c"]}
    found = compare_conditions(
        *draw_tables({"control": 1.0, "high": 6.0}, replicates=replicates, day=0.3)
    )
    high = row(found, "high", "granules_per_cell")
    means = found.replicates.groupby("condition")["granules_per_cell"].apply(list)
    expected = stats.ttest_ind(means["high"], means["control"], equal_var=False)
    assert high["p_uncorrected"] == pytest.approx(expected.pvalue)
    assert (high["design"], high["n"], high["n_reference"]) == ("independent", 3, 4)


def test_pairs_that_are_asked_for_are_those_that_both_have() -> None:
    replicates = {"control": ["1", "2", "3", "4"], "high": ["2", "3", "4", "5"]}
    tables = draw_tables({"control": 1.0, "high": 6.0}, replicates=replicates)
    found = compare_conditions(*tables, options=StatisticsOptions(design="paired"))
    assert row(found, "high", "granules_per_cell")["n"] == 3
    # Means of conditions keep all four.
    assert set(found.conditions["n_replicates"]) == {4}


@pytest.mark.parametrize("family", ["run", "measure"])
def test_holm_goes_over_the_family(family: str) -> None:
    found = compare_conditions(*draw_tables(STRESS), options=StatisticsOptions(family=family))
    tested = found.comparisons.dropna(subset=["p_uncorrected"])
    # Two comparisons in each of four measures.
    assert len(tested) == 2 * 4
    if family == "run":
        expected = holm(tested["p_uncorrected"].to_numpy())
    else:
        expected = tested.groupby("measure")["p_uncorrected"].transform(
            lambda p: holm(p.to_numpy())
        )
    assert tested["p"].to_numpy() == pytest.approx(np.asarray(expected))
    assert (tested["p"] >= tested["p_uncorrected"]).all()
    assert any(note.startswith("8 tests; p-values are corrected over") for note in found.notes)


def test_what_is_not_tested_has_intervals_but_no_p() -> None:
    options = StatisticsOptions(tested=("granules_per_cell",))
    found = compare_conditions(*draw_tables(STRESS), options=options)
    others = found.comparisons[found.comparisons["measure"] != "granules_per_cell"]
    assert others[["p", "p_uncorrected", "t"]].isna().all(axis=None)
    assert others["reason"].str.contains(NOT_TESTED).all()
    assert others["difference_low"].notna().all()
    # Two tests: the smaller p doubled.
    tested = found.comparisons[found.comparisons["measure"] == "granules_per_cell"]
    assert tested["p"].min() == pytest.approx(2 * tested["p_uncorrected"].min())


def test_below_three_replicates_there_is_the_difference_and_a_reason() -> None:
    found = compare_conditions(*draw_tables(STRESS, replicates=["1", "2"]))
    low = row(found, "low", "granules_per_cell")
    assert low["reason"] == "2 pairs of replicates: no p-value or interval below 3"
    assert low[["p", "p_uncorrected", "difference_low", "hedges_g", "ratio"]].isna().all()
    assert math.isfinite(low["difference"])
    assert low["finding"] == ""
    assert found.conditions["mean_low"].isna().all()


def test_no_replicate_given() -> None:
    cells, granules, fields = draw_tables(STRESS)
    found = compare_conditions(cells, granules, fields.drop(columns="replicate"))
    assert found.replicates["replicate"].tolist() == ["", "", ""]
    assert set(found.conditions["n_replicates"]) == {1}
    assert found.comparisons["p"].isna().all()
    assert (
        "No replicate was given for 'control' or 'high' or 'low': all its fields are taken as one"
        " replicate." in found.notes
    )
    partly = fields.assign(replicate=fields["replicate"].where(fields["replicate"] != "4", None))
    found = compare_conditions(cells, granules, partly)
    assert set(found.replicates["replicate"]) == {"1", "2", "3"}
    assert any(note.startswith("6 fields without a replicate left out") for note in found.notes)


def test_no_condition_given() -> None:
    cells, granules, fields = draw_tables(STRESS)
    found = compare_conditions(cells, granules, fields[["field", "replicate"]])
    assert found.names == [""]
    assert found.comparisons.columns.tolist() == list(COMPARISON_COLUMNS)
    assert found.comparisons.empty
    assert "There is one condition: nothing to compare." in found.notes
    assert set(found.conditions_table["reason"]) == {"the only condition"}
    is_low = fields["condition"] == "low"
    found = compare_conditions(
        cells, granules, fields.assign(condition=fields["condition"].mask(is_low))
    )
    assert found.names == ["control", "high"]
    assert any(note.startswith("8 fields without a condition left out") for note in found.notes)


def test_failed_fields_are_left_out() -> None:
    cells, granules, fields = draw_tables({"control": 1.0, "high": 5.0})
    fields["status"] = fields["status"].mask(fields["replicate"] == "1", "damaged")
    found = compare_conditions(cells, granules, fields)
    assert set(found.replicates["replicate"]) == {"2", "3", "4"}
    assert "4 failed fields left out." in found.notes


def test_nothing_at_all() -> None:
    empty = [table.iloc[:0] for table in draw_tables(STRESS)]
    found = compare_conditions(*empty)
    assert found.notes == ["No field was measured: nothing to compare."]
    assert found.replicates.empty
    assert found.comparisons.empty


def test_every_row_of_conditions_csv_has_a_p_or_a_reason() -> None:
    found = compare_conditions(*draw_tables(STRESS))
    table = found.conditions_table
    assert len(table) == len(found.conditions)
    assert (table["p"].notna() | (table["reason"] != "")).all()
    assert set(table.loc[table["condition"] == "control", "reason"]) == {"the reference"}
    no_reference = compare_conditions(*draw_tables({"heat": 1.0, "cold": 2.0}))
    assert set(no_reference.conditions_table["reason"]) == {"no reference to compare with"}


def test_thin_replicates_are_named() -> None:
    found = by_hand({("control", "1"): [[1, 2]], ("control", "2"): [[1] * 10]})
    assert "Fewer than 10 cells that count in: control 1 (2)." in found.notes


def test_zero_in_all_controls_is_tested_and_has_no_ratio() -> None:
    days = ["1", "2", "3"]
    found = by_hand(
        {("control", day): [[0, 0]] for day in days}
        | {("high", day): [[k, k + 2]] for k, day in enumerate(days, 1)}
    )
    # High has 2, 3, 4 granules per cell: t = 3 / (1 / sqrt(3)).
    high = row(found, "high", "granules_per_cell")
    assert high["t"] == pytest.approx(3 * math.sqrt(3))
    assert high["reason"] == "no ratio: a replicate's value is not above zero"
    # All of them positive against none: no variation at all.
    share = row(found, "high", "positive_fraction")
    assert share["difference"] == 1
    assert math.isnan(share["p"])
    assert "no variation between replicates" in share["reason"]


def test_options_that_are_none_are_all_named() -> None:
    options = StatisticsOptions(tested=("granules",), confidence=1.0, family="all", design="mixed")
    with pytest.raises(InputError) as error:
        compare_conditions(*draw_tables(STRESS), options=options)
    assert [problem.where for problem in error.value.problems] == [
        "tested",
        "confidence",
        "design",
        "family",
    ]
    assert "granules_per_cell" in error.value.problems[0].expected
    with pytest.raises(InputError, match="no condition is called 'none'"):
        compare_conditions(*draw_tables(STRESS), options=StatisticsOptions(reference="none"))
