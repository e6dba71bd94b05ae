"""Touching granules cut apart: drawn pairs, what must not be cut, and simulated fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import label

from sgseg.config import load_params
from sgseg.dataset.simulate import simulate_field
from sgseg.quantify.split import Method, SplitOptions, parents, split_touching

from .drawing import LABELS, Labels, disk, ellipse, label_image

ROOT = Path(__file__).parents[2]
EIGHT = np.ones((3, 3))
DISTANCE, PROBABILITY = SplitOptions("distance"), SplitOptions("probability")


def same_parts(one: Labels, other: Labels) -> bool:
    """Whether two label images differ by the numbers alone."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return all(len(np.unique(side)) == len(side) for side in pairs)


@pytest.mark.parametrize("radius", [3.0, 5.0, 12.0, 25.0])
@pytest.mark.parametrize("angle", [0.0, 0.5, 0.8, 1.6])
def test_two_disks_that_touch(radius: float, angle: float) -> None:
    side = int(5 * radius) + 4
    apart = 0.92 * radius * np.array([np.sin(angle), np.cos(angle)])
    middle = np.array([side / 2, side / 2])
    one, two = (disk((side, side), tuple(middle + sign * apart), radius) for sign in (-1, 1))
    split = split_touching((one | two) * np.int32(9))
    assert sorted(np.unique(split)) == [0, 9, 10]
    assert ((split > 0) == (one | two)).all()
    for mine in (one & ~two, two & ~one):
        names, counts = np.unique(split[mine], return_counts=True)
        assert counts.max() / counts.sum() > 0.9, names


