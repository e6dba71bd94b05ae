"""What many simulated fields are worth: a network trained on them, tried on new ones.

    python benchmarks/simulated_fields.py [--fields 240] [--set simulate.distractors=0]
    python benchmarks/simulated_fields.py --set ingest.second_channel=DNA --members 2
    python benchmarks/simulated_fields.py --set 'pretrain.vary.visible_contrast=[4.0]'

Trains the recipe in use on fields of `simulate`, each of a random condition and on a day of its
own, chooses the threshold on others, and counts on yet others. Several members are trained on
fields of their own and averaged, as those of the folds are. With `pretrain.vary.visible_contrast`
they learn to outline fainter granules than those that are counted. A granule is *outlined* where a
predicted one overlaps it at the IoU in use, *apart* where one does after `sgseg quantify` has cut
those that touch, and *touched* where half of its pixels are predicted.
How far it stands out is the `contrast_to_noise` of `sgseg quantify`: mean over surroundings, in
robust standard deviations of these, so that texture and what lies around a granule are part of the
noise. Empty fields are of cells without any granule. A training that was stopped goes on where it
was.
"""

# ruff: noqa: T201 - what it finds is printed

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import yaml
from scipy.stats import chi2

from sgseg.config import Condition, Params, load_params, with_values
from sgseg.dataset.simulate import Field, simulate_field
from sgseg.errors import exit_with_message
from sgseg.experiments.pretrain import pretrain
from sgseg.inference.bundle import BundleSpec
from sgseg.inference.segment import to_labels
from sgseg.inference.segmenter import FloatImage, Network, Segmenter
from sgseg.quantify.intensity import Ring, measure_intensities
from sgseg.quantify.pixels import Pixels
from sgseg.quantify.split import split_touching
from sgseg.scores import pairwise_iou
from sgseg.training.cross_validation import preprocessing_of
from sgseg.training.scoring import predict

