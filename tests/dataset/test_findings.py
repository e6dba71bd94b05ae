"""Problems written to the manifest and read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgseg.config import Validate
from sgseg.dataset.checks import image_checks
from sgseg.dataset.findings import as_problem, findings_of, parse_problem
from sgseg.errors import Problem

CHECKS = {
    check.name: check
    for check in image_checks(
        Validate(on_failure="stop", max_foreground=0.5, max_saturated=0.05, require_foreground=True)
    )
}


@pytest.mark.parametrize(
    "problem",
    [
        Problem("images/a b.tif", "empty file (0 bytes)", "an image", "Copy it again."),
        Problem("samples.csv, line 3", "no image 'x.tif'", "the name of an image"),
        Problem("masks/a.tif", "truncated", "", "The file is damaged: copy it again."),
        Problem("masks/a.tif", "cannot be read as TIFF (no magic 42. at 0x1: 'x')"),
    ],
)
def test_parts_of_a_problem(problem: Problem) -> None:
    assert parse_problem(str(problem)) == problem


@given(*[st.text(max_size=20)] * 4)
def test_nothing_of_the_text_is_lost(where: str, what: str, expected: str, remedy: str) -> None:
    text = str(Problem(where, what, expected, remedy))
    assert str(parse_problem(text)) == text


def row(**values: object) -> dict[str, object]:
    plain = {
        "image_id": "a",
        "image_file": "images/a.tif",
        "mask_file": "masks/a.tif",
        "file": "images/a.tif",
        "problem": None,
    }
    return plain | values


def test_a_finding_names_the_file_that_is_wrong() -> None:
    failing = row(size="80 x 80 px", mask_size="70 x 60 px")
    (found,) = findings_of(failing, [CHECKS["same_size"]], "data/raw/few")
    assert found["file"] == "data/raw/few/masks/a.tif"
    assert str(as_problem(found)) == (
        "data/raw/few/masks/a.tif: the mask is 70 x 60 px; expected 80 x 80 px like its image "
        "images/a.tif. Export the mask at the size of the image; never stretch it to fit."
    )


def test_each_problem_of_an_image_is_a_finding_and_said_once() -> None:
    problem = "images/a.tif: empty file | masks/a.tif: truncated"
    failed = [CHECKS["readable"], CHECKS["mask_of_image"], CHECKS["unique_id"]]
    found = findings_of(row(problem=problem), failed, "data/raw/few")
    assert [(item["file"], item["what"]) for item in found] == [
        ("data/raw/few/images/a.tif", "empty file"),
        ("data/raw/few/masks/a.tif", "truncated"),
    ]


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("image_of_mask", {"image_file": None}, "mask without image"),
        ("mask_of_image", {"mask_file": None}, "image without mask"),
        ("unique_id", {}, "its name 'a' is taken"),
        (
            "bit_depth",
            {"dtype": "float32", "bit_depth": 32.0, "declared_bit_depth": 12.0},
            "float32 pixels, 32 bits; expected 12 bits",
        ),
        ("not_blank", {"minimum": 7.0}, "blank: every pixel is 7"),
        (
            "not_saturated",
            {"saturated_fraction": 0.123, "maximum": 255.0},
            "12.3% of its pixels are saturated (at 255); expected at most 5.0%",
        ),
        ("copies_together", {"groups_of_pixels": 2.0}, "the same pixels are in 2 groups"),
        ("mask_rule", {"mask_rule": "guess"}, "mask by an unknown rule, 'guess'"),
        ("foreground", {"foreground_fraction": 0.66}, "granules cover 66.0% of the image"),
        ("not_empty", {}, "no granule; expected at least one"),
    ],
)
def test_sentences(name: str, values: dict[str, object], said: str) -> None:
    (found,) = findings_of(row(**values), [CHECKS[name]], "data/raw/few")
    assert said in str(as_problem(found))
    assert found["check"] == name
