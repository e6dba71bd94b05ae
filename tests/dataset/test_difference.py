"""Two versions told apart by image."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.dataset.difference import DataDifference, compare_versions
from sgseg.dataset.raw import RawSettings
from sgseg.dataset.versions import Listing


def listed(images: dict[str, tuple[str, str]], **options: object) -> Listing:
    """Names with the checksums of image and mask."""
    files = {"dataset.yaml": "settings"}
    for name, (image, mask) in images.items():
        files |= {f"images/{name}.png": image, f"masks/{name}.png": mask}
    files |= options.pop("others", {})
    samples = options.pop("samples", None)
    return Listing("mine", "here", files, RawSettings(name="mine", **options), samples)


OLD = listed({"a": ("A", "m"), "b": ("B", "m"), "c": ("C", "m")})


def test_nothing_differs() -> None:
    difference = compare_versions(OLD, OLD)
    assert not difference
    assert difference == DataDifference()


def test_without_an_old_version_all_is_new() -> None:
    difference = compare_versions(None, OLD)
    assert difference == DataDifference(new=("a", "b", "c"))
    assert difference


def test_each_kind_of_change() -> None:
    new = listed({"a": ("A", "other"), "b": ("changed", "m"), "d": ("D", "m")})
    assert compare_versions(OLD, new) == DataDifference(
        new=("d",), removed=("c",), relabelled=("a",), changed=("b",)
    )


def test_the_same_file_under_another_name_is_renamed() -> None:
    new = listed({"a": ("A", "m"), "z": ("B", "other"), "c": ("C", "m")})
    # Its mask is another one too, under the new name.
    assert compare_versions(OLD, new) == DataDifference(renamed=(("b", "z"),), relabelled=("z",))


def test_of_files_of_the_same_content_each_is_renamed_once() -> None:
    old = listed({"a": ("same", "m"), "b": ("same", "m"), "c": ("same", "m")})
    new = listed({"c": ("same", "m"), "x": ("same", "m")})
    assert compare_versions(old, new) == DataDifference(renamed=(("a", "x"),), removed=("b",))


def test_another_ending_is_another_file_of_the_same_image() -> None:
    new = listed(
        {"b": ("B", "m"), "c": ("C", "m")}, others={"images/a.tif": "A", "masks/a.zip": "m"}
    )
    assert not compare_versions(OLD, new)


def test_what_is_said_of_an_image() -> None:
    header = ["image", "condition", "pixel_size_um"]
    old = listed({"a": ("A", "m"), "b": ("B", "m")}, samples=(header, [["a", "control", "0,2"]]))
    rows = [["A.PNG", "arsenite", "0.20"], ["b", "", "0.1"]]
    new = listed({"a": ("A", "m"), "b": ("B", "m")}, samples=(header, rows))
    # 0,2 and 0.20 are the same size.
    assert compare_versions(old, new).described == {
        "a": {"condition": ("control", "arsenite")},
        "b": {"pixel_size_um": ("", "0.1")},
    }


def test_a_pattern_says_it_by_the_name() -> None:
    new = listed({"a": ("A", "m"), "b": ("B", "m"), "c": ("C", "m")}, pattern="(?P<group>[ab])")
    difference = compare_versions(OLD, new)
    assert difference.described == {"a": {"group": ("", "a")}, "b": {"group": ("", "b")}}
    assert difference.settings == {"pattern": (None, "(?P<group>[ab])")}


def test_other_files_are_not_passed_over() -> None:
    old = listed({}, others={"nuclei/a.tif": "1", "cells/a.tif": "2"})
    new = listed({}, others={"nuclei/a.tif": "1", "cells/a.tif": "3", "truth.csv": "4"})
    assert compare_versions(old, new) == DataDifference(other=("cells/a.tif", "truth.csv"))


@pytest.mark.parametrize("field", ["new", "removed", "relabelled", "changed", "other"])
def test_one_difference_is_one(field: str) -> None:
    assert DataDifference(**{field: ("a",)})


def test_as_json() -> None:
    new = listed({"a": ("A", "x"), "z": ("B", "m")}, channel=1)
    assert json.loads(json.dumps(compare_versions(OLD, new).to_dict())) == {
        "new": [],
        "removed": ["c"],
        "relabelled": ["a"],
        "changed": [],
        "renamed": [["b", "z"]],
        "described": {},
        "settings": {"channel": [None, 1]},
        "other": [],
    }


VERSIONS = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.sampled_from("ABC"), st.sampled_from("mn")), max_size=6
)


@given(VERSIONS, VERSIONS)
def test_every_image_is_accounted_for(
    before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]
) -> None:
    difference = compare_versions(listed(before), listed(after))
    gone = {old for old, _ in difference.renamed} | set(difference.removed)
    came = {new for _, new in difference.renamed} | set(difference.new)
    assert gone == before.keys() - after.keys()
    assert came == after.keys() - before.keys()
    assert bool(difference) == (before != after)
    # The other way round what was new is removed, and what was renamed is renamed back.
    back = compare_versions(listed(after), listed(before))
    assert (back.new, back.removed) == (difference.removed, difference.new)
    assert len(back.renamed) == len(difference.renamed)
