"""Which images are shown, which part of them, and what the pictures are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from examples import draw_field
from PIL import Image

from sgseg.gate.decision import ImageScores, UsedImage
from sgseg.gate.pictures import (
    Comparison,
    densest,
    drawn,
    gain_in_margins,
    most_different,
    save_comparison,
    save_differences,
)

from .test_page import a_check, a_decision


def image(
    name: str,
    mine: tuple[float, float],
    theirs: tuple[float, float] | None,
    *,
    false: tuple[int, int] = (0, 0),
) -> UsedImage:
    """Object F1 and IoU of the challenger and of the champion, and their false granules."""
    champion = None if theirs is None else ImageScores(*theirs, 1, false[1])
    return UsedImage(name, "g", "", "", 1, ImageScores(*mine, 1, false[0]), champion)


def names(*images: UsedImage, number: int = 4) -> list[str]:
    return [i.image_id for i in most_different(a_decision(images=list(images)), number)]


def test_images_that_differ_most_come_first_and_equal_ones_not_at_all() -> None:
    images = (
        image("same", (0.5, 0.5), (0.5, 0.5)),
        image("better", (0.9, 0.6), (0.7, 0.5)),  # 0.2 + 0.1
        image("worse", (0.1, 0.5), (0.6, 0.5)),  # 0.5
        image("a tie", (0.7, 0.5), (0.9, 0.6)),  # 0.2 + 0.1, and before "better" by its name
    )
    assert names(*images) == ["worse", "a tie", "better"]
    assert names(*images, number=1) == ["worse"]


def test_more_false_granules_are_a_difference_where_the_scores_are_not() -> None:
    # 4 more of 1 + 1: 2. Of the other 0.9 + 0.9.
    control = image("control", (0.0, 0.0), (0.0, 0.0), false=(6, 2))
    assert names(image("other", (1.0, 1.0), (0.1, 0.1)), control) == ["control", "other"]


def test_without_champion_the_worst_come_first() -> None:
    images = (
        image("perfect", (1.0, 1.0), None),
        image("good", (0.9, 0.8), None),
        image("bad", (0.2, 0.3), None),
    )
    assert names(*images) == ["bad", "good"]


def comparison(size: int = 60) -> Comparison:
    pixels, truth = draw_field([(10, 10), (40, 12)], shape=(size, size + 20))
    return Comparison(
        pixels,
        truth,
        draw_field([(10, 10)], shape=truth.shape)[1],
        draw_field([(40, 12)], shape=truth.shape)[1],
    )


def test_a_large_image_is_shown_where_the_two_differ() -> None:
    shown = comparison(600)
    # The models differ at rows 9 to 41 and columns 9 to 13 only.
    rows, columns = densest(shown, 50)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (50, 50)
    inside = (shown.challenger != shown.champion)[rows, columns]
    assert inside.sum() == (shown.challenger != shown.champion).sum() == 18
    assert densest(comparison(), 256) == (slice(0, 60), slice(0, 80))
    # Without a champion, where the truth is missed: only the granule at (10, 10).
    rows, columns = densest(Comparison(shown.pixels, shown.truth, None, shown.challenger), 20)
    assert {9, 10, 11} <= set(range(600)[rows])
    assert {9, 10, 11} <= set(range(620)[columns])


@pytest.mark.parametrize("has_champion", [True, False])
def test_a_panel_for_each(has_champion: bool, tmp_path: Path) -> None:
    shown = comparison()
    if not has_champion:
        shown = Comparison(shown.pixels, shown.truth, None, shown.challenger)
    save_comparison(tmp_path / "a.png", shown)
    save_comparison(tmp_path / "b.png", shown)
    width, height = Image.open(tmp_path / "a.png").size
    # 3.1 inches a panel at 110 dots per inch.
    assert width == pytest.approx(341 * (4 if has_champion else 3), abs=2)
    assert height < 341
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_gains_in_margins() -> None:
    # A loss of 0.1 at a margin of 0.1, between 2 margins lost and half a margin gained.
    assert gain_in_margins(a_check()) == pytest.approx((-1.0, -2.0, 0.5))
    # Of false granules less is better: 1 more at a margin of 0.5 are 2 margins lost.
    more = {"value": 1.0, "low": -0.5, "high": 2.0}
    found = gain_in_margins(a_check(score="false_per_empty", difference=more, limit=0.5))
    assert found == pytest.approx((-2.0, -4.0, 1.0))
    alone = {"value": 0.2, "low": None, "high": None}
    assert gain_in_margins(a_check(difference=alone)) == pytest.approx((2.0, 2.0, 2.0))


def test_only_differences_that_are_known_are_drawn(tmp_path: Path) -> None:
    unknown = {"value": None, "low": None, "high": None}
    checks = [
        a_check(),
        a_check(difference=None),
        a_check(difference=unknown),
        a_check(limit=0.0),
    ]
    assert drawn(checks) == checks[:1]
    save_differences(tmp_path / "one.png", drawn(checks))
    save_differences(tmp_path / "two.png", [a_check(), a_check(passed=False)])
    sizes = [Image.open(tmp_path / f"{name}.png").size for name in ("one", "two")]
    assert sizes[0][1] < sizes[1][1]
    red = np.asarray(Image.open(tmp_path / "two.png").convert("RGB"))
    assert (red == (213, 94, 0)).all(axis=-1).any()
    assert (
        not (np.asarray(Image.open(tmp_path / "one.png").convert("RGB")) == (213, 94, 0))
        .all(axis=-1)
        .any()
    )
