"""Pictures show what they say, and the same result gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from examples import draw_field
from PIL import Image

from sgseg.evaluation.pictures import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    Case,
    agreement,
    as_gray,
    save_curve,
    save_gallery,
    save_training_curves,
)


def case(title: str = "a: F1 0.50") -> Case:
    pixels, truth = draw_field([(10, 10), (20, 30)])
    return Case(title, pixels, truth, draw_field([(10, 11), (40, 12)])[1])


def test_agreement_in_colour() -> None:
    example = case()
    picture = agreement(example)
    found = {
        colour: int((picture == colour).all(axis=-1).sum())
        for colour in (TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)
    }
    # 3 x 3 px: one pair shifted by a column shares 6 px and has 3 on either side; one granule is
    # found and not there, one is there and not found.
    assert found == {TRUE_POSITIVE: 6, FALSE_POSITIVE: 3 + 9, FALSE_NEGATIVE: 3 + 9}
    # Everything else is gray.
    elsewhere = (example.truth == 0) & (example.predicted == 0)
    assert (picture[elsewhere] == picture[elsewhere][:, :1]).all()


def test_gray_keeps_the_order_of_the_pixels() -> None:
    pixels = np.arange(1000, 1000 + 64 * 65, dtype=np.uint16).reshape(64, 65)
    gray = as_gray(pixels)
    assert gray.shape == (64, 65, 3)
    assert (np.diff(gray[..., 0].ravel().astype(int)) >= 0).all()
    assert (gray.min(), gray.max()) == (0, 255)
    assert not as_gray(np.full((4, 4), 7.0)).any()


def test_a_gallery_has_a_row_per_case_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name, number in (("one", 1), ("three", 3), ("again", 3)):
        save_gallery(tmp_path / f"{name}.png", [case()] * number)
    sizes = {name: Image.open(tmp_path / f"{name}.png").size for name in ("one", "three")}
    assert sizes["one"][0] == sizes["three"][0]
    assert sizes["three"][1] > 2 * sizes["one"][1]
    assert (tmp_path / "three.png").read_bytes() == (tmp_path / "again.png").read_bytes()


@pytest.mark.parametrize("title", ["$x^$", "a$b", r"\frac{", "µ % _ & #", "<b>x"])
def test_any_name_can_be_a_title(title: str, tmp_path: Path) -> None:
    save_gallery(tmp_path / "a.png", [case(title)])
    assert Image.open(tmp_path / "a.png").size[0] > 100


def test_training_curves(tmp_path: Path) -> None:
    names = ("loss", "iou", "dice", "object_f1")
    history = [
        {f"{part}{name}": 0.1 * epoch for name in names for part in ("", "val_")}
        for epoch in range(3)
    ]
    save_training_curves(tmp_path / "curves.png", history, best=2)
    picture = np.asarray(Image.open(tmp_path / "curves.png").convert("L"))
    assert picture.min() < 100 < picture.max()


def test_curves(tmp_path: Path) -> None:
    for name in ("a", "b"):
        curves = {"test": (np.array([0, 0.2, 1]), np.array([0, 0.9, 1]))}
        save_curve(tmp_path / f"{name}.png", curves, x="recall", y="precision", title="P")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
