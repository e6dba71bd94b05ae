"""The best, median and worst images of both models are chosen and drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from gate.cases import TestSet, fields, rule_with, write_bundle, write_test_set
from PIL import Image

from sgseg.errors import InputError
from sgseg.gate.decision import ImageScores, UsedImage
from sgseg.retrain.overlays import check_same, choose, said, save_overlays


def an_image(name: str, mine: float, theirs: float | None, granules: int = 5) -> UsedImage:
    sides = [None if f1 is None else ImageScores(f1, f1, 3, 0) for f1 in (mine, theirs)]
    assert sides[0] is not None
    return UsedImage(name, name, "m1", "m2", granules, sides[0], sides[1])


def roles(*images: UsedImage) -> dict[str, list[str]]:
    return {chosen.image.image_id: chosen.roles for chosen in choose(images)}


def test_of_both_models() -> None:
    # Challenger: b c a; champion: a b c.
    assert roles(an_image("a", 0.1, 0.9), an_image("b", 0.9, 0.5), an_image("c", 0.5, 0.1)) == {
        "b": ["best of the challenger", "median of the champion"],
        "c": ["median of the challenger", "worst of the champion"],
        "a": ["worst of the challenger", "best of the champion"],
    }


def test_of_a_first_model() -> None:
    assert list(roles(an_image("a", 0.1, None), an_image("b", 0.9, None))) == ["b", "a"]
    assert roles(an_image("a", 0.1, None))["a"] == [
        "best of the challenger",
        "median of the challenger",
        "worst of the challenger",
    ]


def test_an_empty_image_that_is_right_shows_nothing() -> None:
    empty = UsedImage("e", "e", "m", "m", 0, ImageScores(1.0, 1.0, 0, 0), None)
    assert "e" not in roles(empty, an_image("a", 0.5, None))
    # With a false granule it does, and where there is no other.
    wrong = UsedImage("w", "w", "m", "m", 0, ImageScores(0.0, 0.0, 0, 1), None)
    assert "w" in roles(wrong, an_image("a", 0.5, None))
    assert list(roles(empty)) == ["e"]
    assert roles() == {}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> TestSet:
    return write_test_set(tmp_path_factory.mktemp("set"), fields(3, faint=3))


@pytest.mark.parametrize("known", [True, False], ids=["champion", "its bundle is lost"])
def test_pictures_and_their_words(images: TestSet, tmp_path: Path, known: bool) -> None:
    good, poor = (
        write_bundle(tmp_path / "good", middle=1.8),
        write_bundle(tmp_path / "poor", middle=2.5),
    )
    decision = images.decide(good, poor, rule=rule_with())
    pictures, missing = save_overlays(
        tmp_path,
        decision,
        challenger=good,
        champion=poor if known else None,
        dataset=images.dataset,
    )
    assert missing == []
    assert {picture.image_id for picture in pictures} <= {"field_0", "field_1", "field_2"}
    assert pictures[0].what.startswith("Best of the challenger")
    widths = {Image.open(tmp_path / picture.file).width for picture in pictures}
    # Image, truth and one or two models.
    assert widths == {round(3.1 * (4 if known else 3) * 110)}
    assert "The champion finds 5 and 0 false ones" in pictures[0].said


def test_an_image_that_changed_since_is_named(images: TestSet, tmp_path: Path) -> None:
    good = write_bundle(tmp_path / "good")
    decision = images.decide(good, None, rule=rule_with())
    used = decision.images[0]
    check_same(images.dataset, used)
    path = images.dataset / "masks" / f"{used.image_id}.tif"
    before = path.read_bytes()
    path.write_bytes(before + b" ")
    try:
        with pytest.raises(InputError, match="changed since the decision"):
            check_same(images.dataset, used)
        _, missing = save_overlays(
            tmp_path, decision, challenger=good, champion=None, dataset=images.dataset
        )
    finally:
        path.write_bytes(before)
    assert [line.partition(":")[0] for line in missing] == [used.image_id]


def test_words_of_one_model() -> None:
    assert said(an_image("a", 0.5, None)) == (
        "5 granules. The challenger finds 3 and 0 false ones: object F1 0.50, foreground IoU 0.50."
    )
