"""Score the trained folds, choose threshold and minimum area, write the model and the report."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sgseg.config import load_params
from sgseg.errors import exit_with_message
from sgseg.evaluation.card import write_card
from sgseg.evaluation.cross_validation import bundle_spec, evaluate
from sgseg.evaluation.data import DataSet
from sgseg.evaluation.operating import OperatingPoint
from sgseg.evaluation.report import write_report
from sgseg.evaluation.timing import measure
from sgseg.images.write import replacing
from sgseg.inference.bundle import (
    NETWORKS,
    SPEC,
    BundleSpec,
    margin_px,
    spec_preprocessing,
    write_spec,
)
from sgseg.inference.segmenter import Segmenter
from sgseg.tracking import dvc_md5, git_state, log_evaluation, write_evaluation
from sgseg.training.merge import merge_onnx
from sgseg.training.quantise import few, quantise

DATASET, VALIDATED = Path("data/dataset"), Path("data/validated")
ROLES = Path("data/split/roles.csv")
TUNED = Path("reports/tuning/recipe.yaml")
MODEL, REPORT = Path("models/evaluated"), Path("reports/evaluation")


def main() -> None:
    # Until the threshold is known, the model is no model that anybody may use.
    with tempfile.TemporaryDirectory() as unfinished:
        score(Path(unfinished))


def score(unfinished: Path) -> None:
    params = load_params(tuned=TUNED)
    folds = params.split.folds
    sources = [Path(f"models/folds/{fold}") for fold in folds]
    members = [f"fold_{fold}" for fold in folds]
    roles = pd.read_csv(ROLES, dtype=str, keep_default_na=False)
    data = DataSet(DATASET, roles, folds)
    margin = margin_px(params.network.depth, params.network.normalisation)
    spec = bundle_spec(params, members, OperatingPoint(0.5, 1), margin)
    networks = [source / "model.onnx" for source in sources]
    with tempfile.TemporaryDirectory() as scratch:
        if params.predict.precision == "int8":
            networks = in_8_bits(networks, spec, roles, data, Path(scratch))
        merge_onnx(networks, members, unfinished / NETWORKS)
    write_spec(unfinished, spec)

    digest, git = dvc_md5(DATASET), git_state()
    commit = "" if git is None else git.commit + ("-dirty" if git.dirty else "")
    segmenter = Segmenter.load(unfinished, members="all")
    with tempfile.TemporaryDirectory() as scratch:
        evaluation, maps = evaluate(params, data, segmenter, Path(scratch))
        metrics = write_report(
            REPORT,
            evaluation,
            params,
            data,
            maps,
            timing=measure(segmenter, data),
            copies=json.loads((DATASET / "copies.json").read_text(encoding="utf-8")),
            findings=json.loads((VALIDATED / "findings.json").read_text(encoding="utf-8")),
            data_digest=digest,
            commit=commit,
        )
    facts: dict[str, Any] = {"data": digest, "commit": commit, "scores": metrics}
    if segmenter.channels > 1:
        facts["second_channel"] = params.ingest.second_channel
    if params.predict.precision != "float32":
        facts["precision"] = params.predict.precision
    others = {n: at.point for n, at in evaluation.networks.items() if n != evaluation.orientations}
    spec = bundle_spec(
        params,
        members,
        evaluation.point,
        margin,
        facts,
        other_points=others,
        data=data,
    )
    (MODEL / SPEC).unlink(missing_ok=True)  # never new networks under the old threshold
    with replacing(MODEL / NETWORKS) as partial:
        shutil.copyfile(unfinished / NETWORKS, partial)
    write_spec(MODEL, spec)
    write_evaluation(REPORT, sources)
    write_card(REPORT / "card", model=MODEL, evaluation=REPORT, dataset=DATASET)
    log_evaluation(REPORT, MODEL)


def in_8_bits(
    networks: Sequence[Path], spec: BundleSpec, roles: pd.DataFrame, data: DataSet, scratch: Path
) -> list[Path]:
    """Each fold's network with 8-bit arithmetic, its ranges found on images it was trained on."""
    prepare = spec_preprocessing(spec.preprocessing).prepare
    written = []
    for member, network in zip(spec.members, networks, strict=True):
        role = roles[f"role_{member.removeprefix('fold_')}"]
        names = few(roles.loc[role == "train", "image_id"].tolist())
        images = [prepare(data.shown(name), data.pixel_size_um(name)) for name in names]
        written.append(scratch / f"{member}.onnx")
        quantise(network, written[-1], images)
    return written


if __name__ == "__main__":
    exit_with_message(main)
