"""What is said of images that are added: conditions, labels, copies, sides; a commit message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sgseg.dataset.difference import DataDifference
from sgseg.dataset.merge import Merge
from sgseg.dataset.raw import SETTINGS
from sgseg.dataset.registry import DEVELOPMENT, TEST
from sgseg.dataset.trial import Trial
from sgseg.errors import Problem

FEW = 20  # names that are spelled out
_TURNS = ("", "turned by 90°", "turned by 180°", "turned by 270°")


def counts_line(merged: Merge) -> str:
    """How many images are new, relabelled, and there already."""
    parts = [f"{len(merged.added)} new"]
    if merged.relabelled:
        parts.append(f"{len(merged.relabelled)} relabelled")
    if merged.there:
        parts.append(f"{len(merged.there)} there already")
    return ", ".join(parts)


def trial_lines(merged: Merge, trial: Trial) -> list[str]:
    """What the stages up to `split` say of the data set as it will be."""
    new = {pair.id for pair in merged.added}
    manifest = trial.manifest
    is_new = manifest["image_id"].isin(new)
    lines = ["", *_conditions(manifest, is_new), "", *_labels(manifest, is_new)]
    if relabelled := _relabelled(trial):
        lines += ["", "Relabelled:", *_at_most(relabelled)]
    if copies := _copies(trial, new):
        lines += ["", "Copies, which stay with their group:", *_at_most(copies)]
    if trial.findings:
        lines += [
            "",
            "Left out by the stage `validate`:",
            *(f"  {item}" for item in trial.findings),
        ]
    if trial.shortage:
        what = "It can be added, but `dvc repro` will stop: the data set is still too small."
        return [*lines, "", what, *(f"  {item}" for item in trial.shortage)]
    return [*lines, "", *_sides(trial, new)]


def names_line(names: Sequence[str], most: int = FEW) -> str:
    """Names, the first ones if there are many."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows of a text table, the first column to the left and numbers to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    ]


def said_by_the_data_set(problem: Problem, target: Path) -> Problem:
    """A problem whose remedy is an option that only an import has, and where that stands now."""
    if "--mask-rule" not in problem.remedy:
        return problem
    hint = (
        f"--mask-rule is an option of `sgseg import`: {target / SETTINGS} says it for all masks of "
        "the data set, as `masks`."
    )
    return replace(problem, remedy=f"{problem.remedy} {hint}")


def commit_message(name: str, difference: DataDifference, *, n_images: int) -> str:
    """A line with the counts, and the names where they are few."""
    kinds = {
        "added": difference.new,
        "relabelled": difference.relabelled,
        "removed": difference.removed,
        "with other pixels": difference.changed,
        "described otherwise": tuple(difference.described),
        "renamed": tuple(f"{old} to {new}" for old, new in difference.renamed),
    }
    counts = [f"{len(names)} {kind}" for kind, names in kinds.items() if names]
    lines = [f"Data set {name}: {', '.join(counts) or 'as it is'}", "", f"{n_images} images now."]
    for kind, names in kinds.items():
        if names and len(names) <= FEW:
            lines += ["", f"{kind.capitalize()}:", *(f"  {item}" for item in names)]
    return "\n".join(lines) + "\n"


def _conditions(manifest: pd.DataFrame, is_new: pd.Series[bool]) -> list[str]:
    """Images and granules of each condition, before and after."""
    rows: list[list[object]] = [["condition", "images before", "after", "granules before", "after"]]
    names = sorted(set(manifest["condition"]))
    wanted = [(name or "not stated", manifest["condition"] == name) for name in names]
    if len(names) > 1:
        wanted.append(("all", manifest["condition"].notna()))
    for name, inside in wanted:
        old = inside & ~is_new
        granules = (int(manifest.loc[chosen, "n_objects"].sum()) for chosen in (old, inside))
        before, after = granules
        rows.append([name, int(old.sum()), int(inside.sum()), before, after])
    return table(rows)


def _labels(manifest: pd.DataFrame, is_new: pd.Series[bool]) -> list[str]:
    """Old labels beside new ones: other hands draw otherwise, which is worth a look."""
    pixels = manifest["height"] * manifest["width"] * manifest["foreground_fraction"]
    drawn = manifest.assign(area=pixels / manifest["n_objects"].where(manifest["n_objects"] > 0))
    parts = [drawn[~is_new], drawn[is_new]]
    if not len(parts[1]):
        return ["No new image."]
    measures: list[tuple[str, Any]] = [
        ("granules per image", lambda part: f"{part['n_objects'].mean():.1f}"),
        ("images without granules", lambda part: int((part["n_objects"] == 0).sum())),
        ("area of a granule, px", lambda part: f"{part['area'].median():.1f}"),
        ("share of the image, %", lambda part: f"{100 * part['foreground_fraction'].mean():.2f}"),
    ]
    rows = [[name, *(of(part) for part in parts)] for name, of in measures]
    return table([["labels", "old images", "new images"], *rows])


def _relabelled(trial: Trial) -> list[str]:
    counts = trial.manifest.set_index(trial.manifest["image_id"].str.casefold())["n_objects"]
    return [
        f"  {name}: {before} -> {int(counts[name.casefold()])} granules"
        for name, before in sorted(trial.granules_before.items())
    ]


def _at_most(lines: list[str], most: int = 2 * FEW) -> list[str]:
    more = len(lines) - most
    return lines[:most] + ([f"  and {more} more"] if more > 0 else [])


def _copies(trial: Trial, new: set[str]) -> list[str]:
    rows = trial.manifest.set_index("image_id")
    lines = []
    for pair in trial.pairs:
        # The new one first; of two new ones, the later one.
        one, two = (pair["a"], pair["b"]) if pair["b"] not in new else (pair["b"], pair["a"])
        if one in new:
            group = rows.loc[one, "group"]
            side = trial.sides.get(one)
            lines.append(
                f"  {one}: {_kind(pair)} {two}"
                f"{'' if two not in new else ' (new as well)'}{_masks(pair)}"
                f" -> group {group}{f', {side}' if side else ''}"
            )
    return sorted(lines)


def _kind(pair: Mapping[str, Any]) -> str:
    turned = _TURNS[pair["transform"] % 4]
    how = " and ".join(filter(None, ("mirrored" if pair["transform"] >= 4 else "", turned)))
    if pair["kind"] == "near":
        return f"shows nearly the same{f' ({how})' if how else ''} as"
    exact = "the same pixels" if pair["identical_pixels"] else "the same picture"
    return f"{exact}{f', {how},' if how else ''} as"


def _masks(pair: Mapping[str, Any]) -> str:
    if pair.get("identical_masks"):
        return "; same mask"
    return "" if pair.get("iou") is None else f"; masks agree to IoU {pair['iou']:.2f}"


def _sides(trial: Trial, new: Iterable[str]) -> list[str]:
    """On which side of the split the new images come."""
    sides = {name: side for name, side in trial.sides.items() if name in set(new)}
    lines = []
    for side in (TEST, DEVELOPMENT):
        names = sorted(name for name, own in sides.items() if own == side)
        total = sum(own == side for own in trial.sides.values())
        if names:
            listed = f": {names_line(names)}"
            lines.append(f"{side}: {total} images, {len(names)} of them new{listed}")
        else:
            lines.append(f"{side}: {total} images, none of them new")
    return [*lines, "No image that was there changes its side."]