THRESHOLDS = tuple(number / 20 for number in range(2, 20))
MIN_AREA_PX = 4  # smaller granules are in no truth
STEPS = (-np.inf, 3, 5, 8, 12, np.inf)
FALSE_PER_EMPTY = 0.1
FOUND = ("outlined", "apart", "touched")
RING = Ring(gap=2.0, width=4.0, min_px=8)
Labels = np.ndarray[Any, Any]
TRAINED, CHOSEN, COUNTED = 7, 101, 105  # seeds of the fields; of a member the next one


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=240, help="that a member is trained on")
    parser.add_argument("--members", type=int, default=1, help="networks that are averaged")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--tried", type=int, default=60, help="to choose on, and to count on")
    parser.add_argument("--empty", type=int, default=60, help="of each of these, without granules")
    parser.add_argument("--set", action="append", default=[], help="key=value of params.yaml")
    parser.add_argument("--work", type=Path, default=Path("checkpoints/simulated_fields"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    params = _params(options)
    segmenter = _segmenter(params, [_trained(params, n, options) for n in range(options.members)])
    point = _choose(*_try(params, segmenter, CHOSEN, options))
    granules, empty = _try(params, segmenter, COUNTED, options)
    found = _summary(granules[granules["threshold"] == point], empty[point], point)
    print(found["table"].round(3).to_string())
    print(json.dumps(found["counts"], indent=2))
    if options.json:
        options.json.write_text(json.dumps(found["counts"], indent=2) + "\n", encoding="utf-8")


def _params(options: argparse.Namespace) -> Params:
    tuned = Path("reports/tuning/recipe.yaml")
    params = load_params(tuned=tuned if tuned.exists() else None)
    given = (pair.partition("=") for pair in options.set)
    own = {
        "pretrain.seed": TRAINED,
        "pretrain.fields": options.fields,
        "pretrain.validation_fields": max(options.fields // 10, 6),
        "pretrain.size": params.simulate.size,
        "pretrain.epochs": options.epochs,
        "pretrain.learning_rate": params.train.learning_rate,
        **{f"pretrain.vary.{name}": [] for name in params.pretrain.vary.model_dump()},
    }
    return with_values(params, own | {key: yaml.safe_load(value) for key, _, value in given})


def _trained(params: Params, member: int, options: argparse.Namespace) -> keras.Model:
    seed = params.pretrain.seed + member
    own = with_values(params, {"pretrain.seed": seed})
    folder = options.work / str(member)
    return pretrain(own, folder / "made", checkpoints=folder).model


def _segmenter(params: Params, models: Sequence[keras.Model]) -> Segmenter:
    spec = BundleSpec(
        members=[str(number) for number in range(len(models))],
        preprocessing={},
        threshold=0.5,
        min_area_px=MIN_AREA_PX,
        margin_px=None,
        orientations=params.predict.orientations,
    )
    networks: list[Network] = [partial(predict, model) for model in models]
    channels = models[0].input_shape[-1]
    return Segmenter(spec, networks, preprocessing_of(params), channels=channels)


def _fields(params: Params, seed: int, n: int, *, empty: bool) -> Iterator[Field]:
    """New fields, each on a day of its own."""
    simulate = params.simulate.model_copy(update={"seed": seed})
    if empty:
        none = Condition(positive_cells=0.0, granules_per_cell=1.0)
        simulate = simulate.model_copy(update={"conditions": {"empty": none}})
    rng = np.random.default_rng(seed)
    for number in range(1, n + 1):
        condition = str(rng.choice(list(simulate.conditions)))
        yield simulate_field(simulate, condition=condition, replicate=number, field=1)


def _try(
    params: Params, segmenter: Segmenter, seed: int, options: argparse.Namespace
) -> tuple[pd.DataFrame, dict[float, list[int]]]:
    """Each granule at each threshold, and how many are found in each empty field."""
    size, iou = params.simulate.pixel_size_um, params.evaluate.object_iou
    granules = []
    for field in _fields(params, seed, options.tried, empty=False):
        probability = segmenter.probability(_shown(segmenter, field), pixel_size_um=size)
        granules.append(_granules(field, probability, iou))
    false: dict[float, list[int]] = {threshold: [] for threshold in THRESHOLDS}
    for field in _fields(params, seed, options.empty, empty=True):
        probability = segmenter.probability(_shown(segmenter, field), pixel_size_um=size)
        for threshold, counts in false.items():
            counts.append(int(_labels(probability, threshold).max()))
    return pd.concat(granules), false


def _shown(segmenter: Segmenter, field: Field) -> np.ndarray[Any, Any]:
    """The field as the network is shown it: the marker, or with the nuclei beside it."""
    return segmenter.shown(np.moveaxis(field.image, 0, -1))


def _labels(probability: FloatImage, threshold: float) -> np.ndarray[Any, Any]:
    return to_labels(probability, threshold=threshold, min_area_px=MIN_AREA_PX)


def _granules(field: Field, probability: FloatImage, iou: float) -> pd.DataFrame:
    """What became of each granule of a field, at each threshold."""
    truth = field.granules
    pixels = Pixels.of(truth)
    if not pixels.n:
        return pd.DataFrame(columns=["threshold", "contrast", *FOUND])
    measured = measure_intensities(
        pixels,
        field.image[0],
        ring=RING,
        cell=field.table["cell"].to_numpy(),
        cells=field.cells,
        nuclei=field.nuclei,
        outside=0.0,
    )
    found = []
    for threshold in THRESHOLDS:
        predicted = _labels(probability, threshold)
        covered = pixels.mean(pixels.at((predicted > 0).astype(float)))
        found.append(
            pd.DataFrame(
                {
                    "threshold": threshold,
                    "contrast": measured.contrast_to_noise,
                    "outlined": _outlined(truth, predicted, iou),
                    "apart": _outlined(truth, split_touching(predicted), iou),
                    "touched": covered >= 0.5,
                }
            )
        )
    return pd.concat(found)


def _outlined(truth: Labels, predicted: Labels, iou: float) -> np.ndarray[Any, Any]:
    """Which granules of the truth a predicted one overlaps far enough, (n,)."""
    return np.asarray(pairwise_iou(truth, predicted).max(axis=1, initial=0) >= iou)


def _choose(granules: pd.DataFrame, empty: dict[float, list[int]]) -> float:
    """Of the thresholds with few false granules the one that outlines most; else the cleanest.

    Few also on other fields: the 95 % upper limit of a Poisson mean (Garwood 1936,
    doi:10.1093/biomet/28.3-4.437) of as many as were counted.
    """
    most = {t: chi2.ppf(0.95, 2 * (sum(empty[t]) + 1)) / 2 for t in THRESHOLDS}
    clean = [t for t in THRESHOLDS if most[t] <= FALSE_PER_EMPTY * len(empty[t])]
    outlined = granules.groupby("threshold")["outlined"].mean()
    return max(clean or THRESHOLDS[-1:], key=lambda threshold: float(outlined.get(threshold, 0.0)))


def _summary(granules: pd.DataFrame, empty: list[int], point: float) -> dict[str, Any]:
    by_contrast = granules.groupby(pd.cut(granules["contrast"], STEPS, right=False))
    table = by_contrast[list(FOUND)].mean()
    table.insert(0, "granules", by_contrast.size())
    visible = granules[granules["contrast"] >= 3]
    return {
        "table": table,
        "counts": {
            "threshold": point,
            "granules from 3 standard deviations on": len(visible),
            **{name: round(float(visible[name].mean()), 3) for name in FOUND},
            "empty fields": len(empty),
            "false granules in them": sum(empty),
        },
    }


if __name__ == "__main__":
    exit_with_message(main)
