"""The table of an evaluation, read; and what differs between two."""

from __future__ import annotations

import pytest

from sgseg.comparison.evaluated import differing, read_images, used_settings
from sgseg.comparison.runs import find_both
from sgseg.errors import InputError

from .conftest import Lab
from .lab import A, csv_of


def test_only_the_rows_of_the_network() -> None:
    table = read_images(csv_of(A), "images.csv")
    assert list(table["image_id"]) == [image.image_id for image in A]
    assert set(table["method"]) == {"network"}


def test_names_that_look_like_numbers_stay_as_they_are() -> None:
    named = [image._replace(image_id=f"00{k}", group="007") for k, image in enumerate(A)]
    table = read_images(csv_of(named), "images.csv")
    assert list(table["image_id"])[:2] == ["000", "001"]
    assert set(table["group"]) == {"007"}


def test_a_bundle_that_is_none_tells_nothing() -> None:
    assert used_settings("{") == used_settings("[1]") == {}
    assert used_settings('{"orientations": 8, "margin_px": 64}') == {"predict.orientations": "8"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No columns"),
        ("image_id,group\nx,y\n", "no column method, part, fold"),
        (csv_of(A).replace("80", "many", 1), "many"),
        (csv_of([*A, A[0]]), "lists w1 twice"),
    ],
)
def test_a_table_that_is_none(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_images(text, "images.csv")


def test_only_what_differs(lab: Lab) -> None:
    a, b = find_both("aaaa111", "bbbb222", lab.root)
    assert differing(a, b) == [("train.epochs", "60", "10")]
