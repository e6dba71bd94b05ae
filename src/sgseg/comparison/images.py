"""Which images two evaluations have in common, and why others are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from sgseg.errors import InputError, Problem

Part = Literal["out_of_fold", "test"]
PARTS: dict[Part, str] = {"out_of_fold": "out of fold", "test": "test"}
AREA, GRANULES = ["pixels_tp", "pixels_fn"], ["objects_tp", "objects_fn"]
SHOWN = 5
"""Images that a message names; of the others it gives the number."""


@dataclass(frozen=True)
class LeftOut:
    """An image that only one side has, or whose mask differs."""

    image_id: str
    why: str


@dataclass(frozen=True)
class Common:
    """The images to compare.

    Parameters
    ----------
    a, b
        Rows of the two tables, of the same images in the same order.
    left_out
        By image.
    refolded
        Number of compared images that were held out in another fold.
    """

    a: pd.DataFrame
    b: pd.DataFrame
    left_out: tuple[LeftOut, ...]
    refolded: int


def common_images(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    part: Part,
    folds: tuple[int | None, int | None] = (None, None),
) -> Common:
    """The images that both have in `part`, with the same mask.

    A mask counts as the same if its area and number of granules are.

    Parameters
    ----------
    a, b
        images.csv without the baseline's rows.
    folds
        Only images held out in these; None: in any.

    Raises
    ------
    InputError
        A test image of one is a development image of the other, so nothing here is a test; or
        there is no image in common.
    """
    if part == "test":
        _refuse_seen(a, b)
    tables = (a, b)
    sides = [_of(table, part, fold) for table, fold in zip(tables, folds, strict=True)]
    names = [set(side.index) for side in sides]
    left_out = [
        LeftOut(image, _why(tables[1 - i], image, part, "AB"[1 - i]))
        for i in (0, 1)
        for image in sorted(names[i] - names[1 - i])
    ]
    both = sorted(names[0] & names[1])
    first, second = (side.loc[both] for side in sides)
    same = (first[AREA].sum(axis=1) == second[AREA].sum(axis=1)) & (
        first[GRANULES].sum(axis=1) == second[GRANULES].sum(axis=1)
    )
    left_out += [LeftOut(image, "its mask is another") for image in same.index[~same]]
    first, second = (side[same].reset_index() for side in (first, second))
    if first.empty:
        raise InputError(_nothing_in_common(left_out, part))
    refolded = int((first["fold"] != second["fold"]).sum()) if part == "out_of_fold" else 0
    return Common(first, second, tuple(left_out), refolded)


def _of(table: pd.DataFrame, part: Part, fold: int | None) -> pd.DataFrame:
    chosen = table[table["part"] == part]
    if fold is not None:
        chosen = chosen[chosen["fold"] == fold]
    return chosen.set_index("image_id")


def _why(other: pd.DataFrame, image: str, part: Part, name: str) -> str:
    """Why an image is not among those of the other side."""
    found = list(other.loc[other["image_id"] == image, "part"])
    if not found:
        return f"not in the data of {name}"
    if part in found:
        return f"held out in another fold of {name}"
    return f"a {'test' if part == 'out_of_fold' else 'development'} image of {name}"


def _refuse_seen(a: pd.DataFrame, b: pd.DataFrame) -> None:
    """A network that was trained on an image, or on one of its group, is not tested by it."""
    problems = []
    for tested, trained, of, by in ((a, b, "A", "B"), (b, a, "B", "A")):
        test = tested[tested["part"] == "test"]
        development = trained[trained["part"] == "out_of_fold"]
        seen = test["image_id"].isin(development["image_id"])
        related = ~seen & test["group"].isin(development["group"])
        for chosen, said in ((seen, "training images"), (related, "of groups of training images")):
            images = sorted(test.loc[chosen, "image_id"])
            if images:
                problems.append(
                    Problem(
                        f"test images of {of}",
                        f"{len(images)} are {said} of {by}: {listed(images)}",
                        "test images that neither has seen",
                        "Compare with --part out_of_fold.",
                    )
                )
    if problems:
        raise InputError(*problems, title="This would be no comparison of test scores:")


def _nothing_in_common(left_out: Sequence[LeftOut], part: Part) -> Problem:
    if not left_out:
        return Problem("A and B", f"neither has an image in part {part!r}")
    return Problem(
        "A and B",
        f"no image in common ({PARTS[part]}): {'; '.join(reasons(left_out))}",
        "runs on the same images",
        "Their scores are those of different images, and no difference of them says anything.",
    )


def reasons(left_out: Sequence[LeftOut]) -> list[str]:
    """For example "2 not in the data of B (x, y)"."""
    by_reason: dict[str, list[str]] = {}
    for item in left_out:
        by_reason.setdefault(item.why, []).append(item.image_id)
    return [f"{len(images)} {why} ({listed(images)})" for why, images in by_reason.items()]


def listed(images: Sequence[str]) -> str:
    """The first few names, and how many more."""
    more = len(images) - SHOWN
    return ", ".join(images[:SHOWN]) + (f" and {more} more" if more > 0 else "")
