"""metrics.json: every number of an evaluation, rounded, in one tree. DVC and MLflow read it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sgseg.config import Params
from sgseg.evaluation.averaging import averaging_scores
from sgseg.evaluation.disagreement import summarise_disagreement
from sgseg.evaluation.results import Evaluation, Scored
from sgseg.evaluation.summary import point_scores, summarise


def metrics_tree(
    evaluation: Evaluation, params: Params, ceiling: dict[str, Any] | None
) -> dict[str, Any]:
    """All scores of an evaluation.

    Returns
    -------
    `cv` has mean and standard deviation over folds, `folds` the scores of each, `test_members`
    those of each fold's network on the test set; `operating_point` and `baseline_point` are
    settings; `averaging` is that of `averaging_scores`, `uncertainty` that of
    `summarise_disagreement`; the others have a value with a 95 % interval over groups.
    `tuned_on_itself` and `baseline_tuned_on_itself` are scored on the images that their settings
    were chosen on. Numbers that are not defined are left out.
    """
    out_of_fold = evaluation.out_of_fold
    folds = {fold: point_scores(out_of_fold.of_fold(fold)) for fold in sorted(evaluation.points)}

    resamples, seed = params.evaluate.bootstrap, params.evaluate.seed

    def intervals(scored: Scored) -> dict[str, Any]:
        return summarise(scored.counts, resamples=resamples, seed=seed)

    tree = {
        "cv": _mean_and_deviation(list(folds.values())),
        "folds": {str(fold): scores for fold, scores in folds.items()},
        "out_of_fold": intervals(out_of_fold),
        "tuned_on_itself": intervals(evaluation.in_use.tuned_on_itself),
        "test": intervals(evaluation.test),
        "test_members": {
            str(fold): point_scores(scored.counts)
            for fold, scored in evaluation.in_use.test_members.items()
            if scored.counts
        },
        "baseline_out_of_fold": intervals(evaluation.baseline_out_of_fold),
        "baseline_tuned_on_itself": intervals(evaluation.baseline_tuned_on_itself),
        "baseline_test": intervals(evaluation.baseline_test),
        "label_ceiling": ceiling,
        "averaging": averaging_scores(evaluation, resamples=resamples, seed=seed),
        "uncertainty": summarise_disagreement(
            evaluation.disagreement, resamples=resamples, seed=seed
        ),
        "operating_point": asdict(evaluation.point),
        "baseline_point": asdict(evaluation.baseline_point),
    }
    return _without_none(tree)


def _mean_and_deviation(folds: Sequence[dict[str, float | None]]) -> dict[str, Any]:
    """Mean and sample standard deviation of each score that every fold has."""
    result = {}
    for name in folds[0]:
        values = [scores[name] for scores in folds]
        defined = [value for value in values if value is not None]
        if len(defined) == len(values):
            result[name] = {
                "mean": round(statistics.fmean(defined), 6),
                "std": round(statistics.stdev(defined), 6) if len(defined) > 1 else 0.0,
            }
    return result


def _without_none(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree without the entries that are None, and without the branches that this empties."""
    pruned = {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in tree.items()
    }
    return {key: value for key, value in pruned.items() if value is not None and value != {}}
