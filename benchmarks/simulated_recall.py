"""How bright a simulated granule must be for the model to find it: `dvc repro`, then this.

Each image is predicted by the member that has not seen it, at the model's own threshold. A granule
counts as found where a predicted one overlaps it with the IoU in use. `contrast_to_noise` is that
of the truth: how many standard deviations of the photon and read noise its brightest pixel adds.
What a granule can be taken for - nucleoli, filaments, specks - is no part of that noise.
"""

# ruff: noqa: T201 - what it finds is printed

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sgseg.config import load_params
from sgseg.errors import InputError, Problem, exit_with_message
from sgseg.evaluation.data import DataSet
from sgseg.inference.segment import to_labels
from sgseg.inference.segmenter import Segmenter
from sgseg.scores import pairwise_iou

STEPS = (0, 3, 8, 12, 16, 24, 40, np.inf)


def main() -> None:
    params = load_params(tuned="reports/tuning/recipe.yaml")
    roles = pd.read_csv("data/split/roles.csv", dtype=str, keep_default_na=False)
    data = DataSet(Path("data/dataset"), roles, params.split.folds)
    if params.data.source != "simulated":
        what = f"is {params.data.source}"
        raise InputError(Problem("data.source", what, "simulated, whose truth is known"))
    truth = pd.read_csv("data/raw/simulated/truth.csv")
    truth["image_id"] = truth["image"].str.removesuffix(".tif")
    truth = truth.set_index(["image_id", "label"])
    segmenter = Segmenter.load("models/evaluated", members="all")
    found, false_in_empty = [], []
    for image_id, fold in data.fold_of.items():
        probability = segmenter.probability(
            data.shown(image_id),
            pixel_size_um=data.pixel_size_um(image_id),
            members=[params.split.folds.index(fold)],
        )
        predicted = to_labels(
            probability,
            threshold=segmenter.spec.threshold,
            min_area_px=segmenter.spec.min_area_px,
        )
        labels = data.truth(image_id)
        names = np.unique(labels[labels > 0])
        if not len(names):
            false_in_empty.append(int(predicted.max()))
            continue
        best = pairwise_iou(labels, predicted).max(axis=1, initial=0)
        contrast = truth.loc[[(image_id, name) for name in names], "contrast_to_noise"]
        found.append(
            pd.DataFrame(
                {"contrast": contrast.to_numpy(), "found": best >= params.evaluate.object_iou}
            )
        )
    table = pd.concat(found)
    by_contrast = table.groupby(pd.cut(table["contrast"], STEPS, right=False), observed=True)
    print(by_contrast["found"].agg(["size", "mean"]).round(3).to_string())
    for least in STEPS[1:-1]:
        part = table[table["contrast"] >= least]
        print(f"at least {least:>2}: {part['found'].mean():.3f} of {len(part)} found")
    print(f"false granules in {len(false_in_empty)} empty fields: {sum(false_in_empty)}")


if __name__ == "__main__":
    exit_with_message(main)
