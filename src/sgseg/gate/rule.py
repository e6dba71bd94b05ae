"""The rule of the gate: counts per image of both models in, verdict and reasons out.

What the rule is worth on few images is in docs/gate.md, with the simulation that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sgseg.config import Promote
from sgseg.evaluation.summary import ImageCounts, paired_difference, point_scores
from sgseg.evaluation.table import HEADLINE
from sgseg.gate.decision import Check, Interval, Verdict

PRIMARY = "object_f1"
# Pixels are pooled. In the mean over images an empty control counts 1 or, with a single false
# granule, 0: it scatters twice as much, and false granules have a check of their own.
OTHERS = (
    "pooled_iou",
    "object_precision",
    "object_recall",
    "count_error",
    "false_per_empty",
)
LOWER_IS_BETTER = frozenset({"count_error", "false_per_empty"})
TITLES = {**HEADLINE, "pooled_iou": "foreground IoU, pixels of all images"}
Counts = Sequence[ImageCounts]


@dataclass(frozen=True)
class Judgement:
    """What the rule says; latency is not part of it."""

    promote: bool
    verdict: Verdict
    reasons: list[str]
    warnings: list[str]
    checks: list[Check]


def judge(
    challenger: Counts,
    champion: Counts | None,
    *,
    rule: Promote,
    more_data: bool | None,
    resamples: int,
    seed: int,
) -> Judgement:
    """Apply the rule.

    The difference of the primary score is a paired bootstrap over groups, see `paired_difference`:
    the challenger wins if the interval's lower end is above 0; it ties if the interval includes 0
    (or a single group gives none) and the difference is not below the margin; else it loses.

    Parameters
    ----------
    challenger, champion
        Counts of the same images, at least one; `champion` is None where there is none.
    more_data
        Whether the challenger was trained on more images than the champion; None where unknown.
    """
    warnings = _warnings(challenger, rule)
    checks = _floors(challenger, rule)
    if not any(count.objects.tp + count.objects.fn for count in challenger):
        reason = "No test image shows a granule: whether the challenger finds any is unknown."
        return Judgement(False, "unknown", [reason], warnings, checks)
    if champion is None:
        failed = [check.said for check in checks if check.passed is False]
        reasons = failed or ["There is no champion, and the challenger is above the floors."]
        return Judgement(not failed, "first", reasons, warnings, checks)
    differences = paired_difference(
        [challenger], [champion], names=(PRIMARY, *OTHERS), resamples=resamples, seed=seed
    )
    verdict = primary_verdict(differences[PRIMARY], margin=rule.margins.object_f1)
    takes, why = _takes(verdict, differences[PRIMARY], rule, more_data)
    values = point_scores(challenger), point_scores(champion)
    said = [_primary_in_words(values, differences[PRIMARY], verdict), *([why] if why else [])]
    checks += [
        Check(
            "primary",
            PRIMARY,
            values[0][PRIMARY],
            values[1][PRIMARY],
            differences[PRIMARY],
            rule.margins.object_f1,
            takes,
            " ".join(said),
        ),
        *(_margin(score, values, differences[score], challenger, rule) for score in OTHERS),
    ]
    failed = [c.said for c in checks if c.passed is False and c.kind != "primary"]
    return Judgement(takes and not failed, verdict, said + failed, warnings, checks)


def primary_verdict(difference: Interval, *, margin: float) -> Literal["win", "tie", "loss"]:
    """Win, tie or loss by the difference of the primary score and its interval."""
    value, low, high = difference["value"], difference["low"], difference["high"]
    assert value is not None  # the primary score is always defined
    if low is not None and low > 0:
        return "win"
    if value < -margin or (high is not None and high < 0):
        return "loss"
    return "tie"


def _takes(
    verdict: str, difference: Interval, rule: Promote, more_data: bool | None
) -> tuple[bool, str]:
    """Whether the primary score lets the challenger in, and how a tie was decided."""
    if verdict != "tie":
        return verdict == "win", ""
    if rule.on_tie == "keep":
        return False, "A tie goes to the champion (on_tie: keep)."
    if (difference["value"] or 0.0) < 0:
        return False, f"A tie is for a challenger that is not lower (on_tie: {rule.on_tie})."
    if rule.on_tie == "promote":
        return True, "A tie goes to a challenger that is not lower (on_tie: promote)."
    if more_data:
        return True, "A tie goes to the model trained on more images (on_tie: more_data)."
    known = "the challenger was not trained on more images"
    if more_data is None:
        known = "a bundle does not say how many images it was trained on"
    return False, f"A tie goes to the champion: {known} (on_tie: more_data)."


def _warnings(counts: Counts, rule: Promote) -> list[str]:
    groups = len({count.group for count in counts})
    warnings = []
    if groups == 1:
        warnings.append(
            "All test images are of one group: there is no interval, and nothing says that "
            "another group would show the same."
        )
    elif groups < rule.min_groups:
        warnings.append(
            f"The test images are of {groups} groups, fewer than {rule.min_groups}: too few to "
            f"judge by. Of two equal models one looks better in all {groups} once in "
            f"{2**groups} times."
        )
    if not any(count.is_empty for count in counts):
        warnings.append(
            "No test image is without granules: false granules in empty controls were not checked."
        )
    return warnings


def _floors(counts: Counts, rule: Promote) -> list[Check]:
    values = point_scores(counts)
    checks = []
    for score, limit in (*rule.floors, ("false_per_empty", rule.most_false_per_empty)):
        value, lower = values[score], score in LOWER_IS_BETTER
        passed = None if value is None else (value <= limit if lower else value >= limit)
        said = f"{_title(score)} {_text(value)}, {'at most' if lower else 'at least'} {limit:g}"
        said = f"{said} is asked for." if passed is not None else f"{_title(score)}: unknown."
        checks.append(Check("floor", score, value, None, None, limit, passed, said))
    return checks


def _primary_in_words(
    values: tuple[dict[str, float | None], dict[str, float | None]],
    difference: Interval,
    verdict: str,
) -> str:
    mine, theirs = (_text(side[PRIMARY]) for side in values)
    verb = {"win": "wins", "tie": "ties", "loss": "loses"}[verdict]
    return (
        f"The challenger {verb}: {TITLES[PRIMARY]} {mine} against {theirs}, {signed(difference)}."
    )


def _margin(
    score: str,
    values: tuple[dict[str, float | None], dict[str, float | None]],
    difference: Interval,
    counts: Counts,
    rule: Promote,
) -> Check:
    mine, theirs = (side[score] for side in values)
    limit = float(getattr(rule.margins, score))
    if score == "count_error":
        # A share of the granules there are, so that it fits sparse images and crowded ones.
        granules = [count.objects.tp + count.objects.fn for count in counts]
        limit = round(limit * float(np.mean(granules)), 6)
    value = difference["value"]
    if value is None:
        said = f"{_title(score)}: unknown."
        return Check("margin", score, mine, theirs, difference, limit, None, said)
    passed = (value if score in LOWER_IS_BETTER else -value) <= limit
    said = (
        f"{_title(score)} {_text(mine)} against {_text(theirs)}, {signed(difference)}: "
        f"{'within the margin of' if passed else 'worse by more than the margin of'} {limit:.3g}."
    )
    return Check("margin", score, mine, theirs, difference, limit, passed, said)


def signed(difference: Interval) -> str:
    """`+0.028 [-0.010, +0.060]`; without brackets where there is no interval."""
    if difference["value"] is None:
        return "unknown"
    text = f"{difference['value']:+.3f}"
    if difference["low"] is not None and difference["high"] is not None:
        text += f" [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    return text


def _title(score: str) -> str:
    title = TITLES[score]
    return title[0].upper() + title[1:]


def _text(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
