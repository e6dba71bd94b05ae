"""Scores of the same images by two methods, and the difference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgseg.comparison.paired import SCORES, Comparison, Row, compare_counts, joined_groups

from .lab import Image, table


def compare(
    a: list[Image], b: list[Image], name: str = "object_f1", draws: int = 300
) -> Comparison:
    return compare_counts(table(*a), table(*b), score_name=name, resamples=draws, seed=1)


def test_scores_pool_the_counts_of_all_images() -> None:
    # A: TP 8 + 1, FP 2 + 0, FN 2 + 3: F1 = 18 / (18 + 2 + 5) = 0.72, not the mean of
    # 16 / 20 = 0.8 and 2 / 5 = 0.4. B: TP 10 + 2, FN 0 + 2: F1 = 24 / 26.
    a = [Image("x", 8, 2, 2), Image("y", 1, 0, 3)]
    b = [Image("x", 10, 0, 0), Image("y", 2, 0, 2)]
    row = compare(a, b).row("object_f1")
    assert row.a == pytest.approx(0.72)
    assert row.b == pytest.approx(24 / 26)
    assert row.difference == pytest.approx(24 / 26 - 0.72, abs=1e-6)


def test_each_image_is_a_data_set_of_its_own_and_the_most_different_is_first() -> None:
    a = [Image("x", 8, 2, 2), Image("y", 1, 0, 3), Image("e", 0, 0, 0)]
    b = [Image("x", 10, 0, 0), Image("y", 1, 0, 3), Image("e", 0, 1, 0)]
    found = compare(a, b)
    # e: nothing found where nothing is is 1, one false granule is 0. x: 16 / 20 and 1.
    assert list(found.images["image_id"]) == ["e", "x", "y"]
    np.testing.assert_allclose(found.images["a"], [1.0, 0.8, 0.4])
    np.testing.assert_allclose(found.images["difference"], [-1.0, 0.2, 0.0])
    assert (found.b_better, found.a_better, found.equal) == (1, 1, 1)


def test_a_clear_gain_is_a_win_and_its_mirror_a_loss() -> None:
    a = [Image(f"i{k}", 5, 5, 5) for k in range(8)]
    b = [Image(f"i{k}", 7 + k % 2, 2, 3 - k % 2) for k in range(8)]
    forth, back = compare(a, b).row("object_f1"), compare(b, a).row("object_f1")
    assert forth.verdict == "B"
    assert back.verdict == "A"
    assert forth.difference is not None
    assert back.difference == pytest.approx(-forth.difference)


def test_fewer_errors_are_better_where_lower_is() -> None:
    a = [Image(f"i{k}", 5, 3 + k % 2, 0) for k in range(8)]
    b = [Image(f"i{k}", 5, 1, 0) for k in range(8)]
    found = compare(a, b, "count_error")
    row = found.row("count_error")
    # A is 3 or 4 too many, B is 1 too many: -2.5 on average.
    assert row.difference == pytest.approx(-2.5)
    assert row.verdict == "B"
    assert (found.b_better, found.a_better) == (8, 0)


def test_an_interval_that_includes_0_is_a_tie() -> None:
    a = [Image(f"i{k}", 6 + 2 * (k % 2), 1, 4 - 2 * (k % 2)) for k in range(8)]
    b = [Image(f"i{k}", 8 - 2 * (k % 2), 1, 2 + 2 * (k % 2)) for k in range(8)]
    row = compare(a, b).row("object_f1")
    assert row.difference == pytest.approx(0.0)
    assert row.verdict == "tie"
    assert Row("object_f1", 0.5, 0.5, 0.0, 0.0, 0.0).verdict == "tie"


def test_one_group_has_no_interval() -> None:
    a = [Image("x", 5, 5, 5, group="g"), Image("y", 5, 5, 5, group="g")]
    b = [Image("x", 9, 1, 1, group="g"), Image("y", 9, 1, 1, group="g")]
    found = compare(a, b)
    row = found.row("object_f1")
    assert (found.n_images, found.n_groups) == (2, 1)
    assert row.verdict == "no interval"
    assert row.difference == pytest.approx(0.4)


def test_a_score_that_no_image_has_is_undefined() -> None:
    # There is no empty image, so nobody knows how many false granules one would have.
    found = compare(
        [Image("x", 5, 0, 0), Image("y", 5, 0, 0)],
        [Image("x", 5, 1, 0), Image("y", 5, 0, 0)],
        "false_per_empty",
    )
    assert found.row("false_per_empty").verdict == "undefined"
    assert found.images.empty


def test_images_that_share_a_group_on_either_side_stay_together() -> None:
    a = table(Image("p", 1, 0, 0, "g1"), Image("q", 1, 0, 0, "g1"), Image("r", 1, 0, 0, "g2"))
    b = table(Image("p", 1, 0, 0, "h1"), Image("q", 1, 0, 0, "h2"), Image("r", 1, 0, 0, "h2"))
    assert len(set(joined_groups(a, b).values())) == 1
    alone = table(Image("p", 1, 0, 0), Image("q", 1, 0, 0), Image("r", 1, 0, 0))
    assert joined_groups(a, alone) == {"p": "g1", "q": "g1", "r": "g2"}


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same images"):
        compare([Image("x", 1, 0, 0)], [Image("y", 1, 0, 0)])


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.integers(0, 9)] * 3, st.integers(0, 9), st.integers(0, 9)),
        min_size=2,
        max_size=6,
    )
)
def test_swapping_the_sides_swaps_the_signs(rows: list[tuple[int, ...]]) -> None:
    # Truth is the same for both: TP + FN.
    a = [Image(f"i{k}", tp, fp, fn) for k, (tp, fn, fp, _, _) in enumerate(rows)]
    b = [
        Image(f"i{k}", min(tp + d, tp + fn), other, max(fn - d, 0))
        for k, (tp, fn, _, other, d) in enumerate(rows)
    ]
    forth, back = compare(a, b, draws=40), compare(b, a, draws=40)
    assert (forth.b_better, forth.a_better) == (back.a_better, back.b_better)
    for name in SCORES:
        one, other = forth.row(name), back.row(name)
        if one.difference is not None and other.difference is not None:
            assert one.difference == pytest.approx(-other.difference, abs=2e-6)
        if one.low is not None and other.high is not None:
            assert one.low == pytest.approx(-other.high, abs=2e-6)
