"""What every image of a data set must fulfil, and how to tell a person that it does not.

Each check is an expectation for Great Expectations and a sentence; `validate` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sgseg.config import Split, Validate
from sgseg.dataset.groups import groups_needed

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One expectation, and what to say where a row fails it.

    Parameters
    ----------
    name : for findings.json
    title : what is expected, for the report
    expectation : name of a class of great_expectations.expectations
    arguments : of that class
    file : column of the manifest with the file to name
    say : the row that fails -> (what, expected, remedy)
    also : whether it is said of rows that have a problem already
    """

    name: str
    title: str
    expectation: str
    arguments: Mapping[str, Any]
    file: str
    say: Callable[[Row], tuple[str, str, str]]
    also: bool = True


def with_derived(manifest: pd.DataFrame) -> pd.DataFrame:
    """The manifest with the columns that checks need besides; empty text as missing."""
    frame = manifest.copy()
    text = frame.select_dtypes(exclude="number").columns
    frame[text] = frame[text].astype(object).where(frame[text] != "", None)
    frame["row"] = range(len(frame))
    frame["file"] = frame["image_file"].fillna(frame["mask_file"]).fillna(frame["image_id"])
    frame["size"] = _size(frame["width"], frame["height"])
    frame["mask_size"] = _size(frame["mask_width"], frame["mask_height"])
    frame["range"] = frame["maximum"] - frame["minimum"]
    # Copies were looked for among images without a problem; and a blank image has the pixels of any
    # other blank image, it is refused for being blank.
    seen = frame[frame["problem"].isna() & (frame["range"] > 0)]
    frame["holds_granules"] = (frame["n_objects"] > 0).map({True: "yes", False: "no"})
    frame["groups_of_pixels"] = seen.groupby("pixel_hash")["group"].transform("nunique")
    return frame


def _size(width: pd.Series[float], height: pd.Series[float]) -> list[str | None]:
    sides = zip(width, height, strict=True)
    return [None if pd.isna(x) or pd.isna(y) else f"{int(x)} x {int(y)} px" for x, y in sides]


def image_checks(settings: Validate) -> list[Check]:
    """What each image must fulfil."""
    return [*_file_checks(), *_pixel_checks(settings), *_mask_checks(settings)]


def _file_checks() -> list[Check]:
    return [
        Check(
            "readable",
            "every file can be read and everything that is said of it fits",
            "ExpectColumnValuesToBeNull",
            {"column": "problem"},
            "file",
            lambda row: (str(row["problem"]), "", ""),
        ),
        Check(
            "image_of_mask",
            "every mask has an image",
            "ExpectColumnValuesToNotBeNull",
            {"column": "image_file"},
            "mask_file",
            lambda _: ("mask without image", "an image", "Add the image, or remove the mask."),
            also=False,
        ),
        Check(
            "mask_of_image",
            "every image has a mask",
            "ExpectColumnValuesToNotBeNull",
            {"column": "mask_file"},
            "image_file",
            lambda _: ("image without mask", "a mask", "Draw the mask, or remove the image."),
            also=False,
        ),
        Check(
            "unique_id",
            "every image has a name of its own",
            "ExpectColumnValuesToBeUnique",
            {"column": "image_id"},
            "file",
            lambda row: (
                f"its name {row['image_id']!r} is taken",
                "a name of its own",
                "Rename it.",
            ),
            also=False,
        ),
    ]


