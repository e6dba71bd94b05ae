"""What `ingest`, `validate` and `split` will say of a data set, found out in a temporary folder."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sgseg.config import Params
from sgseg.dataset.findings import as_problem
from sgseg.dataset.ingest import ingest
from sgseg.dataset.manifest import read_manifest
from sgseg.dataset.merge import Merge, lay_out, soft_link
from sgseg.dataset.registry import read_registry, sides_of_groups
from sgseg.dataset.split import split
from sgseg.dataset.validate import validate
from sgseg.errors import InputError, Problem
from sgseg.images.masks import read_mask


@dataclass(frozen=True)
class Trial:
    """The data set after the merge.

    Parameters
    ----------
    manifest : as `ingest` writes it
    pairs : images that show the same, as in its copies.json
    findings : what is wrong with images, by `validate`
    sides : test or development, by image; empty if the data set is too small to be split
    assigned : what splits/<source>.csv will hold, see `registry`; as it is now if it is too small
    granules_before : of each image whose mask is replaced
    shortage : why it cannot be split
    """

    manifest: pd.DataFrame
    pairs: tuple[Mapping[str, Any], ...]
    findings: tuple[Problem, ...]
    sides: Mapping[str, str]
    assigned: pd.DataFrame
    granules_before: Mapping[str, int]
    shortage: tuple[Problem, ...] = ()


def try_out(merged: Merge, *, params: Params, registry: Path) -> Trial:
    """Run the stages up to `split` on a data set as it will be.

    Nothing is written but a temporary folder; images are not copied into it.

    Parameters
    ----------
    merged : see `merge`
    params : of the project
    registry : splits/<source>.csv, which is only read

    Raises
    ------
    InputError
        Images fail, and the line would stop; a group would be on both sides; the registry is
        damaged; or an image that has a side would change it. All are named.
    """
    before = read_registry(registry)
    name = merged.target.name
    with tempfile.TemporaryDirectory(prefix="sgseg-") as temporary, _quiet():
        root = Path(temporary)
        raw, dataset, validated = root / "raw" / name, root / "dataset", root / "validated"
        raw.mkdir(parents=True)
        lay_out(merged, raw, keep=soft_link, bring=soft_link)
        ingest(
            raw,
            dataset,
            copy_correlation=params.ingest.copy_correlation,
            near_correlation=params.ingest.near_correlation,
            object_iou=params.evaluate.object_iou,
            second_channel=params.ingest.second_channel,
        )
        manifest = read_manifest(dataset)
        findings, shortage = _validate(merged, dataset, validated, params)
        _refuse_torn(merged, manifest, before, registry)
        sides: dict[str, str] = {}
        assigned = before
        if not shortage:
            copied = root / registry.name
            if registry.exists():
                shutil.copyfile(registry, copied)
            try:
                split(dataset, validated, root / "split", registry=copied, params=params.split)
                roles = pd.read_csv(root / "split" / "roles.csv", dtype=str, keep_default_na=False)
                sides = dict(zip(roles["image_id"], roles["set"], strict=True))
                assigned = read_registry(copied)
            except InputError as error:
                shortage = [
                    Problem(str(registry), item.what, item.expected, item.remedy)
                    for item in error.problems
                ]
        copies = json.loads((dataset / "copies.json").read_text(encoding="utf-8"))
    _refuse_moved(before, manifest, sides, registry)
    return Trial(
        manifest=manifest,
        pairs=tuple(copies["pairs"]),
        findings=tuple(findings),
        sides=sides,
        assigned=assigned,
        granules_before=_granules_before(merged, manifest),
        shortage=tuple(shortage),
    )


def _granules_before(merged: Merge, manifest: pd.DataFrame) -> dict[str, int]:
    """Granules in the masks that give way, which can be read: they are in the data set."""
    names = manifest["image_id"].str.casefold()
    shapes = dict(zip(names, zip(manifest["height"], manifest["width"], strict=True), strict=True))
    found = {}
    for pair, own in merged.relabelled:
        height, width = shapes[pair.id.casefold()]
        shape = int(height), int(width)
        mask = read_mask(merged.target / own, rule=merged.settings.masks, shape=shape)
        found[pair.id] = int(np.unique(mask.labels[mask.labels != 0]).size)
    return found


def _validate(
    merged: Merge, dataset: Path, out: Path, params: Params
) -> tuple[list[Problem], list[Problem]]:
    """What is wrong with images that are left out, and why the data set is too small."""
    stopped = False
    try:
        validate(dataset, out, settings=params.validate_, split=params.split)
    except InputError:
        stopped = True
    report = json.loads((out / "findings.json").read_text(encoding="utf-8"))
    bad, shortage, brought = [], [], False
    for finding in report["findings"]:
        problem = as_problem(finding)
        if not finding["image_id"]:
            shortage.append(problem)
            continue
        inside = problem.where.removeprefix(f"data/raw/{merged.target.name}/")
        own = merged.sources.get(inside)
        brought |= own is not None
        where = problem.where if own is None else str(own)
        bad.append(Problem(where, problem.what, problem.expected, problem.remedy))
    # What is known to be left out is not taken in, whatever the line does with what is there.
    if bad and (brought or (stopped and report["on_failure"] == "stop")):
        raise InputError(*bad)
    return bad, shortage


def _refuse_torn(
    merged: Merge, manifest: pd.DataFrame, before: pd.DataFrame, registry: Path
) -> None:
    """As `split` does, but with the name of the real registry and of the images that are to come.

    A new image of known pixels has their side already, and would not stand out.
    """
    try:
        sides_of_groups(manifest, before, path=registry)
    except InputError as error:
        new = {pair.id for pair in merged.added}
        groups = manifest[manifest["image_id"].isin(new)].groupby("group")["image_id"].agg(list)
        come = {f"group {group!r}": ", ".join(names) for group, names in groups.items()}
        raise InputError(
            *(
                replace(problem, what=f"{problem.what} (to be added: {come[problem.where]})")
                if problem.where in come
                else problem
                for problem in error.problems
            )
        ) from None


def _refuse_moved(
    before: pd.DataFrame, manifest: pd.DataFrame, sides: Mapping[str, str], registry: Path
) -> None:
    """The test set is for ever: `split` sees to that, and this sees to `split`."""
    keys = ["image_id", "pixel_hash"]
    kept = before.merge(manifest[keys], on=keys)
    moved = [
        Problem(str(registry), f"{name} would move from {side} to {sides[name]}", side)
        for name, side in zip(kept["image_id"], kept["set"], strict=True)
        if sides.get(name, side) != side
    ]
    if moved:
        raise InputError(*moved)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the stages say of folders that are about to vanish; warnings stay."""
    loggers = [logging.getLogger(f"sgseg.dataset.{name}") for name in ("ingest", "split")]
    loggers.append(logging.getLogger("sgseg.dataset.validate"))
    levels = [logger.level for logger in loggers]
    for logger, least in zip(loggers, (logging.WARNING, logging.ERROR, logging.ERROR), strict=True):
        logger.setLevel(least)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
