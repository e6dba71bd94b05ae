"""What each step of the quantification costs in accuracy, on simulated fields whose truth is known.

    python benchmarks/quantify_accuracy.py [--model models/evaluated]

Granules and cells are each taken from the truth or found, in all combinations, and the numbers per
cell compared with the truth. Granules are found only where a model is given. The seeds differ from
those that the defaults of `NucleusOptions` and `CellOptions` were chosen with (1001 to 1004) and
from that of the data set that models are trained on.
"""

# ruff: noqa: T201 - what it finds is printed

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgseg.config import Params, load_params
from sgseg.dataset.simulate import Field, simulate_field
from sgseg.errors import exit_with_message
from sgseg.inference.segment import to_labels
from sgseg.inference.segmenter import Segmenter
from sgseg.quantify.cells import segment_cells
from sgseg.quantify.grid import at_border
from sgseg.quantify.nuclei import segment_nuclei
from sgseg.quantify.per_cell import measure_cells
from sgseg.quantify.split import split_touching
from sgseg.scores import ObjectCounts, count_objects, pairwise_iou

FIRST_SEED = 9001
SIZE_PX = 512
MATCH = 0.5  # IoU from which a found cell is a true one
Labels = NDArray[np.int32]


@dataclass
class Step:
    """Numbers per cell of one combination, and of the truth in the same cells.

    Two questions: how far the mean over the counted cells is off, of which a part is that other
    cells were counted; and how far the number in one cell is off (`same cells` and after).
    """

    counts: list[NDArray[np.int64]] = field(default_factory=list)
    positive: list[NDArray[np.bool_]] = field(default_factory=list)
    differences: list[NDArray[np.int64]] = field(default_factory=list)
    right: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, cells: Labels, granules: Labels, truth: Field) -> None:
        """One field more."""
        table = measure_cells(cells, granules, truth.image[0])
        counted = table[table["is_counted"]]
        self.counts.append(counted["n_granules"].to_numpy())
        self.positive.append(counted["is_positive"].to_numpy())
        true_count = np.bincount(truth.table["cell"], minlength=int(truth.cells.max()) + 1)
        true_names = np.unique(truth.cells[truth.cells > 0])
        found_names = np.unique(cells[cells > 0])
        rows, columns = np.nonzero(pairwise_iou(truth.cells, cells) > MATCH)
        pairs = pd.Series(true_names[rows], index=found_names[columns])
        both = counted[counted["cell"].isin(pairs.index)].set_index("cell")["n_granules"]
        self.right.append(true_count[pairs[both.index]])
        self.differences.append(both.to_numpy() - self.right[-1])

    def row(self, truth: Step) -> dict[str, float]:
        """Of the printed table."""
        counts, right = np.concatenate(self.counts), np.concatenate(truth.counts)
        positive, is_right = np.concatenate(self.positive), np.concatenate(truth.positive)
        differences, same = np.concatenate(self.differences), np.concatenate(self.right)
        return {
            "cells": len(counts),
            "SGs per cell": counts.mean(),
            "error %": 100 * (counts.mean() / right.mean() - 1),
            "positive": positive.mean(),
            "error": positive.mean() - is_right.mean(),
            "same cells": len(differences),
            "bias %": 100 * differences.mean() / same.mean(),
            "mean |error|": np.abs(differences).mean(),
            "exact": (differences == 0).mean(),
        }


@dataclass
class Segmentation:
    """How well nuclei and cells were found."""

    nuclei: ObjectCounts = field(default_factory=lambda: ObjectCounts(0, 0, 0, 0.0))
    cell_iou: list[float] = field(default_factory=list)
    cell_area: list[float] = field(default_factory=list)

    def add(self, nuclei: Labels, cells: Labels, truth: Field) -> None:
        """One field more; cells cut by the border are left out, their nucleus may be outside."""
        self.nuclei += count_objects(truth.nuclei, nuclei, iou=MATCH)
        names = np.unique(truth.cells[truth.cells > 0])
        whole = ~at_border(truth.cells, int(names[-1]))[names]
        ious = pairwise_iou(truth.cells, cells)[whole]
        self.cell_iou += ious.max(axis=1, initial=0).tolist()
        areas = np.bincount(cells.ravel())[np.unique(cells[cells > 0])]
        true_areas = np.bincount(truth.cells.ravel())[names[whole]]
        self.cell_area += (areas[ious.argmax(axis=1)] / true_areas).tolist()

    def show(self) -> None:
        """Print it."""
        n, iou = self.nuclei, np.array(self.cell_iou)
        print(
            f"nuclei: F1 {n.f1:.3f} at IoU {MATCH} ({n.tp} found, {n.fn} missed, {n.fp} too many), "
            f"mean IoU {n.iou_sum / n.tp:.3f}"
        )
        print(
            f"cells:  mean IoU {iou.mean():.3f}, {(iou > MATCH).mean():.3f} of {len(iou)} above "
            f"{MATCH}; area over true area, median {np.median(self.cell_area):.3f}"
        )


def fields(params: Params, count: int) -> Iterator[Field]:
    """Fields of all conditions in turn, each with a seed of its own."""
    conditions = list(params.simulate.conditions)
    for number in range(count):
        simulate = params.simulate.model_copy(update={"size": SIZE_PX, "seed": FIRST_SEED + number})
        condition = conditions[number % len(conditions)]
        yield simulate_field(simulate, condition=condition, replicate=1 + number % 4, field=1)


def found_granules(segmenter: Segmenter, truth: Field, pixel_size_um: float) -> dict[str, Labels]:
    """Granules by a model, as they are and with touching ones separated."""
    spec = segmenter.spec
    shown = segmenter.shown(np.moveaxis(truth.image, 0, -1))
    probability = segmenter.probability(shown, pixel_size_um=pixel_size_um)
    found = to_labels(probability, threshold=spec.threshold, min_area_px=spec.min_area_px)
    return {"found": found, "found, split": split_touching(found, probability)}


def compare(
    params: Params, count: int, segmenter: Segmenter | None = None
) -> tuple[Segmentation, pd.DataFrame]:
    """How well cells are found in `count` fields, and one row for each combination of sources."""
    size = params.simulate.pixel_size_um
    granule_sources = ("true", "found", "found, split") if segmenter else ("true",)
    steps = {pair: Step() for pair in product(granule_sources, ("true", "found"))}
    segmentation = Segmentation()
    for truth in fields(params, count):
        nuclei = segment_nuclei(truth.image[1], pixel_size_um=size)
        cells = {"true": truth.cells, "found": segment_cells(truth.image[0], nuclei)}
        granules = {"true": truth.granules}
        if segmenter:
            granules |= found_granules(segmenter, truth, size)
        segmentation.add(nuclei, cells["found"], truth)
        for (granule_source, cell_source), step in steps.items():
            step.add(cells[cell_source], granules[granule_source], truth)
    reference = steps["true", "true"]
    rows = {pair: step.row(reference) for pair, step in steps.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.names = ["granules", "cells"]
    return segmentation, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a bundle that finds granules")
    parser.add_argument("--fields", type=int, default=27, help="of 512 x 512 px (default: 27)")
    asked = parser.parse_args()
    segmenter = None if asked.model is None else Segmenter.load(asked.model, members="all")
    segmentation, table = compare(load_params(), asked.fields, segmenter)
    segmentation.show()
    print(table.round(3).to_string())


if __name__ == "__main__":
    exit_with_message(main)
