"""Writes what an evaluation found: metrics, tables, pictures, and a page in Markdown and HTML."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2
import mistune
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.config import Params
from sgseg.evaluation.cross_validation import DataSet, Evaluation
from sgseg.evaluation.metrics import metrics_tree
from sgseg.evaluation.pictures import Case, save_curve, save_gallery
from sgseg.evaluation.summary import ImageCounts, operating_points
from sgseg.evaluation.table import COLUMNS, HEADLINE, score_rows
from sgseg.inference.segment import to_labels

Maps = Callable[[str], NDArray[np.float32]]
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;display:block;overflow-x:auto;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:right}
td{white-space:nowrap}
th:first-child,td:first-child{text-align:left}img{max-width:100%}code{background:#f3f3f3}
"""


def write_report(
    folder: Path,
    evaluation: Evaluation,
    params: Params,
    data: DataSet,
    maps: Maps,
    *,
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
    copies, findings
        The content of copies.json (`ingest`) and findings.json (`validate`).
    data_digest, commit
        Which data and which code.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metrics = metrics_tree(evaluation, params, copies.get("ceiling"))
    _write(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    _image_table(evaluation).to_csv(folder / "images.csv", index=False)
    pictures = _write_galleries(folder, evaluation, params, data, maps)
    pictures += _write_curves(folder, evaluation)
    text = _render(
        _context(evaluation, params, metrics, copies, findings)
        | {"pictures": pictures, "data_digest": data_digest, "commit": commit}
    )
    _write(folder / "report.md", text)
    page = mistune.create_markdown(plugins=["table"])(text)
    title = html.escape(f"sgseg: {params.data.source}")
    _write(
        folder / "report.html",
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style>{page}</html>\n",
    )
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
            }
            for (method, part), scored in parts.items()
            for c, fold in zip(scored.counts, scored.folds, strict=True)
        ]
    )


def _write_galleries(
    folder: Path, evaluation: Evaluation, params: Params, data: DataSet, maps: Maps
) -> list[dict[str, str]]:
    pictures = []
    for part, scored in (("out of fold", evaluation.out_of_fold), ("test", evaluation.test)):
        for kind, chosen in _best_median_worst(scored.counts, params.evaluate.gallery).items():
            cases = []
            for c in chosen:
                fold = data.fold_of.get(c.image_id)
                point = evaluation.point if fold is None else evaluation.points[fold]
                found = to_labels(
                    maps(c.image_id), threshold=point.threshold, min_area_px=point.min_area_px
                )
                title = f"{c.image_id}: F1 {c.objects.f1:.2f}, IoU {c.pixels.iou:.2f}"
                cases.append(Case(title, data.pixels(c.image_id), data.truth(c.image_id), found))
            name = f"gallery_{part.replace(' ', '_')}_{kind}.png"
            save_gallery(folder / name, cases)
            pictures.append({"title": f"{part.capitalize()}: {kind}", "file": name})
    return pictures


def _best_median_worst(counts: Sequence[ImageCounts], number: int) -> dict[str, list[ImageCounts]]:
    """Images by object F1, then IoU; none is shown twice.

    Empty images in which nothing was found are perfect, but there is nothing to see.
    """
    shown = [c for c in counts if not c.is_empty or c.objects.fp] or counts
    ranked = sorted(shown, key=lambda c: (c.objects.f1, c.pixels.iou, c.image_id), reverse=True)
    if not ranked:
        return {}
    number = min(number, max(1, len(ranked) // 3))
    middle = max(number, len(ranked) // 2 - number // 2)
    parts = {
        "best": ranked[:number],
        "median": ranked[middle : min(middle + number, len(ranked) - number)],
        "worst": ranked[max(number, len(ranked) - number) :][::-1],
    }
    return {kind: images for kind, images in parts.items() if images}


def _write_curves(folder: Path, evaluation: Evaluation) -> list[dict[str, str]]:
    roc, precision_recall = {}, {}
    files = {"out of fold": "curves.csv", "test": "curves_test.csv"}
    for part, scored in (("out of fold", evaluation.out_of_fold), ("test", evaluation.test)):
        histograms = [c.histogram for c in scored.counts if c.histogram is not None]
        if not histograms:
            continue
        tp, fp = operating_points(np.sum(histograms, axis=0).astype(np.float64))
        if not (tp[-1] and fp[-1]):
            continue
        recall, fallout = tp / tp[-1], fp / fp[-1]
        precision = np.where(tp + fp > 0, tp / np.maximum(tp + fp, 1), 1.0)
        roc[part], precision_recall[part] = (fallout, recall), (recall, precision)
        table = {"false_positive_rate": fallout, "recall": recall, "precision": precision}
        # DVC draws these, each file as one line; points that add nothing would only slow it down.
        pd.DataFrame(table).round(6).drop_duplicates().to_csv(folder / files[part], index=False)
    if not roc:
        return []
    save_curve(folder / "roc.png", roc, x="false positive rate", y="recall", title="ROC, pixels")
    save_curve(
        folder / "precision_recall.png",
        precision_recall,
        x="recall",
        y="precision",
        title="Precision over recall, pixels",
    )
    return [
        {"title": "Precision over recall of pixels", "file": "precision_recall.png"},
        {"title": "ROC of pixels", "file": "roc.png"},
    ]


def _context(
    evaluation: Evaluation,
    params: Params,
    metrics: dict[str, Any],
    copies: dict[str, Any],
    findings: dict[str, Any],
) -> dict[str, Any]:
    tuned = metrics.get("baseline_tuned_on_itself", {})
    set_aside = set(findings.get("quarantined", []))
    recipe = params.model_dump(by_alias=True, include={"preprocess", "network", "train"})
    return {
        "source": params.data.source,
        "n_development": len(evaluation.out_of_fold.counts),
        "n_groups": len({c.group for c in evaluation.out_of_fold.counts}),
        "n_test": len(evaluation.test.counts),
        "quarantined": [f for f in findings.get("findings", []) if f["image_id"] in set_aside],
        "columns": COLUMNS,
        "rows": score_rows(metrics, HEADLINE),
        "object_iou": params.evaluate.object_iou,
        "resamples": params.evaluate.bootstrap,
        "tuned_f1": tuned.get("object_f1", {}).get("value"),
        "tuned_iou": tuned.get("foreground_iou", {}).get("value"),
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


def _render(context: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sgseg.evaluation"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # it is Markdown: names go through the two filters
        trim_blocks=False,
    )
    environment.filters |= {"code": _as_code, "plain": _as_plain}
    return environment.get_template("report.md.jinja").render(context)


def _as_code(text: str) -> str:
    """A name as Markdown code: shown letter by letter, whatever it holds."""
    text = " ".join(str(text).split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _as_plain(text: str) -> str:
    """A text in Markdown without any mark-up of its own."""
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", " ".join(str(text).split()))
