"""The mean of several masks of one picture, laid over each copy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from sgseg.dataset.structure import ORIENTATIONS, turn
from sgseg.training.soft_labels import mean_masks, soft_masks


def mask(*rows: str) -> NDArray[np.float32]:
    return np.array([[cell == "#" for cell in row] for row in rows], dtype=np.float32)


def pair(a: str, b: str, transform: int = 0, shift: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    return {"a": a, "b": b, "transform": transform, "shift": list(shift), "kind": "copy"}


def test_two_masks_of_one_picture() -> None:
    masks = {"one": mask("##.", "..."), "two": mask(".#.", "#..")}
    found = mean_masks(masks, [pair("one", "two")])
    expected = [[0.5, 1, 0], [0.5, 0, 0]]
    np.testing.assert_array_equal(found["one"], expected)
    np.testing.assert_array_equal(found["two"], expected)


def test_where_a_copy_does_not_reach_the_own_mask_stands_alone() -> None:
    # one[y, x] shows what two[y, x - 1] does: the first column of `one` is not in `two`.
    masks = {"one": mask("#.#"), "two": mask("##.")}
    found = mean_masks(masks, [pair("one", "two", shift=(0, 1))])
    np.testing.assert_array_equal(found["one"], [[1, 0.5, 1]])
    np.testing.assert_array_equal(found["two"], [[0.5, 1, 0]])


@pytest.mark.parametrize("transform", ORIENTATIONS)
def test_copies_are_turned_before_they_are_averaged(transform: int) -> None:
    rng = np.random.default_rng(transform)
    truth = (rng.random((5, 5)) < 0.4).astype(np.float32)
    # `two` is the same picture lying in another way: turned as the pair says it is `one`.
    back = next(t for t in ORIENTATIONS if (turn(turn(truth, t), transform) == truth).all())
    two = turn(truth, back)
    found = mean_masks({"one": truth, "two": two}, [pair("one", "two", transform)])
    np.testing.assert_array_equal(found["one"], truth)
    np.testing.assert_array_equal(found["two"], two)


def test_three_copies_count_equally() -> None:
    masks = {"a": mask("#"), "b": mask("#"), "c": mask(".")}
    pairs = [pair("a", "b"), pair("a", "c"), pair("b", "c")]
    for shares in mean_masks(masks, pairs).values():
        assert shares[0, 0] == pytest.approx(2 / 3)


def test_copies_among_other_images_are_not_looked_at(tmp_path: Path) -> None:
    # The copy of `a` is held out: its mask must not reach the training.
    (tmp_path / "masks").mkdir()
    for name, value in (("a", 1), ("b", 1), ("c", 0)):
        tifffile.imwrite(tmp_path / "masks" / f"{name}.tif", np.full((2, 2), value, np.uint16))
    near = pair("a", "b") | {"kind": "near"}
    (tmp_path / "copies.json").write_text(json.dumps({"pairs": [pair("a", "c"), near]}))
    assert soft_masks(tmp_path, ["a", "b"]) == {}
    found = soft_masks(tmp_path, ["a", "b", "c"])
    assert set(found) == {"a", "c"}
    assert (found["a"] == 0.5).all()
