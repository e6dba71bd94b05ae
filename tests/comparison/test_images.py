"""Which images two evaluations have in common."""

from __future__ import annotations

import pytest

from sgseg.comparison.images import common_images, listed, reasons
from sgseg.errors import InputError

from .lab import A, B, Image, table


def test_images_of_both_in_one_order() -> None:
    found = common_images(table(*A), table(*reversed(B)), part="out_of_fold")
    assert list(found.a["image_id"]) == list(found.b["image_id"]) == ["e1", "w1", "w2", "w3"]
    assert found.left_out == ()
    assert found.refolded == 0
    test = common_images(table(*A), table(*B), part="test")
    assert list(test.a["image_id"]) == ["t1", "t2"]


def test_what_is_left_out_and_why() -> None:
    a = [Image("both", 1, 0, 0), Image("old", 1, 0, 0), Image("tested", 1, 0, 0)]
    b = [
        Image("both", 0, 0, 1),
        Image("new", 1, 0, 0),
        Image("tested", 1, 0, 0, part="test", fold=-1),
    ]
    found = common_images(table(*a), table(*b), part="out_of_fold")
    assert list(found.a["image_id"]) == ["both"]
    assert [(item.image_id, item.why) for item in found.left_out] == [
        ("old", "not in the data of B"),
        ("tested", "a test image of B"),
        ("new", "not in the data of A"),
    ]


@pytest.mark.parametrize("changed", [Image("x", 3, 0, 1), Image("x", 6, 0, 0)])
def test_another_mask_is_another_image(changed: Image) -> None:
    # True granules are TP + FN: 5 in A; 4 and 6 in B.
    a = table(Image("x", 3, 0, 2), Image("y", 1, 0, 0))
    found = common_images(a, table(changed, Image("y", 1, 0, 0)), part="out_of_fold")
    assert list(found.a["image_id"]) == ["y"]
    assert [item.why for item in found.left_out] == ["its mask is another"]


def test_the_area_of_a_mask_counts_too() -> None:
    a, b = (
        table(Image("x", 3, 0, 2), Image("y", 1, 0, 0)),
        table(Image("x", 3, 0, 2), Image("y", 1, 0, 0)),
    )
    b.loc[b["image_id"] == "x", "pixels_fn"] += 1
    found = common_images(a, b, part="out_of_fold")
    assert list(found.a["image_id"]) == ["y"]


def test_images_held_out_in_other_folds_are_counted() -> None:
    a = table(Image("x", 1, 0, 0, fold=0), Image("y", 1, 0, 0, fold=1))
    b = table(Image("x", 1, 0, 0, fold=1), Image("y", 1, 0, 0, fold=1))
    assert common_images(a, b, part="out_of_fold").refolded == 1


def test_two_folds_share_the_images_that_both_held_out() -> None:
    a = table(Image("x", 1, 0, 0, fold=0), Image("y", 1, 0, 0, fold=1))
    b = table(Image("x", 1, 0, 0, fold=2), Image("y", 1, 0, 0, fold=3))
    found = common_images(a, b, part="out_of_fold", folds=(0, 2))
    assert list(found.a["image_id"]) == ["x"]
    with pytest.raises(InputError, match="no image in common") as caught:
        common_images(a, a, part="out_of_fold", folds=(0, 1))
    assert "1 held out in another fold of B (x)" in str(caught.value)


def test_test_images_that_one_was_trained_on_are_no_test() -> None:
    a = table(Image("t", 1, 0, 0, part="test", fold=-1), Image("w", 1, 0, 0))
    b = table(Image("t", 1, 0, 0), Image("w", 1, 0, 0, part="test", fold=-1))
    with pytest.raises(InputError, match="no comparison of test scores") as caught:
        common_images(a, b, part="test")
    first, second = caught.value.problems
    assert "test images of A: 1 are training images of B: t" in str(first)
    assert "test images of B: 1 are training images of A: w" in str(second)


def test_test_images_of_the_group_of_a_training_image_are_no_test() -> None:
    a = table(Image("t", 1, 0, 0, "well 1", part="test", fold=-1))
    b = table(Image("t", 1, 0, 0, "well 1", part="test", fold=-1), Image("u", 1, 0, 0, "well 1"))
    with pytest.raises(InputError, match="of groups of training images of B: t"):
        common_images(a, b, part="test")


def test_nothing_to_compare() -> None:
    with pytest.raises(InputError, match="1 not in the data of B"):
        common_images(table(Image("x", 1, 0, 0)), table(Image("y", 1, 0, 0)), part="out_of_fold")
    with pytest.raises(InputError, match="neither has an image in part 'test'"):
        common_images(table(Image("x", 1, 0, 0)), table(Image("x", 1, 0, 0)), part="test")


def test_long_lists_are_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([*"abcdefg"]) == "a, b, c, d, e and 2 more"
    assert reasons(()) == []
