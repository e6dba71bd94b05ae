"""The rule, on counts written out by hand, and simulated: how often it is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from evaluation.cases import image_counts

from sgseg.evaluation.summary import ImageCounts
from sgseg.gate.rule import Judgement, judge, primary_verdict, signed

from .cases import rule_with

Counts = Sequence[ImageCounts]


def image(number: int, tp: int, fp: int, fn: int, group: str | None = None) -> ImageCounts:
    """Granules of 10 px, found to the pixel or not at all."""
    return image_counts(
        (10 * tp, 10 * fp, 10 * fn, 1000),
        (tp, fp, fn, float(tp)),
        image_id=f"image {number}",
        group=group or f"group {number}",
    )


def images(*counts: tuple[int, int, int], group: str | None = None) -> list[ImageCounts]:
    return [image(number, *numbers, group=group) for number, numbers in enumerate(counts)]


def judged(challenger: Counts, champion: Counts | None, **options: Any) -> Judgement:
    more_data = options.pop("more_data", None)
    rule = rule_with(**options)
    return judge(challenger, champion, rule=rule, more_data=more_data, resamples=200, seed=1)


def check(found: Judgement, kind: str, score: str) -> Any:
    (only,) = [c for c in found.checks if (c.kind, c.score) == (kind, score)]
    return only


# 8 of 10 granules in each of 8 images: F1 = 16 / (16 + 2) = 0.889.
EVEN = images(*[(8, 0, 2)] * 8)
# One more or one less in every other image: the sum is the same.
UNEVEN = images(*[(7, 0, 3), (9, 0, 1)] * 4)


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.1, 0.01, 0.2, "win"),
        (0.1, 0.0, 0.2, "tie"),
        (-0.03, -0.1, 0.1, "tie"),
        (-0.031, -0.1, 0.1, "loss"),
        (-0.01, -0.02, -0.001, "loss"),
        (-0.01, -0.02, 0.0, "tie"),
        (0.5, None, None, "tie"),
        (-0.5, None, None, "loss"),
    ],
)
def test_the_verdict(value: float, low: float | None, high: float | None, expected: str) -> None:
    assert primary_verdict({"value": value, "low": low, "high": high}, margin=0.03) == expected


def test_a_better_one_wins() -> None:
    # 10 instead of 8 of 10 everywhere: F1 1 instead of 0.889.
    found = judged(images(*[(10, 0, 0)] * 8), EVEN, on_tie="keep")
    assert (found.promote, found.verdict) == (True, "win")
    assert found.reasons == [
        "The challenger wins: object F1 1.000 against 0.889, +0.111 [+0.111, +0.111].",
    ]


def test_a_worse_one_loses() -> None:
    found = judged(EVEN, images(*[(10, 0, 0)] * 8))
    assert (found.promote, found.verdict) == (False, "loss")
    assert found.reasons[0].startswith("The challenger loses: object F1 0.889 against 1.000")
    # Recall falls by 0.2, more than 0.1; 2 of 10 granules are miscounted, more than 15 %.
    assert found.reasons[2] == (
        "Object recall 0.800 against 1.000, -0.200 [-0.200, -0.200]: worse by more than the "
        "margin of 0.1."
    )
    failed = {c.score for c in found.checks if c.passed is False and c.kind == "margin"}
    assert failed == {"object_recall", "pooled_iou", "count_error"}


@pytest.mark.parametrize(
    ("on_tie", "more_data", "promoted", "why"),
    [
        ("promote", None, True, "not lower"),
        ("keep", True, False, "to the champion"),
        ("more_data", True, True, "trained on more images"),
        ("more_data", False, False, "was not trained on more"),
        ("more_data", None, False, "does not say how many"),
    ],
)
def test_a_tie_is_decided_by_the_rule(
    on_tie: str, more_data: bool | None, promoted: bool, why: str
) -> None:
    found = judged(UNEVEN, EVEN, on_tie=on_tie, more_data=more_data)
    assert (found.verdict, found.promote) == ("tie", promoted)
    assert "object F1 0.889 against 0.889, +0.000 [-0." in found.reasons[0]
    assert why in found.reasons[1]
    assert f"on_tie: {on_tie}" in found.reasons[1]
    # Whoever lists the checks that failed is told as well.
    assert check(found, "primary", "object_f1").said == " ".join(found.reasons[:2])


@pytest.mark.parametrize("on_tie", ["promote", "more_data"])
def test_a_tie_that_is_lower_is_for_the_champion(on_tie: str) -> None:
    # 63 instead of 64 of 80 granules: F1 126 / 143 = 0.881 instead of 128 / 144 = 0.889.
    lower = [image(0, 6, 0, 4), *UNEVEN[1:]]
    found = judged(lower, EVEN, on_tie=on_tie, more_data=True)
    assert (found.verdict, found.promote) == ("tie", False)
    assert "is for a challenger that is not lower" in found.reasons[1]


def test_a_win_that_costs_too_much_elsewhere_is_refused_by_name() -> None:
    # An empty control with 5 false granules: more than the limit 4, and than the margin 1.
    better = images(*[(10, 0, 0)] * 8, (0, 5, 0))
    before = images(*[(6, 0, 4)] * 8, (0, 0, 0))
    found = judged(better, before)
    assert (found.verdict, found.promote) == ("win", False)
    assert found.reasons[1:] == [
        "False granules per empty image 5.000, at most 4 is asked for.",
        # No interval: in some resamples there is no empty control.
        "False granules per empty image 5.000 against 0.000, +5.000: worse by more than the margin "
        "of 1.",
    ]


def test_the_margin_of_the_count_is_a_share_of_the_granules() -> None:
    # 10 granules per image: at most 1.5 more miscounted on average. EVEN miscounts 2.
    found = judged(EVEN, images(*[(10, 2, 0)] * 8))
    assert check(found, "margin", "count_error").limit == pytest.approx(1.5)
    sparse = judged(images(*[(1, 0, 0)] * 8), images(*[(1, 0, 0)] * 8))
    assert check(sparse, "margin", "count_error").limit == pytest.approx(0.15)


def test_without_champion_the_floors_decide() -> None:
    found = judged(EVEN, None)
    assert (found.promote, found.verdict) == (True, "first")
    assert found.reasons == ["There is no champion, and the challenger is above the floors."]
    # 4 of 10: F1 8 / 14 = 0.571, IoU 0.4.
    found = judged(images(*[(4, 0, 6)] * 8), None)
    assert (found.promote, found.verdict) == (False, "first")
    assert found.reasons == ["Object F1 0.571, at least 0.6 is asked for."]
    assert check(found, "floor", "foreground_iou").passed is True  # 0.4 is not below 0.4


def test_floors_hold_for_a_better_one_as_well() -> None:
    found = judged(images(*[(4, 0, 6)] * 8), images(*[(2, 0, 8)] * 8))
    assert (found.verdict, found.promote) == ("win", False)
    assert found.reasons[1] == "Object F1 0.571, at least 0.6 is asked for."


def test_empty_controls_alone_say_nothing() -> None:
    nothing = images(*[(0, 0, 0)] * 8)
    for champion in (None, nothing):
        found = judged(nothing, champion)
        assert (found.promote, found.verdict) == (False, "unknown")
        assert "whether the challenger finds any is unknown" in found.reasons[0]


def test_without_an_empty_control_false_granules_are_unknown_and_it_is_said() -> None:
    found = judged(EVEN, EVEN, on_tie="promote")
    for kind in ("floor", "margin"):
        assert check(found, kind, "false_per_empty").passed is None
    assert found.promote
    assert found.warnings == [
        "No test image is without granules: false granules in empty controls were not checked."
    ]


def test_few_groups_are_no_evidence() -> None:
    pairs = [(10, 0, 0)] * 3 + [(0, 0, 0)]
    found = judged(images(*pairs), images(*pairs), min_groups=6)
    assert "of 4 groups, fewer than 6" in found.warnings[0]
    assert "once in 16 times" in found.warnings[0]  # 2 ** 4
    assert not judged(images(*pairs), images(*pairs), min_groups=4).warnings


def test_one_group_has_no_interval_and_cannot_win() -> None:
    better = images(*[(10, 0, 0)] * 4, group="g")
    found = judged(better, images(*[(8, 0, 2)] * 4, group="g"), on_tie="promote")
    assert (found.verdict, found.promote) == ("tie", True)
    assert found.reasons[0].endswith("+0.111.")
    assert "there is no interval" in found.warnings[0]
    worse = judged(images(*[(8, 0, 2)] * 4, group="g"), better, on_tie="promote")
    assert (worse.verdict, worse.promote) == ("loss", False)


def test_a_difference_in_words() -> None:
    assert signed({"value": 0.0284, "low": -0.01, "high": 0.06}) == "+0.028 [-0.010, +0.060]"
    assert signed({"value": -0.5, "low": None, "high": None}) == "-0.500"
    assert signed({"value": None, "low": None, "high": None}) == "unknown"


# Ten groups like those of the simulated data, two of them empty controls.
GRANULES = np.array([0, 0, 3, 5, 8, 12, 18, 25, 35, 45])


def simulated(rng: np.random.Generator, recalls: tuple[float, float]) -> tuple[Counts, Counts]:
    """Two models on the same ten images.

    Some images are harder than others for both (0.5 on the scale of the logit), and each model
    finds some harder than the other does (0.4, and a fifth of the false granules' number): about
    what networks show that were trained on different parts of the same images.
    """
    hard = rng.normal(0, 0.5, len(GRANULES))
    sides = []
    for recall in recalls:
        own = rng.normal(0, 0.4, len(GRANULES))
        chance = 1 / (1 + np.exp(-(np.log(recall / (1 - recall)) + hard + own)))
        tp = rng.binomial(GRANULES, chance)
        fp = rng.poisson(0.3 + 0.07 * GRANULES)
        sides.append(
            [
                image(k, int(tp[k]), int(fp[k]), int(GRANULES[k] - tp[k]))
                for k in range(len(GRANULES))
            ]
        )
    return sides[0], sides[1]


def shares(recalls: tuple[float, float], *, on_tie: str, trials: int = 300) -> Counter[str]:
    """How often, in percent, a challenger of some recall is promoted, and what the verdicts are."""
    rng = np.random.default_rng(0)
    rule = rule_with(on_tie=on_tie)
    found: Counter[str] = Counter()
    for _ in range(trials):
        mine, theirs = simulated(rng, recalls)
        one = judge(mine, theirs, rule=rule, more_data=None, resamples=300, seed=1)
        found[one.verdict] += 1
        found["promoted"] += one.promote
    return Counter({name: round(100 * n / trials) for name, n in found.items()})


# F1 = 2 TP / (2 TP + FP + FN) at 0.09 false granules per true one: recall 0.8 gives 1.6 / (1.6 +
# 0.09 + 0.2) = 0.85; 0.66 gives 1.32 / (1.32 + 0.09 + 0.34) = 0.75; 0.96 gives 0.94.
SAME, WORSE, BETTER = 0.8, 0.66, 0.96


def test_of_two_equal_models_few_are_told_apart() -> None:
    found = shares((SAME, SAME), on_tie="promote")
    assert found["win"] <= 12  # 2.5 if the interval of ten groups were as wide as it should be
    assert found["tie"] >= 60
    assert 35 <= found["promoted"] <= 55  # every other one is not lower
    assert shares((SAME, SAME), on_tie="keep")["promoted"] <= 12


def test_a_clearly_worse_model_is_refused() -> None:
    assert shares((WORSE, SAME), on_tie="promote")["promoted"] <= 3


def test_a_clearly_better_model_is_promoted() -> None:
    assert shares((BETTER, SAME), on_tie="promote")["promoted"] >= 95
    assert shares((BETTER, SAME), on_tie="keep")["promoted"] >= 75
