"""What it brings to average over the members of an ensemble and over orientations, and its cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sgseg.evaluation.results import Evaluation, NetworkScores, Scored
from sgseg.evaluation.summary import ImageCounts, paired_difference, point_scores

AVERAGED = {"object_f1": "object F1", "foreground_iou": "foreground IoU"}
"""The scores compared, and how a reader knows them."""
GAINS = {
    "orientations_out_of_fold": "8 orientations instead of 1, one network, out of fold",
    "orientations_test": "8 orientations instead of 1, one network, test",
    "members_test": "all networks instead of one, orientations in use, test",
    "both_test": "all networks and 8 orientations instead of one and 1, test",
}


def averaging_scores(evaluation: Evaluation, *, resamples: int, seed: int) -> dict[str, Any]:
    """The section `averaging` of metrics.json, flat: `<members>_<orientations>_<part>_<score>`.

    Returns
    -------
    `one_8_test_object_f1` is the mean over the members, each alone, with their sample standard
    deviation; `one_8_out_of_fold_object_f1` that of each image's one network; `all_8_...` that of
    the ensemble. `gain_<of>_<part>_<score>` are differences with a 95 % interval over groups:
    the same images on both sides, so that what is hard about them cancels. Gains in members are at
    the orientations in use.
    """
    tree: dict[str, Any] = {}
    for n, networks in evaluation.networks.items():
        tree |= _named(f"one_{n}_out_of_fold", _values([networks.out_of_fold]))
        tree |= _named(f"one_{n}_test", _values(list(networks.test_members.values())))
        tree |= _named(f"all_{n}_test", _values([networks.test]))
    for name, (better, base) in _comparisons(evaluation).items():
        gains = paired_difference(
            [scored.counts for scored in better],
            [scored.counts for scored in base],
            names=AVERAGED,
            resamples=resamples,
            seed=seed,
        )
        tree |= _named(f"gain_{name}", gains)
    return tree


def _comparisons(evaluation: Evaluation) -> dict[str, tuple[list[Scored], list[Scored]]]:
    def alone(networks: NetworkScores) -> list[Scored]:
        return list(networks.test_members.values())

    one, eight, used = evaluation.networks[1], evaluation.networks[8], evaluation.in_use
    return {
        "orientations_out_of_fold": ([eight.out_of_fold], [one.out_of_fold]),
        "orientations_test": (alone(eight), alone(one)),
        "members_test": ([used.test], alone(used)),
        "both_test": ([eight.test], alone(one)),
    }


def _named(prefix: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in scores.items()}


def _values(methods: Sequence[Scored]) -> dict[str, dict[str, float]]:
    """Mean of each score over methods, with its standard deviation where there are several."""
    if not all(scored.counts for scored in methods):
        return {}
    each = [point_scores(_without_histograms(scored)) for scored in methods]
    result = {}
    for name in AVERAGED:
        values = [scores[name] for scores in each]
        defined = [value for value in values if value is not None]
        result[name] = {"value": round(statistics.fmean(defined), 6)}
        if len(defined) > 1:
            result[name]["std"] = round(statistics.stdev(defined), 6)
    return result


def _without_histograms(scored: Scored) -> list[ImageCounts]:
    """The counts without what only curves need, which is most of the work."""
    return [replace(c, histogram=None) for c in scored.counts]
