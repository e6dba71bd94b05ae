"""Measure granules, cells and fields of the test images with the model just evaluated."""

from pathlib import Path

import pandas as pd

from sgseg.config import load_params
from sgseg.dataset.manifest import read_manifest
from sgseg.dataset.raw import read_settings
from sgseg.errors import InputError, exit_with_message
from sgseg.inference.predict import Task
from sgseg.inference.segmenter import Segmenter
from sgseg.quantify.field import nuclear_channel
from sgseg.quantify.nuclei import NucleusOptions
from sgseg.quantify.per_cell import PerCellOptions
from sgseg.quantify.run import Plan, quantify_files
from sgseg.quantify.samples import Sample
from sgseg.quantify.settings import Channels, Settings
from sgseg.quantify.sources import of_bundle
from sgseg.quantify.split import SplitOptions
from sgseg.quantify.statistics import StatisticsOptions
from sgseg.tracking import log_quantification, write_quantification

DATASET, ROLES = Path("data/dataset"), Path("data/split/roles.csv")
MODEL, EVALUATION = Path("models/evaluated"), Path("reports/evaluation")
REPORT = Path("reports/quantify")


def main() -> None:
    params = load_params()
    options = params.quantify
    raw = Path("data/raw", params.data.source)
    handed_over = read_settings(raw)
    roles = pd.read_csv(ROLES, dtype=str, keep_default_na=False)
    manifest = read_manifest(DATASET).set_index("image_id")
    rows = manifest.loc[roles.loc[roles["set"] == "test", "image_id"]]
    tasks = [Task(raw / file, str(name)) for name, file in rows["image_file"].items()]
    if not tasks:
        REPORT.mkdir(parents=True, exist_ok=True)
        (REPORT / "README.txt").write_text("There are no test images.\n", encoding="utf-8")
        return
    nuclei = options.nuclei_channel
    if nuclei == "auto":
        nuclei = nuclear_channel(tasks[0].path)
    unit = options.unit
    if unit == "auto":
        unit = "image" if nuclei is None else "cells"
    samples = {
        str(name): Sample(
            row["condition"] or None,
            row["replicate"] or None,
            row["group"] or None,
            None if pd.isna(row["pixel_size_um"]) else float(row["pixel_size_um"]),
        )
        for name, row in rows.iterrows()
    }
    plan = Plan(
        of_bundle(Segmenter.load(MODEL), MODEL, version=MODEL.as_posix()),
        Channels(
            handed_over.channel,
            nuclei,
            options.cell_channel,
            options.marker_channel,
            handed_over.projection,
            second_channel=params.ingest.second_channel,
        ),
        Settings(
            unit,
            split=SplitOptions(options.split),
            nuclei=NucleusOptions(diameter_um=options.nucleus_diameter_um),
            per_cell=PerCellOptions(options.min_positive, options.count_border_cells),
        ),
        samples=samples,
        statistics=StatisticsOptions(reference=options.reference, design=options.design),
        title="Stress granules in the test images",
    )
    problems = quantify_files(tasks, REPORT, plan)
    if problems:
        raise InputError(*problems, title=f"{len(problems)} of {len(tasks)} fields failed:")
    write_quantification(REPORT, EVALUATION)
    log_quantification(REPORT)


if __name__ == "__main__":
    exit_with_message(main)
