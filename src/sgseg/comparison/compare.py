"""`sgseg compare` as a function: names in; a comparison, and its files, out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from sgseg.comparison.evaluated import Evaluated
from sgseg.comparison.images import Part, common_images
from sgseg.comparison.paired import AT_OBJECT_IOU, SCORES, compare_counts
from sgseg.comparison.runs import find_both
from sgseg.comparison.text import Compared, scores_of
from sgseg.config import Params
from sgseg.errors import InputError, Problem

FIGURE, IMAGES, SCORE_TABLE = "comparison.png", "by_image.csv", "scores.csv"
OBJECT_IOU = "evaluate.object_iou"
MANIFEST = "data/dataset/manifest.csv"


def compare(
    a: str, b: str, params: Params, *, part: Part, score: str, root: str | Path = "."
) -> Compared:
    """Compare what two names stand for.

    Parameters
    ----------
    a, b
        See `sgseg.comparison.runs.EXPECTED`.
    params
        Of the project: the bootstrap's (`evaluate`) and `promote.min_groups`.
    part
        `out_of_fold`: each image by the network that has not seen it; `test`: by all of them.
    score
        By which images are told apart, a key of `SCORES`.
    root
        The project's root, home of the default store.

    Raises
    ------
    InputError
        A name stands for nothing, they are the same, or there is nothing that can be compared.
    StoreError
        There is no store, or it cannot be read.
    """
    sides = find_both(a, b, root)
    folds = (sides[0].fold, sides[1].fold)
    if part == "test" and folds != (None, None):
        raise InputError(
            Problem(
                "--part test",
                "a fold's own network has no scores per test image",
                "two cross-validations, whose networks are tested together",
                "Compare folds with --part out_of_fold.",
            )
        )
    names, notes = _comparable(*sides, score)
    common = common_images(sides[0].table, sides[1].table, part=part, folds=folds)
    result = compare_counts(
        common.a,
        common.b,
        score_name=score,
        names=names,
        resamples=params.evaluate.bootstrap,
        seed=params.evaluate.seed,
    )
    return Compared(*sides, part, common, result, params.promote.min_groups, notes)


def _comparable(a: Evaluated, b: Evaluated, score: str) -> tuple[list[str], tuple[str, ...]]:
    """Scores that mean the same on both sides, and what to say of the others."""
    ious = [side.params.get(OBJECT_IOU) for side in (a, b)]
    if None in ious or ious[0] == ious[1]:
        return list(SCORES), ()
    which = f"A counts a granule as found at an IoU of {ious[0]}, B at {ious[1]}"
    if score in AT_OBJECT_IOU:
        raise InputError(
            Problem(
                f"--score {score}",
                which,
                f"one {OBJECT_IOU}",
                "Evaluate one of them anew, or give --score foreground_iou.",
            )
        )
    names = [name for name in SCORES if name not in AT_OBJECT_IOU]
    return names, (f"{which}: scores of granules are left out.",)


def write_files(folder: Path, found: Compared, *, root: str | Path = ".") -> list[Path]:
    """Write the picture and the tables; each all of it or nothing.

    Parameters
    ----------
    root
        The project's root; its data set knows the conditions, by which the picture is coloured.
    """
    from sgseg.comparison.figure import write_figure  # noqa: PLC0415

    kinds = conditions(root)
    images = found.result.images.round(6)
    if len(kinds):
        images.insert(2, "condition", images["image_id"].map(kinds))
    scores = pd.DataFrame([{"score": r.name, **scores_of(r)} for r in found.result.rows])
    write: dict[str, Callable[[Path], None]] = {
        FIGURE: lambda path: write_figure(path, found, kinds),
        IMAGES: lambda path: images.to_csv(path, index=False),
        SCORE_TABLE: lambda path: scores.to_csv(path, index=False),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in write.items():
        temporary = folder / f".{name}.{os.getpid()}.part"
        try:
            make(temporary)
            temporary.replace(folder / name)
        finally:
            temporary.unlink(missing_ok=True)
    return [folder / name for name in write]


def conditions(root: str | Path) -> pd.Series[str]:
    """Condition by image, of the project's data set; empty where there is none, or one alone."""
    path = Path(root) / MANIFEST
    none: pd.Series[str] = pd.Series(dtype=str)
    if not path.is_file():
        return none
    table = pd.read_csv(path, dtype=str)
    if not {"image_id", "condition"} <= {*table} or table["condition"].nunique() < 2:
        return none
    return table.drop_duplicates("image_id").set_index("image_id")["condition"]
