"""The test set is assigned once, and kept."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sgseg.dataset.registry import (
    COLUMNS,
    extend,
    known_sides,
    read_registry,
    sides_of_groups,
    write_registry,
)
from sgseg.errors import InputError

from .lab import manifest_of


def registry(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=str)


OLD = registry(("a", "A", "", "test"), ("b", "B", "", "development"), ("c", "C", "well 1", "test"))


def sides(**columns: list[str]) -> list[set[str]]:
    return known_sides(manifest_of(**columns), OLD)


def test_pixels_count_more_than_names() -> None:
    found = sides(image_id=["a", "renamed", "b", "new"], pixel_hash=["A", "A", "new channel", "D"])
    assert found == [{"test"}, {"test"}, {"development"}, set()]
    # Two files have exchanged their names: each picture keeps its side.
    assert sides(image_id=["b", "a"], pixel_hash=["A", "B"]) == [{"test"}, {"development"}]


def test_a_declared_group_keeps_its_side_when_its_images_are_gone() -> None:
    found = sides(image_id=["x", "y"], pixel_hash=["X", "Y"], declared_group=["well 1", "well 2"])
    assert found == [{"test"}, set()]


def test_unknown_pixels_are_nobody() -> None:
    # Unreadable images have no hash; an empty declared group is none.
    old = registry(("a", "", "", "test"))
    assert known_sides(manifest_of(image_id=["z"], pixel_hash=[""]), old) == [set()]


def test_a_group_has_the_side_of_its_images() -> None:
    manifest = manifest_of(
        image_id=["a", "new", "b"], pixel_hash=["A", "N", "B"], group=["g", "g", "h"]
    )
    assert sides_of_groups(manifest, OLD, path="r") == {"g": "test", "h": "development"}


def test_a_link_between_both_sides_is_refused_by_name() -> None:
    manifest = manifest_of(
        image_id=["a", "new", "b"], pixel_hash=["A", "N", "B"], group=["g", "g", "g"]
    )
    with pytest.raises(InputError) as caught:
        sides_of_groups(manifest, OLD, path="splits/few.csv")
    text = str(caught.value)
    assert "group 'g'" in text
    assert "test: a; development: b; new: new" in text
    assert "Take away the images that link them" in text
    assert "splits/few.csv" in text


def test_old_rows_never_change_and_new_ones_come_in_order() -> None:
    manifest = manifest_of(
        image_id=["b", "a", "Z"], pixel_hash=["B", "A2", "Z"], declared_group=["", "", "w"]
    )
    after = extend(OLD, manifest, ["test", "test", "development"])
    # b keeps `development` whatever is said now; a with other pixels is one more row.
    assert after.to_numpy().tolist() == [
        ["Z", "Z", "w", "development"],
        ["a", "A", "", "test"],
        ["a", "A2", "", "test"],
        ["b", "B", "", "development"],
        ["c", "C", "well 1", "test"],
    ]
    assert extend(after, manifest, ["test", "test", "development"]).equals(after)


def test_written_and_read_again(tmp_path: Path) -> None:
    table = registry(("NA", "1e5", "001", "test"))
    write_registry(tmp_path / "splits" / "few.csv", table)
    assert read_registry(tmp_path / "splits" / "few.csv").equals(table)


@pytest.mark.parametrize("text", [None, "", "image_id,pixel_hash,group,set\n"])
def test_nothing_assigned_yet(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "few.csv"
    if text is not None:
        path.write_text(text)
    empty = read_registry(path)
    assert list(empty.columns) == list(COLUMNS)
    assert len(empty) == 0
    assert known_sides(manifest_of(image_id=["a"]), empty) == [set()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image_id,set\na,test\n", "columns image_id, set"),
        ("image_id,pixel_hash,group,set\na,A,,test\nb,B,,train\n", "line 3: 'b, B, , train'"),
        ("image_id,pixel_hash,group,set\na,A,,test,more\nb\n", "line 3: 'b'"),
    ],
)
def test_a_damaged_registry_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "few.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_registry(path)
    assert said in str(caught.value)
    assert "few.csv" in str(caught.value)
    assert "version control" in str(caught.value)
