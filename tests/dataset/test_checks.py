"""Each check and its sentence."""

from __future__ import annotations

import pandas as pd
import pytest

from sgseg.config import Split, Validate
from sgseg.dataset.checks import dataset_checks, image_checks, with_derived
from sgseg.dataset.groups import groups_needed

SETTINGS = Validate(
    on_failure="stop", max_foreground=0.5, max_saturated=0.05, require_foreground=True
)


def split(folds: int, test_fraction: float = 0.0) -> Split:
    return Split(
        seed=1, test_fraction=test_fraction, folds=list(range(folds)), validation_fraction=0.2
    )


def test_names_are_unique() -> None:
    checks = [*image_checks(SETTINGS), *dataset_checks(split(3))]
    assert len({check.name for check in checks}) == len(checks)


def test_empty_masks_are_refused_on_request_only() -> None:
    names = {check.name for check in image_checks(SETTINGS)}
    lenient = SETTINGS.model_copy(update={"require_foreground": False})
    assert names - {check.name for check in image_checks(lenient)} == {"not_empty"}


@pytest.mark.parametrize(
    ("folds", "test_fraction", "groups"),
    [(2, 0, 4), (3, 0, 3), (4, 0, 4), (4, 0.1, 5), (2, 0.1, 5)],
)
def test_groups_needed(folds: int, test_fraction: float, groups: int) -> None:
    assert groups_needed(split(folds, test_fraction)) == groups


def test_derived_columns() -> None:
    frame = with_derived(
        pd.DataFrame(
            {
                "image_id": list("abcd"),
                "image_file": ["images/a", "images/b", "images/c", ""],
                "mask_file": ["", "masks/b", "masks/c", "masks/d"],
                "problem": ["", "", "", "masks/d: mask without image"],
                "pixel_hash": ["x", "x", "blank", ""],
                "group": ["1", "2", "3", "4"],
                "width": [30, 30, 30, None],
                "height": [20, 20, 20, None],
                "mask_width": [None, 30, 31, 5],
                "mask_height": [None, 20, 20, 5],
                "minimum": [0, 0, 7, None],
                "maximum": [9, 9, 7, None],
                "n_objects": [None, 2, 0, 1],
            }
        )
    )
    assert list(frame["file"]) == ["images/a", "images/b", "images/c", "masks/d"]
    assert list(frame["size"].fillna("?")) == [*["30 x 20 px"] * 3, "?"]
    assert list(frame["mask_size"].fillna("?")) == ["?", "30 x 20 px", "31 x 20 px", "5 x 5 px"]
    # The pixels x are in groups 1 and 2; blank images are not looked at.
    assert frame["groups_of_pixels"].tolist()[:2] == [2, 2]
    assert frame["groups_of_pixels"].isna().tolist() == [False, False, True, True]