@pytest.mark.parametrize("radii", [(1.5, 1.5), (3, 3), (12, 12), (12, 5), (6, 2.2), (25, 20)])
def test_a_single_oval_is_not_cut(radii: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        y, x, angle = 30 + rng.uniform(-0.5, 0.5), 30 + rng.uniform(-0.5, 0.5), rng.uniform(0, 3)
        labels = label_image(ellipse((60, 60), (y, x), radii, angle))
        assert split_touching(labels).max() == 1


def test_a_dim_seam_in_a_straight_granule_is_found_in_the_probability() -> None:
    labels = np.zeros((11, 31), np.int32)
    labels[3:8, 3:28] = 1
    probability = np.where(labels > 0, 0.95, 0.05)
    probability[:, 15] = 0.6
    assert split_touching(labels, probability, options=DISTANCE).max() == 1
    split = split_touching(labels, probability, options=PROBABILITY)
    assert split[5, 5] != split[5, 25]
    assert sorted(np.bincount(split.ravel())[1:]) == [60, 65]
    # Odds 19 and 1.5: the pass lacks 1 - 1.5 / 19 = 0.92 of the peak.
    for depth, parts in ((0.9, 2), (0.93, 1)):
        options = SplitOptions("probability", min_depth=depth)
        assert split_touching(labels, probability, options=options).max() == parts


def test_no_small_part_is_cut_off() -> None:
    labels = label_image(disk((30, 30), (12, 12), 8))
    labels[21, 12] = 1
    labels[22:25, 11:14] = 1  # a wart of 9 px on a stalk
    for smallest, parts in ((9, 2), (11, 1)):
        assert split_touching(labels, options=SplitOptions(min_part_px=smallest)).max() == parts


def test_the_largest_part_keeps_the_label() -> None:
    shape = (30, 80)
    small, large = disk(shape, (15, 10), 6), disk(shape, (15, 24), 9)
    labels = label_image(small | large, disk(shape, (15, 60), 5)) * 4
    split = split_touching(labels)
    assert (split[15, 24], split[15, 10], split[15, 60]) == (4, 9, 8)
    assert parents(split, labels).tolist() == [0, 0, 0, 4, 0, 0, 0, 8, 4]


def test_labels_that_touch_are_not_mixed() -> None:
    one, two = disk((40, 60), (20, 20), 10), disk((40, 60), (20, 39), 10)
    labels = label_image(one, two)
    assert (split_touching(labels) == labels).all()


@given(LABELS, st.sampled_from(["distance", "probability"]), st.integers(0, 5))
def test_parts_are_connected_parts_of_their_granule(
    labels: Labels, method: Method, seed: int
) -> None:
    probability = np.random.default_rng(seed).uniform(size=labels.shape)
    split = split_touching(labels, probability, options=SplitOptions(method, 0.1, 1))
    assert ((split > 0) == (labels > 0)).all()
    for name, parent in enumerate(parents(split, labels), 1):
        mine = split == name
        assert mine.any() == (parent > 0)
        assert (labels[mine] == parent).all()
        assert label(mine, EIGHT)[1] <= 1
    assert set(np.unique(labels)) <= set(np.unique(split))


@given(st.integers(0, 20), st.integers(1, 3))
def test_a_turned_image_is_cut_alike(seed: int, quarters: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (60, 70)
    masks = [disk(shape, tuple(rng.uniform(5, 55, 2)), rng.uniform(3, 8)) for _ in range(12)]
    labels = label(np.any(masks, axis=0), EIGHT)[0]
    # Heights without ties: on a plateau the way up depends on the order of the pixels.
    probability = rng.uniform(0.2, 0.99, shape)
    one = split_touching(labels, probability, options=PROBABILITY)
    turned = np.rot90(labels, quarters), np.rot90(probability, quarters)
    other = split_touching(*turned, options=PROBABILITY)
    assert same_parts(np.rot90(one, quarters), other)


def test_nothing_to_cut() -> None:
    empty = np.zeros((5, 5), np.int32)
    assert not split_touching(empty).any()
    assert not split_touching(empty, np.zeros((5, 5)), options=PROBABILITY).any()
    assert parents(empty, empty).tolist() == []
    whole, single = np.ones((6, 6), np.uint8), np.eye(1, dtype=np.int64)
    for labels in (whole, single):
        split = split_touching(labels)
        assert (split == labels).all()
        assert split.dtype == np.int32


def test_no_method_leaves_all_as_it_is() -> None:
    labels = label_image(disk((20, 30), (10, 8), 6) | disk((20, 30), (10, 19), 6))
    assert (split_touching(labels, options=SplitOptions("none")) == labels).all()
    assert split_touching(labels).max() == 2


@pytest.mark.parametrize(
    ("probability", "options", "message"),
    [
        (None, PROBABILITY, r"a probability \(4, 4\) is needed. Received: None"),
        (np.zeros((4, 5)), PROBABILITY, r"Received: \(4, 5\)"),
        (None, SplitOptions(min_depth=1.5), r"a share between 0 and 1 .* Received: 1.5"),
    ],
    ids=["none", "another shape", "no share"],
)
def test_what_cannot_be_used(
    probability: NDArray[np.float64] | None, options: SplitOptions, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        split_touching(np.ones((4, 4), np.int32), probability, options=options)


def test_simulated_pairs_are_cut_and_single_granules_are_not() -> None:
    params = load_params(ROOT / "params.yaml").simulate
    params = params.model_copy(update={"pixel_size_um": 0.1, "size": 300, "seed": 9})
    pairs = cut_pairs = singles = cut_singles = 0
    for replicate in range(1, 5):
        field = simulate_field(params, condition="arsenite_high", replicate=replicate, field=1)
        merged = label(field.granules > 0, EIGHT)[0]
        split = split_touching(merged)
        for name in range(1, merged.max() + 1):
            inside = merged == name
            true, found = len(np.unique(field.granules[inside])), len(np.unique(split[inside]))
            pairs, cut_pairs = pairs + (true == 2), cut_pairs + (true == 2 and found == 2)
            singles, cut_singles = singles + (true == 1), cut_singles + (true == 1 and found > 1)
    # Pairs of which one all but covers the other have no neck.
    assert pairs >= 5
    assert cut_pairs / pairs >= 0.7
    assert singles >= 50
    assert cut_singles / singles <= 0.02