def _pixel_checks(settings: Validate) -> list[Check]:
    return [
        Check(
            "bit_depth",
            "every image has the bit depth that was declared",
            "ExpectColumnPairValuesToBeEqual",
            {
                "column_A": "bit_depth",
                "column_B": "declared_bit_depth",
                "ignore_row_if": "either_value_is_missing",
            },
            "image_file",
            lambda row: (
                f"{row['dtype']} pixels, {row['bit_depth']:.0f} bits",
                f"{row['declared_bit_depth']:.0f} bits, as declared",
                "Export it like the other images, or import again with another --bit-depth.",
            ),
        ),
        Check(
            "not_blank",
            "no image is blank",
            "ExpectColumnValuesToBeBetween",
            {"column": "range", "min_value": 0, "strict_min": True},
            "image_file",
            lambda row: (
                f"blank: every pixel is {row['minimum']:g}",
                "a picture; even an empty field shows the noise of the camera",
                "Export it again, or remove it.",
            ),
        ),
        Check(
            "not_saturated",
            f"at most {settings.max_saturated:.3g} of the pixels of an image are saturated",
            "ExpectColumnValuesToBeBetween",
            {"column": "saturated_fraction", "max_value": settings.max_saturated},
            "image_file",
            lambda row: (
                f"{row['saturated_fraction']:.1%} of its pixels are saturated "
                f"(at {row['maximum']:g})",
                f"at most {settings.max_saturated:.1%}",
                "Use an image of shorter exposure, or raise validate.max_saturated in params.yaml.",
            ),
        ),
        Check(
            "copies_together",
            "images with the same pixels are in one group",
            "ExpectColumnValuesToBeBetween",
            {"column": "groups_of_pixels", "max_value": 1},
            "image_file",
            lambda row: (
                f"the same pixels are in {row['groups_of_pixels']:.0f} groups",
                "copies of an image in one group",
                "Run the stage `ingest` again.",
            ),
        ),
    ]


def _mask_checks(settings: Validate) -> list[Check]:
    return [
        Check(
            "same_size",
            "every mask has the size of its image",
            "ExpectColumnPairValuesToBeEqual",
            {
                "column_A": "size",
                "column_B": "mask_size",
                "ignore_row_if": "either_value_is_missing",
            },
            "mask_file",
            lambda row: (
                f"the mask is {row['mask_size']}",
                f"{row['size']} like its image {row['image_file']}",
                "Export the mask at the size of the image; never stretch it to fit.",
            ),
        ),
        Check(
            "mask_rule",
            "every mask says yes or no at each pixel, by a known rule",
            "ExpectColumnValuesToMatchRegex",
            {"column": "mask_rule", "regex": "^(empty|binary|colour|labels|ImageJ outlines)"},
            "mask_file",
            lambda row: (f"mask by an unknown rule, {row['mask_rule']!r}", "", ""),
        ),
        Check(
            "foreground",
            f"granules cover at most {settings.max_foreground:.3g} of an image",
            "ExpectColumnValuesToBeBetween",
            {"column": "foreground_fraction", "max_value": settings.max_foreground},
            "mask_file",
            lambda row: (
                f"granules cover {row['foreground_fraction']:.1%} of the image",
                f"at most {settings.max_foreground:.1%}",
                "Is it inverted? If not, raise validate.max_foreground in params.yaml.",
            ),
        ),
        *([_NOT_EMPTY] if settings.require_foreground else []),
    ]


_NOT_EMPTY = Check(
    "not_empty",
    "every mask has at least one granule",
    "ExpectColumnValuesToBeBetween",
    {"column": "n_objects", "min_value": 1},
    "mask_file",
    lambda _: (
        "no granule",
        "at least one",
        "Remove it, or allow empty fields: validate.require_foreground: false in params.yaml.",
    ),
)


def dataset_checks(split: Split) -> list[Check]:
    """What the images that passed must fulfil together; `say` gets {} and the counts."""
    needed = groups_needed(split)
    with_test = " and a test set" if split.test_fraction > 0 else ""
    return [
        Check(
            "enough_groups",
            f"there are at least {needed} groups for {len(split.folds)} folds{with_test}",
            "ExpectColumnUniqueValueCountToBeBetween",
            {"column": "group", "min_value": needed},
            "",
            lambda row: (
                f"{row['groups']} groups in {row['images']} usable images",
                f"at least {needed} for {len(split.folds)} folds{with_test}",
                "Add images of further groups, or list fewer folds in split.folds (params.yaml).",
            ),
        ),
        Check(
            "any_granule",
            "there is at least one granule in all masks together",
            "ExpectColumnDistinctValuesToContainSet",
            {"column": "holds_granules", "value_set": ["yes"]},
            "",
            lambda row: (
                f"no granule in the masks of {row['images']} usable images",
                "at least one",
                "Are the masks the right files?",
            ),
        ),
    ]
