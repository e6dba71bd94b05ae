"""Which images a report shows, and how it draws the members' disagreement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sgseg.evaluation.disagreement import ImageDisagreement
from sgseg.evaluation.illustrations import best_median_worst, write_disagreement

from .cases import image_counts


@given(st.integers(1, 30), st.integers(1, 6))
def test_no_image_is_shown_twice(images: int, number: int) -> None:
    counts = [
        image_counts((k, images - k, 0, 1), (k, images - k, 0, 1.0), image_id=str(k))
        for k in range(1, images + 1)
    ]
    chosen = best_median_worst(counts, number)
    shown = [c.image_id for part in chosen.values() for c in part]
    assert len(set(shown)) == len(shown)
    assert all(0 < len(part) <= number for part in chosen.values())
    # F1 grows with the number: the last is the best, the first the worst, as far as both are there.
    assert chosen["best"][0].image_id == str(images)
    assert images == 1 or chosen["worst"][0].image_id == "1"
    assert set(chosen) == {"best", "median", "worst"} if images > 2 else "median" not in chosen
    if images > 2:
        middle = int(chosen["median"][len(chosen["median"]) // 2].image_id)
        assert abs(middle - (images + 1) / 2) <= 1


@pytest.mark.parametrize("granules", [0, 3])
def test_disagreement_is_drawn_also_without_granules(granules: int, tmp_path: Path) -> None:
    image = ImageDisagreement(
        "a", "a", 0.5, 0.5, np.linspace(0, 1, granules), np.arange(granules) < 2
    )
    (picture,) = write_disagreement(tmp_path, [image])
    assert Image.open(tmp_path / picture["file"]).size[0] > 100


def test_without_test_images_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert write_disagreement(tmp_path, []) == []
    assert list(tmp_path.iterdir()) == []
