"""The pictures of a report: images at their best and worst, curves, and where members disagree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sgseg.config import Params
from sgseg.evaluation.data import DataSet
from sgseg.evaluation.disagreement import ImageDisagreement
from sgseg.evaluation.operating import granules
from sgseg.evaluation.pictures import (
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    Case,
    save_curve,
    save_figure,
    save_gallery,
)
from sgseg.evaluation.results import Evaluation
from sgseg.evaluation.summary import ImageCounts, operating_points

Maps = Callable[[str], NDArray[np.float32]]
BIN_EDGES = np.linspace(0, 1, 21)


def write_galleries(
    folder: Path, evaluation: Evaluation, params: Params, data: DataSet, maps: Maps
) -> list[dict[str, str]]:
    pictures = []
    for part, scored in (("out of fold", evaluation.out_of_fold), ("test", evaluation.test)):
        for kind, chosen in best_median_worst(scored.counts, params.evaluate.gallery).items():
            cases = []
            for c in chosen:
                fold = data.fold_of.get(c.image_id)
                point = evaluation.point if fold is None else evaluation.points[fold]
                found = granules(maps(c.image_id), point)
                title = f"{c.image_id}: F1 {c.objects.f1:.2f}, IoU {c.pixels.iou:.2f}"
                cases.append(Case(title, data.pixels(c.image_id), data.truth(c.image_id), found))
            name = f"gallery_{part.replace(' ', '_')}_{kind}.png"
            save_gallery(folder / name, cases)
            pictures.append({"title": f"{part.capitalize()}: {kind}", "file": name})
    return pictures


def best_median_worst(counts: Sequence[ImageCounts], number: int) -> dict[str, list[ImageCounts]]:
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


def write_curves(folder: Path, evaluation: Evaluation) -> list[dict[str, str]]:
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


def write_disagreement(folder: Path, images: Sequence[ImageDisagreement]) -> list[dict[str, str]]:
    """How the members' disagreement is distributed, over granules and over images."""
    if not images:
        return []
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    values = np.concatenate([image.granules for image in images])
    is_right = np.concatenate([image.is_right for image in images])
    parts = {"right": (is_right, TRUE_POSITIVE), "wrong": (~is_right, FALSE_POSITIVE)}
    left.hist(
        [values[where] for where, _ in parts.values()],
        bins=BIN_EDGES,
        stacked=True,
        color=[tuple(part / 255 for part in colour) for _, colour in parts.values()],
        label=[f"{name} ({np.count_nonzero(where)})" for name, (where, _) in parts.items()],
    )
    left.set(xlim=(0, 1), xlabel="uncertainty of a granule", ylabel="granules")
    left.legend(fontsize=8)
    right.plot([i.uncertainty for i in images], [i.iou for i in images], "o", color="0.3")
    right.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="uncertainty of an image", ylabel="its IoU")
    save_figure(folder / "uncertainty.png", figure)
    return [{"title": "Disagreement of the networks, test", "file": "uncertainty.png"}]
