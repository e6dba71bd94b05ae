"""Writes what an evaluation found: metrics, tables, pictures, and a page in Markdown and HTML."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from sgseg.config import Params
from sgseg.evaluation.averaging import AVERAGED, GAINS
from sgseg.evaluation.data import DataSet
from sgseg.evaluation.illustrations import (
    Maps,
    write_curves,
    write_disagreement,
    write_galleries,
)
from sgseg.evaluation.metrics import metrics_tree
from sgseg.evaluation.pages import render, to_html
from sgseg.evaluation.results import Evaluation
from sgseg.evaluation.table import (
    AVERAGING_COLUMNS,
    COLUMNS,
    HEADLINE,
    averaging_rows,
    gain_rows,
    measured,
    score_rows,
)
from sgseg.evaluation.timing import Timing


def write_report(
    folder: Path,
    evaluation: Evaluation,
    params: Params,
    data: DataSet,
    maps: Maps,
    *,
    timing: Timing,
    copies: dict[str, Any],
    findings: dict[str, Any],
    data_digest: str,
    commit: str,
) -> dict[str, Any]:
    """Write everything into `folder` and return the tree of metrics.

    Parameters
    ----------
    maps
        Probability map of an image, as `evaluate` returns it.
    timing
        What prediction costs. In a file of its own, timing.json: metrics.json is the same whenever
        the same networks are evaluated.
    copies, findings
        The content of copies.json (`ingest`) and findings.json (`validate`).
    data_digest, commit
        Which data and which code.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metrics = metrics_tree(evaluation, params, copies.get("ceiling"))
    _write(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    _write(folder / "timing.json", json.dumps(asdict(timing), indent=2) + "\n")
    _image_table(evaluation).to_csv(folder / "images.csv", index=False)
    pictures = write_galleries(folder, evaluation, params, data, maps)
    pictures += write_curves(folder, evaluation)
    pictures += write_disagreement(folder, evaluation.disagreement)
    text = render(
        "report.md.jinja",
        _context(evaluation, params, metrics, copies, findings)
        | _averaging_context(params, metrics, timing)
        | {"pictures": pictures, "data_digest": data_digest, "commit": commit},
    )
    _write(folder / "report.md", text)
    _write(folder / "report.html", to_html(text, title=f"sgseg: {params.data.source}"))
    return metrics


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _image_table(evaluation: Evaluation) -> pd.DataFrame:
    """One row per image and method, with the counts that every score is made of."""
    parts = {
        ("network", "out_of_fold"): evaluation.out_of_fold,
        ("network", "test"): evaluation.test,
        ("baseline", "out_of_fold"): evaluation.baseline_out_of_fold,
        ("baseline", "test"): evaluation.baseline_test,
    }
    uncertainty = {d.image_id: round(d.uncertainty, 6) for d in evaluation.disagreement}
    return pd.DataFrame(
        [
            {
                "image_id": c.image_id,
                "group": c.group,
                "method": method,
                "part": part,
                "fold": fold,
                "foreground_iou": round(c.pixels.iou, 6),
                "pixels_tp": c.pixels.tp,
                "pixels_fp": c.pixels.fp,
                "pixels_fn": c.pixels.fn,
                "object_f1": round(c.objects.f1, 6),
                "objects_tp": c.objects.tp,
                "objects_fp": c.objects.fp,
                "objects_fn": c.objects.fn,
                "uncertainty": uncertainty.get(c.image_id) if method == "network" else None,
            }
            for (method, part), scored in parts.items()
            for c, fold in zip(scored.counts, scored.folds, strict=True)
        ]
    )


def _context(
    evaluation: Evaluation,
    params: Params,
    metrics: dict[str, Any],
    copies: dict[str, Any],
    findings: dict[str, Any],
) -> dict[str, Any]:
    set_aside = set(findings.get("quarantined", []))
    recipe = params.model_dump(by_alias=True, include={"preprocess", "network", "train"})
    return {
        "source": params.data.source,
        "n_development": len(evaluation.out_of_fold.counts),
        "n_groups": len({c.group for c in evaluation.out_of_fold.counts}),
        "n_test": len(evaluation.test.counts),
        "quarantined": [f for f in findings.get("findings", []) if f["image_id"] in set_aside],
        "columns": COLUMNS,
        "rows": measured(score_rows(metrics, HEADLINE)),
        "object_iou": params.evaluate.object_iou,
        "resamples": params.evaluate.bootstrap,
        "flattered": {
            name: {score: metrics[part][score]["value"] for score in AVERAGED}
            for name, part in (
                ("network", "tuned_on_itself"),
                ("baseline", "baseline_tuned_on_itself"),
            )
        },
        "point": evaluation.point,
        "baseline": evaluation.baseline_point,
        "folds": [_fold_row(evaluation, metrics, fold) for fold in sorted(evaluation.points)],
        "copies": copies.get("groups", []),
        "ceiling": copies.get("ceiling"),
        "recipe": {
            section: ", ".join(f"{key} {value}" for key, value in values.items())
            for section, values in recipe.items()
        },
    }


def _averaging_context(params: Params, metrics: dict[str, Any], timing: Timing) -> dict[str, Any]:
    """What averaging costs and gains, and what the members' disagreement is worth."""
    predict = params.predict
    milliseconds = timing.milliseconds_per_megapixel
    return {
        "averaging_columns": AVERAGING_COLUMNS,
        "averaging_rows": averaging_rows(
            metrics, milliseconds, in_use=(predict.members, predict.orientations)
        ),
        "gain_columns": ("gain [95 %]", *AVERAGED.values()),
        "gain_rows": gain_rows(metrics, GAINS),
        "timing": timing,
        "orientations": predict.orientations,
        "uncertainty": metrics.get("uncertainty"),
    }


def _fold_row(evaluation: Evaluation, metrics: dict[str, Any], fold: int) -> dict[str, Any]:
    held_out = metrics["folds"][str(fold)]
    test = metrics.get("test_members", {}).get(str(fold), {})

    def text(scores: dict[str, float], name: str) -> str:
        return f"{scores[name]:.3f}" if name in scores else ""

    return {
        "name": fold,
        "images": len(evaluation.out_of_fold.of_fold(fold)),
        "object_f1": text(held_out, "object_f1"),
        "foreground_iou": text(held_out, "foreground_iou"),
        "test_object_f1": text(test, "object_f1"),
        "test_foreground_iou": text(test, "foreground_iou"),
        "threshold": evaluation.points[fold].threshold,
        "min_area_px": evaluation.points[fold].min_area_px,
    }
